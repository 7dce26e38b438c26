import { type App, bindEndpoint } from '#http';
import type { Identity } from '#identity';
import * as ledgerModule from '#ledger';

/** The log of events: status, proofs, and reading everything again. */
export function bindLedger(app: App, { identity, ledger }: { identity: Identity; ledger: ledgerModule.Ledger }): void {
  // A checkpoint and its growth say nothing of any project: every member remembers them and would notice a rewritten log.
  bindEndpoint(app, ledgerModule.showLedger, async ({ caller }) => {
    await identity.requireAnywhere(caller, 'ledger:watch');
    return ledgerModule.presentLedger(ledger);
  });
  bindEndpoint(app, ledgerModule.showFactProof, async ({ caller, params }) => {
    await identity.require(caller, 'ledger:read');
    return await ledgerModule.presentFactProof(ledger, params.number);
  });
  bindEndpoint(app, ledgerModule.showConsistency, async ({ caller, query }) => {
    await identity.requireAnywhere(caller, 'ledger:watch');
    return ledgerModule.presentConsistency(await ledger.events.consistencyProof(query.old, query.size));
  });
  bindEndpoint(app, ledgerModule.verifyLedgerNow, async ({ caller }) => {
    await identity.require(caller, 'ledger:read');
    return ledgerModule.presentVerdict(await ledger.verify());
  });
}
