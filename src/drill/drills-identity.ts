import { identityContract } from '#identity';
import { anyOf, inHouse, ofCall } from './attempt.ts';
import type { Attempt, Drill } from './drill.ts';
import { enrol, type House, PROJECT } from './house.ts';
import { sourceContract } from '#source';
import { artifactContract } from '#artifact';

const who = (house: House, token: string) => house.as(token).call(identityContract.whoami);

const LIFETIME_SECONDS = 60;

async function tokenFor(house: House, body: { networks?: string[]; ttlSeconds?: number }): Promise<string> {
  const { client } = house.developer;
  return (await client.call(identityContract.createToken, { body: { label: 'drill', ...body } })).token;
}

/** What somebody who copied a machine's credential tries first. */
async function useStolen(house: House, role: 'runner' | 'agent', name: string): Promise<Attempt> {
  const thief = house.as(await house.machine(name, role, PROJECT));
  const upload = (repository: 'release' | 'playground') => () => {
    const query = { name: `${PROJECT}/${name}/evil`, version: '1', file: 'evil' };
    const input = { params: { project: PROJECT, repository }, query };
    return ofCall(() => thief.upload(artifactContract.uploadArtifact, input, { content: Buffer.from('evil') }));
  };
  const body = { name: `${name}-friend`, emails: [], grants: [] };
  return await anyOf(
    () => ofCall(() => thief.call(sourceContract.createRepository, { params: { project: PROJECT }, body: { name } })),
    upload('release'),
    upload('playground'),
    () => ofCall(() => thief.call(identityContract.invitePerson, { body })),
  );
}

export const identityDrills: readonly Drill[] = [
  inHouse({
    id: 'no-credential',
    title: 'A request without a credential, from the server’s own machine',
    threats: ['A12', 'A13', 'SEC-7'],
    control: 'nothing without a permission',
    refusal: /^identity\.unauthenticated$/,
    controlOff: 'no-switch',
    attack: (house) => ofCall(() => house.as(undefined).call(identityContract.listPeople)),
    async legitimate({ owner }) {
      await owner.call(identityContract.listPeople);
      return 'the owner lists the people';
    },
  }),
  inHouse({
    id: 'stolen-runner-credential',
    title: 'A runner’s credential, copied, used for everything but its job',
    threats: ['A21', 'A22', 'B3', 'SEC-6'],
    control: 'nothing without a permission',
    refusal: /^(identity\.forbidden|artifact\.release_is_closed)( (identity\.forbidden|artifact\.release_is_closed))*$/,
    controlOff: { identity: { authorization: false } },
    attack: (house) => useStolen(house, 'runner', 'stolen-runner'),
    async legitimate(house) {
      await who(house, await house.machine('honest-runner', 'runner'));
      return 'the runner itself is known';
    },
  }),
  inHouse({
    id: 'stolen-agent-credential',
    title: 'A deploy agent’s credential, copied, used for everything but its job',
    threats: ['A21', 'B3', 'SEC-6'],
    control: 'nothing without a permission',
    refusal: /^(identity\.forbidden|artifact\.release_is_closed)( (identity\.forbidden|artifact\.release_is_closed))*$/,
    controlOff: { identity: { authorization: false } },
    attack: (house) => useStolen(house, 'agent', 'stolen-agent'),
    async legitimate(house) {
      await who(house, await house.machine('honest-agent', 'agent', PROJECT));
      return 'the agent itself is known';
    },
  }),
  inHouse({
    id: 'developer-takes-over',
    title: 'A developer gives themself the owner’s role',
    threats: ['A11', 'B6', 'SEC-2'],
    control: 'nothing without a permission',
    refusal: /^identity\.forbidden$/,
    controlOff: { identity: { authorization: false } },
    attack: ({ developer }) =>
      ofCall(() =>
        developer.client.call(identityContract.giveGrant, {
          body: { principal: developer.name, grant: { role: 'owner' } },
        }),
      ),
    async legitimate({ owner, developer }) {
      const grant = { role: 'reader' as const, project: PROJECT };
      await owner.call(identityContract.giveGrant, { body: { principal: developer.name, grant } });
      return 'the owner gives a role';
    },
  }),
  inHouse({
    id: 'enrolment-used-twice',
    title: 'An enrolment link used a second time',
    threats: ['A20', 'SEC-6'],
    control: 'an enrolment link works once',
    refusal: /^identity\.enrolment_invalid$/,
    controlOff: { identity: { enrolmentOnce: false } },
    async attack(house) {
      const link = await invite(house, 'eve');
      await enrol(house.as(undefined), link);
      return await ofCall(() => enrol(house.as(undefined), link));
    },
    async legitimate(house) {
      await enrol(house.as(undefined), await invite(house, 'frank'));
      return 'a link used once';
    },
  }),
  inHouse({
    id: 'expired-token',
    title: 'A token used after its time',
    threats: ['A9', 'SEC-6'],
    control: 'tokens end',
    refusal: /^identity\.unauthenticated$/,
    controlOff: { identity: { tokenExpiry: false } },
    async attack(house) {
      const token = await tokenFor(house, { ttlSeconds: LIFETIME_SECONDS });
      house.clock.skip((LIFETIME_SECONDS + 1) * 1000);
      return await ofCall(() => who(house, token));
    },
    async legitimate(house) {
      await who(house, await tokenFor(house, { ttlSeconds: LIFETIME_SECONDS }));
      return 'the same token in its time';
    },
  }),
  inHouse({
    id: 'token-from-foreign-network',
    title: 'A token bound to a network, used from another',
    threats: ['A21', 'B7', 'SEC-6'],
    control: 'a token is good from its networks alone',
    refusal: /^identity\.unauthenticated$/,
    controlOff: { identity: { tokenNetworks: false } },
    async attack(house) {
      const token = await tokenFor(house, { networks: ['10.9.8.0/24'] });
      return await ofCall(() => who(house, token));
    },
    async legitimate(house) {
      await who(house, await tokenFor(house, { networks: ['127.0.0.0/8', '::1/128'] }));
      return 'from the network it is bound to';
    },
  }),
];

let guests = 0;

async function invite({ owner }: House, name: string): Promise<string> {
  const body = { name: `${name}-${++guests}`, emails: [], grants: [] };
  return (await owner.call(identityContract.invitePerson, { body })).link;
}
