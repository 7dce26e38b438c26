import { type Check, type Digest, failed, firstRefusal, notChecked, passed, toIso } from '#base';
import type { BundleState, ObjectState, Proven } from './evidence.ts';

/** The hand-offs an artifact passed, newest first. */
export const hopKinds = [
  'file',
  'deployment',
  'promotion',
  'publication',
  'object',
  'provenance',
  'run',
  'push',
  'commit',
] as const;
export type HopKind = (typeof hopKinds)[number];

export interface FactView {
  number: number;
  /** Index of its leaf in the `events` log. */
  leaf: number;
  type: string;
  stream: string;
  at: string;
  principal: string;
}

export interface Hop {
  kind: HopKind;
  /** What it is about: a path, an id, a digest. */
  id: string;
  /** One line of plain English. */
  title: string;
  at: string | null;
  ok: boolean;
  facts: FactView[];
  /** What the next hop must agree with. */
  links: Record<string, string>;
  checks: Check[];
}

interface HopParts {
  kind: HopKind;
  id: string;
  title: string;
  proven?: readonly (Proven | null | undefined)[];
  links?: Record<string, string>;
  checks?: readonly Check[];
}

/** The ledger's word on each fact comes first: what is not in the log did not happen. */
export function makeHop({ kind, id, title, proven = [], links = {}, checks = [] }: HopParts): Hop {
  const known = proven.filter((entry) => entry !== null && entry !== undefined);
  const all = [...known.flatMap(ledgerChecks), ...checks];
  return {
    kind,
    id,
    title,
    at: known[0] ? toIso(known[0].fact.at) : null,
    ok: all.length > 0 && all.every(({ status }) => status === 'passed'),
    facts: known.map(viewFact),
    links,
    checks: all,
  };
}

function viewFact({ fact: { number, type, stream, at, actor } }: Proven): FactView {
  return { number, leaf: number - 1, type, stream, at: toIso(at), principal: actor.principal };
}

/** One check a fact if the ledger vouches for it, otherwise the very checks that say no. */
function ledgerChecks({ fact, ledger }: Proven): Check[] {
  const name = `ledger: ${fact.type}`;
  if (ledger.ok) return [passed(name, `fact ${fact.number} is leaf ${fact.number - 1} of the log`)];
  const refusals = ledger.checks.filter(({ status }) => status === 'failed');
  if (refusals.length > 0) {
    return refusals.map((check) => ({ ...check, name: `${name}: ${check.name}`, detail: `fact ${fact.number}` }));
  }
  const reason = firstRefusal(ledger);
  return [
    failed(name, {
      code: 'trace.not_proven',
      expected: `fact ${fact.number} in the log`,
      found: reason?.detail ?? 'no proof',
    }),
  ];
}

/** A hop that should be there and is not. */
export function missingHop(kind: HopKind, id: string, title: string, expected: string): Hop {
  const check = failed(`${kind} is on record`, { code: 'trace.link_missing', expected, found: 'nothing' });
  return makeHop({ kind, id, title, checks: [check] });
}

/** Beyond a missing hop nothing is known, so nothing is claimed. */
export function unknownHop(kind: HopKind, title: string): Hop {
  return makeHop({ kind, id: '', title, checks: [notChecked(kind, 'The hop before it leads nowhere.')] });
}

/** The facts of one thing count from 1 and each names the one before: a fact that was taken out leaves a gap. */
export function streamCheck(
  facts: readonly { seq: number; number: number; previous: number | null; stream: string }[],
): Check {
  const name = 'no fact of it is missing';
  const gap = facts.findIndex(
    ({ seq, previous }, index) => seq !== index + 1 || previous !== (facts[index - 1]?.number ?? null),
  );
  if (gap < 0) return passed(name, `${facts.length} facts`);
  return failed(name, {
    code: 'trace.fact_missing',
    expected: `fact ${gap + 1} of ${facts[gap]!.stream}`,
    found: `fact ${facts[gap]!.seq}, after ${facts[gap]!.previous ?? 'none'}`,
    fix: 'Somebody took a fact out of the database. The log still has its entry: restore it from a backup.',
  });
}

export function agrees(name: string, expected: unknown, found: unknown): Check {
  if (expected === found && expected !== undefined) return passed(name, String(found));
  return failed(name, { code: 'trace.link_broken', expected: String(expected), found: String(found) });
}

export function holds(name: string, condition: boolean, notes: { expected: string; found: string }): Check {
  return condition ? passed(name) : failed(name, { code: 'trace.link_broken', ...notes });
}

export function objectCheck(name: string, { digest, found }: ObjectState): Check {
  if (found === digest) return passed(name, `re-hashed: ${digest}`);
  return failed(name, {
    code: found === null ? 'trace.object_missing' : 'trace.object_altered',
    expected: digest,
    found: found ?? 'no object',
    fix: 'Somebody wrote to the object store. Restore the object from a backup.',
  });
}

export const bundleCheck = (name: string, state: BundleState) => objectCheck(name, state);

export function digestCheck(name: string, expected: Digest | string, found: string): Check {
  if (expected === found) return passed(name, found);
  return failed(name, { code: 'trace.file_drifted', expected, found, fix: 'What runs is not what was verified.' });
}

export function bundleVerdict(name: string, verdict: { ok: boolean; checks: readonly Check[] }): Check {
  if (verdict.ok) return passed(name, `${verdict.checks.length} checks`);
  const refusal = firstRefusal(verdict);
  return failed(name, {
    code: 'trace.bundle_invalid',
    expected: refusal?.expected ?? 'a bundle that verifies',
    found: `${refusal?.name ?? 'bundle'}: ${refusal?.found ?? refusal?.detail ?? 'not checked'}`,
  });
}
