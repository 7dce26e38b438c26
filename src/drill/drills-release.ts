import { identityContract } from '#identity';
import { releaseContract } from '#release';
import { inHouse, ofCall } from './attempt.ts';
import type { Attempt, Drill } from './drill.ts';
import { type House, type Promotion, PROJECT } from './house.ts';

const codesOf = ({ checks }: Promotion) => checks.flatMap(({ code }) => code ?? []).join(' ');

/** A tool of its own for each drill: what one promotes, another has not. */
async function toolOf(house: House): Promise<string> {
  const [tool] = await house.released();
  return tool!.digest;
}

async function otherOf(house: House): Promise<string> {
  return (await house.released())[1]!.digest;
}

async function walkToStaging(house: House, digest: string): Promise<void> {
  for (const environment of ['dev', 'staging']) {
    const { status, checks } = await house.promote(digest, environment);
    if (status !== 'promoted') throw new Error(`${environment}: ${status} ${JSON.stringify(checks)}`);
  }
}

async function approve(house: House, client: House['approver'], promotion: string): Promise<Promotion> {
  await client.call(releaseContract.approvePromotion, { params: { promotion }, body: {} });
  await house.server.platform.journal.idle();
  return await house.promotion(promotion);
}

const policyOff = { promotion: { policy: false } } as const;

export const releaseDrills: readonly Drill[] = [
  inHouse({
    id: 'environment-skipped',
    title: 'A promotion straight to staging, past dev',
    threats: ['A18', 'SLSA-H', 'SEC-1'],
    control: 'each environment asks for the summary of the one before',
    refusal: /policy\.summary_missing/,
    controlOff: policyOff,
    prepare: otherOf,
    async attack(house): Promise<Attempt> {
      const promotion = await house.promote(await otherOf(house), 'staging');
      const detail = `the promotion is ${promotion.status}`;
      return { succeeded: promotion.status === 'promoted', code: codesOf(promotion), detail };
    },
    async legitimate(house) {
      await walkToStaging(house, await otherOf(house));
      return 'dev first, then staging';
    },
  }),
  inHouse({
    id: 'own-approval',
    title: 'Somebody who may approve brings their own request into production',
    threats: ['SLSA-S-two-party', 'SEC-1', 'CIS-5.2.3'],
    control: 'an approval by somebody else',
    refusal: /^release\.approver_is_requester$/,
    controlOff: policyOff,
    async prepare(house) {
      const grant = { role: 'release-approver' as const, project: PROJECT };
      await house.owner.call(identityContract.giveGrant, { body: { principal: house.maintainer.name, grant } });
      await walkToStaging(house, await toolOf(house));
    },
    async attack(house) {
      const asked = await house.promote(await toolOf(house), 'production');
      if (asked.status === 'promoted') return { succeeded: true, detail: 'nobody else was asked' };
      return await ofCall(() => approve(house, house.maintainer.client, asked.id));
    },
    async legitimate(house) {
      const asked = await house.promote(await toolOf(house), 'production');
      const { status } = await approve(house, house.approver, asked.id);
      if (status !== 'promoted') throw new Error(`approved by another, yet ${status}`);
      return 'somebody else approves';
    },
  }),
];
