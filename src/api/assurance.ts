import type { Attest } from '#attest';
import { type Check, parseDigest, Problem, toIso, type Verdict, verdictOf } from '#base';
import { type App, bindEndpoint } from '#http';
import { actorOf, type Caller, type Identity } from '#identity';
import type { Journal, ModuleDefinition } from '#journal';
import * as ledgerModule from '#ledger';
import type { Db, Objects } from '#storage';
import type { Vault } from '#vault';
import { checkBytes } from './fsck.ts';

export interface AssuranceDeps {
  publicUrl: string;
  identity: Identity;
  journal: Journal;
  ledger: ledgerModule.Ledger;
  attest: Attest;
  db: Db;
  objects: Objects;
  vault: Vault;
  modules: readonly ModuleDefinition[];
}

/** Witnesses, evidence of forks, proofs of whole streams, exports, erasure, and hashing everything again. */
export function bindAssurance(app: App, deps: AssuranceDeps): void {
  const { identity, journal, ledger, objects, publicUrl } = deps;
  const { assurance } = ledger;
  if (!assurance) return;
  const view = () => ledgerModule.presentWitnesses(ledger, assurance, `${publicUrl}/witness`);

  bindEndpoint(app, ledgerModule.showWitnesses, async ({ caller }) => {
    await identity.require(caller, 'ledger:read');
    return await view();
  });
  bindEndpoint(app, ledgerModule.addPeer, async ({ caller, body }) => {
    await identity.require(caller, 'instance:admin');
    await assurance.addPeer(actorOf(caller), body);
    return await view();
  });
  bindEndpoint(app, ledgerModule.distrustLog, async ({ caller, body }) => {
    await identity.require(caller, 'instance:admin');
    await assurance.witness.distrustLog(actorOf(caller), body);
    return await view();
  });
  bindEndpoint(app, ledgerModule.setWitnessPolicy, async ({ caller, body }) => {
    await identity.require(caller, 'instance:admin');
    await assurance.setPolicy(actorOf(caller), body);
    return await view();
  });
  bindEndpoint(app, ledgerModule.compareCheckpoint, async ({ caller, body }) => {
    await identity.require(caller, 'ledger:read');
    const answer = await assurance.compare(body.note, caller.principal);
    return {
      consistent: answer.consistent,
      evidence: answer.consistent ? null : answer.evidence,
      size: ledger.events.size(),
    };
  });
  bindEndpoint(app, ledgerModule.showFork, async ({ caller, params }) => {
    await identity.require(caller, 'ledger:read');
    const known = (await assurance.forks()).find(({ evidence }) => evidence === params.evidence);
    if (!known) throw noEvidence();
    return ledgerModule.parseForkFile((await objects.read(parseDigest(params.evidence))).toString());
  });
  bindEndpoint(app, ledgerModule.proveStreamNow, async ({ caller, query }) => {
    await identity.require(caller, 'ledger:read');
    return await assurance.heads.proveStream(query.stream);
  });
  bindEndpoint(app, ledgerModule.exportFactNow, async ({ caller, params }) => {
    await identity.require(caller, 'audit:read');
    const policy = ledgerModule.renderPolicyText(assurance.cosigning.settings().policy);
    return await ledgerModule.exportFact({ ledger, journal, policy }, params.number);
  });
  bindEndpoint(app, ledgerModule.checkEverything, async ({ caller }) => {
    await identity.require(caller, 'audit:read');
    return present(await checkBytes(deps));
  });
  bindErasures(app, deps);
}

function bindErasures(app: App, { identity, journal }: AssuranceDeps): void {
  bindEndpoint(app, ledgerModule.listErasures, async ({ caller }) => {
    await identity.require(caller, 'audit:read');
    const items = (await journal.erasures(ERASURES_LISTED)).map(({ requestedAt, erasedBy, ...erasure }) => ({
      ...erasure,
      requestedAt: toIso(requestedAt),
      erasedBy: erasedBy ?? null,
    }));
    return { items, next: null };
  });
  bindEndpoint(app, ledgerModule.requestErasure, async ({ caller, body }) => {
    await identity.require(caller, 'audit:erase');
    requirePerson(caller);
    const { number } = await journal.requestErasure(actorOf(caller), body);
    return { request: number, fact: body.fact };
  });
  bindEndpoint(app, ledgerModule.confirmErasure, async ({ caller, params }) => {
    await identity.require(caller, 'audit:erase');
    requirePerson(caller);
    const { number } = await journal.confirmErasure(actorOf(caller), params);
    return { fact: params.fact, erasedBy: number };
  });
}

const ERASURES_LISTED = 200;

/** Two people, not one person and a machine of his. */
function requirePerson(caller: Caller): void {
  if (caller.kind === 'person') return;
  throw new Problem({
    code: 'api.person_needed',
    kind: 'forbidden',
    message: 'Only a person may ask for an erasure or confirm it.',
    hint: 'Sign in as yourself.',
  });
}

function present({ ok, checks }: Verdict): { ok: boolean; checks: Check[] } {
  return { ok: verdictOf(checks).ok && ok, checks: [...checks] };
}

const noEvidence = () =>
  new Problem({
    code: 'ledger.evidence_not_found',
    kind: 'not_found',
    message: 'There is no such evidence.',
    hint: 'See `waybill ledger witness list` for what there is.',
  });
