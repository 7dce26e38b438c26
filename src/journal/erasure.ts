import { canonicalJson, type Clock, Problem } from '#base';
import { type Actor, commitmentOf, type Draft, type Fact } from './fact.ts';
import { erasureRequested, type ErasureRequested, payloadErased, type PayloadErased } from './facts.ts';
import type { Journal } from './journal.ts';
import { migrations } from './migrations.ts';
import { type ModuleDefinition, onFact } from './module.ts';
import { erasePayload, type FullRow, toFact } from './store.ts';

/** One erasure as far as it went. */
export interface Erasure {
  fact: number;
  type: string;
  request: number;
  requestedBy: string;
  requestedAt: number;
  reason: string;
  /** Undefined while nobody has confirmed. */
  erasedBy: number | undefined;
}

/** Erasing a payload takes two people; the leaf, and every proof about it, stays. */
export interface Erasures {
  /** `journal.fact_not_found`, `journal.erasure_refused`. */
  requestErasure(actor: Actor, wanted: { fact: number; reason: string }): Promise<Fact<ErasureRequested>>;
  /** By another principal than the request. `journal.erasure_not_requested`, `journal.second_person_needed`, `journal.erasure_refused`. */
  confirmErasure(actor: Actor, wanted: { fact: number }): Promise<Fact<PayloadErased>>;
  /** Newest first. */
  erasures(limit: number): Promise<Erasure[]>;
}

/** A request that nobody confirmed in this time has to be made again. */
const REQUEST_VALID_MS = 7 * 24 * 3_600_000;

const streamOf = (fact: number): string => `erasure/${fact}`;

/** The journal's own facts. Its tables are the facts themselves, so they are no evidence tables and rebuild does not compare them. */
export function journalModule(modules: readonly ModuleDefinition[]): ModuleDefinition {
  const rules = rulesOf(modules);
  return {
    name: 'journal',
    migrations,
    facts: [erasureRequested, payloadErased] as ModuleDefinition['facts'],
    apply: {
      [payloadErased.type]: onFact(payloadErased, async (tx, { fact: number, type, residue }, fact) => {
        await erasePayload(tx, { number, erasedBy: fact.number, residue: canonicalJson(residue) });
        await rules.get(type)?.scrub(tx, (residue as { payload: unknown }).payload);
      }),
    },
  };
}

const rulesOf = (modules: readonly ModuleDefinition[]) =>
  new Map(modules.flatMap((module) => Object.entries(module.erase ?? {})));

export function createErasures({
  journal,
  modules,
  clock,
}: {
  journal: Pick<Journal, 'find' | 'record' | 'byStream' | 'read' | 'commitmentHolds'>;
  modules: readonly ModuleDefinition[];
  clock: Clock;
}): Erasures {
  const rules = rulesOf(modules);

  /** Erasing what was tampered with would remove the evidence; erasing an erasure would leave nothing that explains the gap. */
  async function requireErasable(number: number): Promise<Fact> {
    const fact = await journal.find(number);
    if (!fact) throw noFact(number);
    if (fact.type.startsWith('journal.')) throw refused(number, 'it is part of an erasure itself');
    const state = await journal.commitmentHolds(number);
    if (state === 'erased') throw refused(number, 'it is erased already');
    if (state !== 'holds') throw refused(number, 'its payload was altered or removed, which must be cleared up first');
    return fact;
  }

  async function openRequest(number: number): Promise<Fact<ErasureRequested> | undefined> {
    const facts = await journal.byStream(streamOf(number));
    const newest = facts.findLast((fact) => fact.type === erasureRequested.type);
    if (!newest || newest.at + REQUEST_VALID_MS < clock.now()) return undefined;
    return newest as Fact<ErasureRequested>;
  }

  return {
    async requestErasure(actor, { fact: number, reason }) {
      const { type } = await requireErasable(number);
      const payload = { fact: number, type, reason };
      return await journal.record({ fact: erasureRequested, payload, stream: streamOf(number), actor });
    },
    async confirmErasure(actor, { fact: number }) {
      const fact = await requireErasable(number);
      const request = await openRequest(number);
      if (!request) throw notRequested(number);
      if (request.actor.principal === actor.principal) throw samePerson();
      const rule = rules.get(fact.type);
      const residue = {
        origin: { kind: fact.actor.origin.kind },
        payload: rule ? rule.residue(fact.payload) : fact.payload,
      };
      const draft: Draft<PayloadErased> = {
        fact: payloadErased,
        payload: {
          fact: number,
          type: fact.type,
          request: request.number,
          residue: JSON.parse(canonicalJson(residue)) as PayloadErased['residue'],
        },
        stream: streamOf(number),
        actor,
        expectSeq: request.seq,
      };
      return await journal.record(draft);
    },
    async erasures(limit) {
      const types = [erasureRequested.type];
      const requests = (await journal.read({ types, newestFirst: true, limit })) as Fact<ErasureRequested>[];
      return await Promise.all(
        requests.map(async ({ number, payload, actor, at, stream }) => {
          const done = (await journal.byStream(stream)).find(
            (fact) => (fact as Fact<PayloadErased>).payload.request === number,
          );
          const { fact, type, reason } = payload;
          return {
            fact,
            type,
            request: number,
            requestedBy: actor.principal,
            requestedAt: at,
            reason,
            erasedBy: done?.number,
          };
        }),
      );
    },
  };
}

/** Payload and commitment of a row; a payload that is gone counts as erased only if an intact fact says so and names this residue. */
export async function holds(
  row: FullRow | undefined,
  find: (number: number) => Promise<FullRow | undefined>,
): Promise<'holds' | 'broken' | 'erased' | 'missing'> {
  if (!row) return 'missing';
  if (row.private !== null && row.salt !== null) {
    return commitmentOf(row.salt, row.private).equals(row.commitment) ? 'holds' : 'broken';
  }
  if (row.erased_by === null || row.residue === null) return 'missing';
  const by = await find(row.erased_by);
  if (!by || by.type !== payloadErased.type || by.private === null || by.salt === null) return 'missing';
  if (!commitmentOf(by.salt, by.private).equals(by.commitment)) return 'missing';
  const { fact, residue } = toFact(by).payload as PayloadErased;
  return fact === row.number && canonicalJson(residue) === row.residue ? 'erased' : 'missing';
}

const noFact = (number: number) =>
  new Problem({
    code: 'journal.fact_not_found',
    kind: 'not_found',
    message: `There is no fact number ${number}.`,
    hint: 'The number of a fact stands on its page and in --json output.',
  });

const refused = (number: number, reason: string) =>
  new Problem({
    code: 'journal.erasure_refused',
    kind: 'conflict',
    message: `The payload of fact ${number} cannot be erased: ${reason}.`,
    hint: 'See what the ledger says about this fact with `waybill ledger entry`.',
  });

const notRequested = (number: number) =>
  new Problem({
    code: 'journal.erasure_not_requested',
    kind: 'conflict',
    message: `Nobody has asked for fact ${number} to be erased in the last seven days.`,
    hint: 'One person requests it, another one confirms.',
  });

const samePerson = () =>
  new Problem({
    code: 'journal.second_person_needed',
    kind: 'forbidden',
    message: 'Whoever asked for an erasure cannot confirm it.',
    hint: 'Ask another person who may erase to confirm.',
  });
