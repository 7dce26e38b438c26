import { failed, notChecked, passed, Problem, verdictOf } from '#base';
import type { Check, Verdict } from '#base';
import { openCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import type { LogFiles } from './files.ts';
import { hashBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { readHistory } from './history.ts';
import type { LeafSource, SourceName } from './source.ts';
import { sweepLog, witnesses } from './sweep.ts';
import type { Finding, Sweep } from './sweep.ts';
import type { NoteVerifier } from './vkey.ts';

export type AuditProgress = (progress: { done: number; total: number }) => void;

export interface AuditOptions {
  dir: string;
  files: LogFiles;
  origin: string;
  verifier: NoteVerifier;
  source: LeafSource;
  sourceName: SourceName;
  /** What the log believes to be its newest checkpoint. */
  checkpoint: SignedCheckpoint;
  /** A leaf to report on. */
  index?: number;
  onProgress?: AuditProgress;
}

export interface LogAudit {
  verdict: Verdict;
  /** Of the leaf asked for: its signed hash if it could be established, and what the entry and the source hash to. */
  leaf?: { signed: Hash | undefined; entry: Hash | undefined; source: Hash | undefined };
}

/**
 * Reads every entry, tile and checkpoint of a log again and says which were altered.
 * Entries, leaf tiles and source each tell the leaf hashes; the signed root decides who is right, so an altered
 * entry, an altered tile and an altered source are told apart.
 */
export async function auditLog(options: AuditOptions): Promise<LogAudit> {
  const { checkpoint, check } = await auditCheckpoint(options);
  if (!checkpoint) {
    const names = ['ledger.history', 'ledger.inclusion', 'ledger.entry', 'ledger.tile', options.sourceName.check];
    const rest = names.map((name) => notChecked(name, 'No checkpoint with a good signature is left to compare with.'));
    return { verdict: verdictOf([check, ...rest]) };
  }
  const history = await loadHistory(options, checkpoint.size);
  const sweep = await findHonestWitness(options, checkpoint, history.roots);
  const historyCheck = history.broken ?? historyAgainst(sweep, history.roots);
  const verdict = verdictOf([check, historyCheck, ...sweepChecks(options, checkpoint, sweep)]);
  if (options.index === undefined) return { verdict };
  return { verdict, leaf: { signed: sweep?.leaf?.truth, entry: sweep?.leaf?.entry, source: sweep?.leaf?.source } };
}

/** The exposed file and the log's own knowledge of it. What is audited is the larger of the two that has a good signature. */
export async function auditCheckpoint(
  options: Pick<AuditOptions, 'files' | 'origin' | 'verifier'> & { checkpoint: SignedCheckpoint | undefined },
): Promise<{ checkpoint: SignedCheckpoint | undefined; check: Check }> {
  const known = options.checkpoint && tryOpen(options, options.checkpoint.note);
  const note = await options.files.readCheckpoint();
  const exposed = note === undefined ? undefined : tryOpen(options, note);
  const own = Problem.is(known) ? undefined : known;

  if (Problem.is(exposed) || exposed === undefined) {
    const fix = 'Restore the file `checkpoint` from the last line of `checkpoints`.';
    const found = exposed?.message ?? 'no file';
    return {
      checkpoint: own,
      check: failed('ledger.checkpoint', {
        code: 'ledger.checkpoint_altered',
        expected: 'a checkpoint signed by this log',
        found,
        fix,
      }),
    };
  }
  if (own?.size === exposed.size && own.root !== exposed.root) {
    return {
      checkpoint: own,
      check: failed('ledger.checkpoint', {
        code: 'ledger.fork_detected',
        expected: `root ${hashBase64(own.root)} at size ${own.size}`,
        found: `root ${hashBase64(exposed.root)}, signed as well`,
        fix: 'Keep both notes: together they prove that the log signed two histories.',
      }),
    };
  }
  if (own && exposed.size < own.size) {
    return {
      checkpoint: own,
      check: failed('ledger.checkpoint', {
        code: 'ledger.rolled_back',
        expected: `size ${own.size} or more`,
        found: `size ${exposed.size}`,
        fix: 'Start the server: it exposes the recorded checkpoint again, or says why it will not.',
      }),
    };
  }
  // The file is replaced before this process takes note of it, so it may be ahead.
  const checkpoint = own && own.size >= exposed.size ? own : exposed;
  return {
    checkpoint,
    check: passed('ledger.checkpoint', `size ${checkpoint.size}, root ${hashBase64(checkpoint.root)}`),
  };
}

function tryOpen(
  { origin, verifier }: Pick<AuditOptions, 'origin' | 'verifier'>,
  note: string,
): SignedCheckpoint | Problem {
  try {
    return openCheckpoint(note, origin, [verifier]);
  } catch (error) {
    if (Problem.is(error)) return error;
    throw error;
  }
}

/** Every checkpoint ever signed, as far as it is about the first `size` leaves. */
async function loadHistory(
  options: AuditOptions,
  size: number,
): Promise<{ roots: Map<number, Hash>; broken: Check | undefined }> {
  const roots = new Map<number, Hash>();
  let broken: Check | undefined;
  const report = (place: string, found: string): void => {
    broken ??= failed('ledger.history', {
      code: 'ledger.history_altered',
      expected: 'a checkpoint signed by this log',
      found,
      detail: `${place} of the file checkpoints`,
      fix: 'Restore the file from a backup.',
    });
  };
  for await (const { line, note } of readHistory(options.dir)) {
    const checkpoint = note === undefined ? undefined : tryOpen(options, note);
    if (checkpoint === undefined) report(`line ${line}`, 'a line that cannot be read');
    else if (Problem.is(checkpoint)) report(`line ${line}`, checkpoint.message);
    else if ((roots.get(checkpoint.size) ?? checkpoint.root) !== checkpoint.root)
      report(`line ${line}`, `a second root at size ${checkpoint.size}`);
    else if (checkpoint.size <= size) roots.set(checkpoint.size, checkpoint.root);
  }
  if (!roots.has(size)) report('end', `no checkpoint of size ${size}`);
  return { roots, broken };
}

/** The first witness whose leaf hashes give the signed root, with everything compared to it; undefined if none does. */
async function findHonestWitness(
  options: AuditOptions,
  { size, root }: SignedCheckpoint,
  history: ReadonlyMap<number, Hash>,
): Promise<Sweep | undefined> {
  const sweep = (witness: (typeof witnesses)[number]): Promise<Sweep> =>
    sweepLog({ ...options, size, history, witness });
  const first = await sweep('entries');
  if (first.roots.entries === root) return first;
  const honest = witnesses.find((witness) => first.roots[witness] === root);
  return honest && (await sweep(honest));
}

function historyAgainst(sweep: Sweep | undefined, roots: ReadonlyMap<number, Hash>): Check {
  if (!sweep) return notChecked('ledger.history', 'The tree that was signed could not be rebuilt.');
  if (sweep.history.count === 0) return passed('ledger.history', `${roots.size} signed checkpoints, all of this tree`);
  return failed('ledger.history', {
    code: 'ledger.fork_detected',
    expected: `root ${sweep.history.expected}`,
    found: `root ${sweep.history.found}`,
    detail: `checkpoint of size ${sweep.history.first}`,
    fix: 'Keep this checkpoint and the newest one: together they prove that the log signed two histories.',
  });
}

function sweepChecks(
  { sourceName }: AuditOptions,
  { size, root }: SignedCheckpoint,
  sweep: Sweep | undefined,
): Check[] {
  if (!sweep) {
    const unknown = 'Neither entries, tiles nor source hash to the signed root, so none of them can be trusted.';
    return [
      failed('ledger.inclusion', {
        code: 'ledger.not_included',
        expected: `root ${hashBase64(root)} at size ${size}`,
        found: 'other roots',
        detail: unknown,
        fix: 'Restore the log from a backup.',
      }),
      ...['ledger.entry', 'ledger.tile', sourceName.check].map((name) => notChecked(name, unknown)),
    ];
  }
  const source = sourceName.describe(Number(sweep.source.first ?? 0));
  return [
    passed('ledger.inclusion', `${size} leaves hash to the signed root`),
    findingCheck(
      'ledger.entry',
      'ledger.entry_altered',
      sweep.entries,
      `${size} entries re-hashed`,
      `entry ${sweep.entries.first}`,
    ),
    findingCheck(
      'ledger.tile',
      'ledger.tile_altered',
      sweep.tiles,
      `${sweep.tileCount} tiles recomputed`,
      String(sweep.tiles.first),
    ),
    findingCheck(sourceName.check, sourceName.code, sweep.source, `${size} leaves derived again`, source),
  ];
}

function findingCheck(name: string, code: string, finding: Finding, good: string, first: string): Check {
  if (finding.count === 0) return passed(name, good);
  return failed(name, {
    code,
    ...(finding.expected === undefined ? {} : { expected: finding.expected }),
    ...(finding.found === undefined ? {} : { found: finding.found }),
    detail: finding.count === 1 ? `altered: ${first}` : `altered: ${first} and ${finding.count - 1} more`,
    fix: 'Restore it from a backup; the signed log proves what it was.',
  });
}
