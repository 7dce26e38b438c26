import { type ModuleDefinition, onFact } from '#journal';
import * as facts from './facts.ts';
import { migrations } from './migrations.ts';
import type { Tables } from './store.ts';

const apply: ModuleDefinition['apply'] = {
  [facts.signaturesCheckpoint.type]: onFact(facts.signaturesCheckpoint, async (tx, { origin, size, root }, fact) => {
    const values = { size, root, fact: fact.number };
    await tx
      .as<Tables>()
      .insertInto('ledger_anchor')
      .values({ origin, ...values })
      .onConflict((conflict) => conflict.column('origin').doUpdateSet(values))
      .execute();
  }),
  [facts.witnessTrusted.type]: onFact(facts.witnessTrusted, async (tx, { name, vkey, url, ca }, fact) => {
    const values = { vkey, url, ca, fact: fact.number };
    await tx
      .as<Tables>()
      .insertInto('ledger_witness')
      .values({ name, ...values })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
      .execute();
  }),
  [facts.witnessPolicySet.type]: onFact(facts.witnessPolicySet, async (tx, { policy, fail }, fact) => {
    const values = { policy, fail, fact: fact.number };
    await tx
      .as<Tables>()
      .insertInto('ledger_witness_policy')
      .values({ id: 1, ...values })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
      .execute();
  }),
  [facts.logTrusted.type]: onFact(facts.logTrusted, async (tx, { origin, vkey }, fact) => {
    const values = { vkey, fact: fact.number };
    await tx
      .as<Tables>()
      .insertInto('ledger_trusted_log')
      .values({ origin, ...values })
      .onConflict((conflict) => conflict.column('origin').doUpdateSet(values))
      .execute();
  }),
  [facts.logDistrusted.type]: onFact(facts.logDistrusted, async (tx, { origin }) => {
    await tx.as<Tables>().deleteFrom('ledger_trusted_log').where('origin', '=', origin).execute();
  }),
  [facts.logWitnessed.type]: onFact(facts.logWitnessed, async (tx, { origin, size, root, note }, fact) => {
    const values = { size, root, note, fact: fact.number };
    await tx
      .as<Tables>()
      .insertInto('ledger_witnessed_log')
      .values({ origin, ...values })
      .onConflict((conflict) => conflict.column('origin').doUpdateSet(values))
      .execute();
  }),
  [facts.forkEvidence.type]: onFact(facts.forkEvidence, async (tx, { origin, kind, evidence, noticedBy }, fact) => {
    await tx
      .as<Tables>()
      .insertInto('ledger_fork')
      .values({ evidence, origin, kind, noticed_by: noticedBy, at: fact.at, fact: fact.number })
      .execute();
  }),
  [facts.streamHeads.type]: onFact(facts.streamHeads, async (tx, { size, streams, root }, fact) => {
    await tx
      .as<Tables>()
      .insertInto('ledger_stream_heads')
      .values({ fact: fact.number, size, streams, root })
      .execute();
  }),
};

export const ledgerModule: ModuleDefinition = {
  name: 'ledger',
  migrations,
  facts: [
    facts.signaturesCheckpoint,
    facts.witnessTrusted,
    facts.witnessPolicySet,
    facts.logTrusted,
    facts.logDistrusted,
    facts.logWitnessed,
    facts.forkEvidence,
    facts.alertRaised,
    facts.streamHeads,
  ] as ModuleDefinition['facts'],
  apply,
};
