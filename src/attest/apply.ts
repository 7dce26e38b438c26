import type { Apply, Fact } from '#journal';
import type { BundleMade, EntryLogged, PrecertificateLogged, TrustEstablished } from './facts.ts';
import { nextLogIndex, type Tables } from './store.ts';

export const apply: Readonly<Record<string, Apply>> = {
  'attest.trust_established': async (tx, { number, at, payload }: Fact<TrustEstablished>) => {
    await tx
      .as<Tables>()
      .insertInto('attest_trust')
      .values({ fact: number, at, document: JSON.stringify(payload) })
      .execute();
  },
  'attest.precertificate_logged': async (tx, { number, payload }: Fact<PrecertificateLogged>) => {
    const { serial, san, issuer, sctAt } = payload;
    await tx
      .as<Tables>()
      .insertInto('attest_precertificate')
      .values({ serial, san, issuer, logged_at: sctAt, fact: number })
      .execute();
  },
  'attest.entry_logged': async (tx, { number, at, payload: { attestation, body } }: Fact<EntryLogged>) => {
    const row = { log_index: await nextLogIndex(tx), attestation, body, logged_at: at, fact: number };
    await tx.as<Tables>().insertInto('attest_entry').values(row).execute();
  },
  'attest.bundle_made': async (tx, { number, at, payload }: Fact<BundleMade>) => {
    const { bundle, attestation, predicateType, san, issuer, logIndex, subjects } = payload;
    await tx
      .as<Tables>()
      .insertInto('attest_bundle')
      .values({
        bundle,
        attestation,
        predicate_type: predicateType,
        san,
        issuer,
        log_index: logIndex,
        made_at: at,
        fact: number,
      })
      .execute();
    const rows = subjects.flatMap(({ name, digest }, position) =>
      Object.entries(digest).map(([algorithm, hex]) => ({ bundle, position, digest: `${algorithm}:${hex}`, name })),
    );
    await tx.as<Tables>().insertInto('attest_subject').values(rows).execute();
  },
};
