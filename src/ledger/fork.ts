import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, type Digest, failed, passed, parseJson, parseWith, Problem, verdictOf } from '#base';
import type { Verdict } from '#base';
import { type Journal, systemActor } from '#journal';
import type { Db, Objects } from '#storage';
import { openCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { alertRaised, forkEvidence, forkKinds } from './facts.ts';
import { hashBase64 } from './hash.ts';
import { listForks } from './store.ts';
import { parseVkey } from './vkey.ts';

/**
 * Evidence against a log, as a file that anybody can check: two notes it signed that cannot both be true (`split_view`), a note
 * shorter than one it had signed before (`rollback`), or two notes it could not show to be consistent (`inconsistent`).
 * Only `split_view` proves itself; the others prove what was signed, and say who met them in which order.
 */
export const ForkFile = z.strictObject({
  v: z.literal(1),
  kind: z.literal('waybill.fork-evidence'),
  fork: z.enum(forkKinds),
  origin: z.string().min(1).max(255),
  vkey: z.string().max(4096),
  /** Seen first. */
  first: z.string().max(100_000),
  /** Seen after it. */
  second: z.string().max(100_000),
  noticedBy: z.string().max(200),
});
export type ForkFile = z.infer<typeof ForkFile>;

const FORK_FILE_MAX_CHARS = 512 * 1024;

export function renderForkFile(fork: Omit<ForkFile, 'v' | 'kind'>): string {
  return `${canonicalJson({ v: 1, kind: 'waybill.fork-evidence', ...fork } satisfies ForkFile)}\n`;
}

/** `Problem base.json_invalid` or `ledger.evidence_invalid`. */
export function parseForkFile(text: string): ForkFile {
  return parseWith(ForkFile, parseJson(text, FORK_FILE_MAX_CHARS), 'ledger.evidence_invalid');
}

/** Offline: did the holder of this key sign both? `vkey`: the key the reader pinned, if he did. */
export function verifyForkFile(file: ForkFile, vkey = file.vkey): Verdict {
  let notes: [SignedCheckpoint, SignedCheckpoint];
  try {
    const verifier = parseVkey(vkey);
    notes = [openCheckpoint(file.first, file.origin, [verifier]), openCheckpoint(file.second, file.origin, [verifier])];
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return verdictOf([
      failed('ledger.evidence', { code: error.code, expected: 'two notes signed by the log', found: error.message }),
    ]);
  }
  const [first, second] = notes;
  const signed = passed('ledger.evidence', `both notes are signed by ${vkey.slice(0, vkey.indexOf('+'))}`);
  const holds =
    file.fork === 'split_view'
      ? first.size === second.size && first.root !== second.root
      : file.fork === 'rollback'
        ? second.size < first.size
        : second.size > first.size;
  const detail = `sizes ${first.size} and ${second.size}, roots ${hashBase64(first.root)} and ${hashBase64(second.root)}`;
  if (holds) return verdictOf([signed, passed(`ledger.${file.fork}`, detail)]);
  return verdictOf([
    signed,
    failed(`ledger.${file.fork}`, { code: 'ledger.evidence_invalid', expected: 'contradicting notes', found: detail }),
  ]);
}

/** What kind of contradiction two notes of one origin are; undefined if they are none. */
export function contradictionOf(
  first: SignedCheckpoint,
  second: SignedCheckpoint,
): 'split_view' | 'rollback' | undefined {
  if (first.size === second.size) return first.root === second.root ? undefined : 'split_view';
  return second.size < first.size ? 'rollback' : undefined;
}

/** Keeps the evidence as an object and as a fact, with an alert; once for the same evidence. */
export async function recordFork(
  { journal, db, objects }: { journal: Journal; db: Db; objects: Pick<Objects, 'put'> },
  fork: Omit<ForkFile, 'v' | 'kind'>,
): Promise<Digest> {
  const { digest } = await objects.put(Buffer.from(renderForkFile(fork)));
  const known = await listForks(db, fork.origin);
  if (known.some(({ evidence }) => evidence === digest)) return digest;
  const actor = systemActor('witness');
  const message = `The log ${fork.origin} contradicts itself (${fork.fork}); noticed by ${fork.noticedBy}.`;
  await journal.recordAll([
    {
      fact: forkEvidence,
      payload: { origin: fork.origin, kind: fork.fork, evidence: digest, noticedBy: fork.noticedBy },
      stream: originStream(fork.origin),
      actor,
      subject: digest,
    },
    {
      fact: alertRaised,
      payload: { alert: 'fork' as const, origin: fork.origin, message },
      stream: originStream(fork.origin),
      actor,
    },
  ]);
  return digest;
}

/** Names a log on the wire (C2SP tlog-witness) and in streams: its origin may hold characters that neither allows. */
export function originHash(origin: string): string {
  return createHash('sha256').update(origin).digest('hex');
}

export const originStream = (origin: string): string => `log/${originHash(origin)}`;
