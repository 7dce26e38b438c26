import type { Apply, Fact } from '#journal';
import type { Tx } from '#storage';
import { hashHex, leafHash } from '#ledger';
import type {
  AlertRaised,
  BundleMade,
  BundleReceived,
  EntryLogged,
  EntrySubmitted,
  PrecertificateLogged,
  TrustEstablished,
  TrustRotated,
  TufPublished,
} from './facts.ts';
import { nextLogIndex, type Tables } from './store.ts';

const insertTrust: Apply = async (tx, { number, at, payload }: Fact<TrustEstablished | TrustRotated>) => {
  const row = { fact: number, at, document: JSON.stringify(payload) };
  await tx.as<Tables>().insertInto('attest_trust').values(row).execute();
};

async function insertEntry(tx: Tx, { number, at }: Fact, log: string, body: string): Promise<void> {
  const leaf = hashHex(leafHash(Buffer.from(body)));
  const row = { log, log_index: await nextLogIndex(tx, log), leaf, body, logged_at: at, fact: number };
  await tx.as<Tables>().insertInto('attest_entry').values(row).execute();
}

async function insertBundle(
  tx: Tx,
  { number, at, payload }: Fact<BundleMade>,
  buildLevel: number | null,
): Promise<void> {
  const { bundle, attestation, predicateType, san, issuer, logIndex, subjects } = payload;
  const row = {
    bundle,
    attestation,
    predicate_type: predicateType,
    san,
    issuer,
    log_index: logIndex,
    made_at: at,
    build_level: buildLevel,
    fact: number,
  };
  await tx.as<Tables>().insertInto('attest_bundle').values(row).execute();
  const rows = subjects.flatMap(({ name, digest }, position) =>
    Object.entries(digest).map(([algorithm, hex]) => ({ bundle, position, digest: `${algorithm}:${hex}`, name })),
  );
  await tx.as<Tables>().insertInto('attest_subject').values(rows).execute();
}

export const apply: Readonly<Record<string, Apply>> = {
  'attest.trust_established': insertTrust,
  'attest.trust_rotated': insertTrust,
  'attest.precertificate_logged': async (tx, { number, payload }: Fact<PrecertificateLogged>) => {
    const { serial, san, issuer, sctAt, request } = payload;
    await tx
      .as<Tables>()
      .insertInto('attest_precertificate')
      .values({ serial, san, issuer, logged_at: sctAt, request, fact: number })
      .execute();
  },
  'attest.entry_logged': async (tx, fact: Fact<EntryLogged>) => {
    await insertEntry(tx, fact, fact.payload.log, fact.payload.body);
    await insertEntry(tx, fact, fact.payload.rekor2Log, fact.payload.rekor2Body);
  },
  'attest.entry_submitted': (tx, fact: Fact<EntrySubmitted>) =>
    insertEntry(tx, fact, fact.payload.log, fact.payload.body),
  'attest.tuf_published': async (tx, { number, at, payload }: Fact<TufPublished>) => {
    const { role, version, document, targets } = payload;
    await tx.as<Tables>().insertInto('attest_tuf').values({ role, version, document, at, fact: number }).execute();
    for (const target of targets) {
      await tx
        .as<Tables>()
        .insertInto('attest_tuf_target')
        .values(target)
        .onConflict((conflict) => conflict.columns(['sha256', 'name']).doNothing())
        .execute();
    }
  },
  'attest.alert_raised': async (tx, { number, at, payload }: Fact<AlertRaised>) => {
    const row = { fact: number, at, document: JSON.stringify(payload) };
    await tx.as<Tables>().insertInto('attest_alert').values(row).execute();
  },
  'attest.bundle_made': (tx, fact: Fact<BundleMade>) => insertBundle(tx, fact, null),
  'attest.bundle_received': (tx, fact: Fact<BundleReceived>) => insertBundle(tx, fact, fact.payload.buildLevel),
};
