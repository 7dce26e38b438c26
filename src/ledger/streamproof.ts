import { z } from 'zod';
import { failed, notChecked, parseJson, parseWith, passed, Problem, verdictOf } from '#base';
import type { Check, Verdict } from '#base';
import type { SignedCheckpoint } from './checkpoint.ts';
import { decodeBase64, hashFromBase64, leafHash } from './hash.ts';
import type { Hash } from './hash.ts';
import { opensCommitment, parseLeaf } from './leaf.ts';
import type { Leaf } from './leaf.ts';
import { judgeCheckpoint } from './policy.ts';
import type { Policy } from './policy.ts';
import { verifyInclusion } from './proof.ts';
import { verifyMapProof } from './streammap.ts';
import type { StreamHead } from './streammap.ts';

/** Everything that was logged about one stream, with proof that nothing is missing. Pure: no server, no database, no network. */

const HashText = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);
const LeafInLog = z.strictObject({
  index: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** The exact bytes that are hashed. */
  leaf: z.string().max(65_535),
  path: z.array(HashText).max(63),
});

export const StreamProof = z.strictObject({
  v: z.literal(1),
  kind: z.literal('waybill.stream-proof'),
  stream: z.string().max(200),
  checkpoint: z.string().max(100_000),
  /** The fact that logged the root of the map, with what opens its commitment. */
  heads: LeafInLog.extend({ private: z.string().max(4000), salt: z.string().max(100) }),
  map: z.strictObject({
    siblings: z.array(HashText).max(256),
    end: z.strictObject({ key: z.string(), number: z.int(), seq: z.int() }).nullable(),
  }),
  leaves: z.array(LeafInLog).max(10_000),
});
export type StreamProof = z.output<typeof StreamProof>;

const FILE_MAX_CHARS = 64 * 1024 * 1024;
const HEADS_TYPE = 'ledger.stream_heads@1';
const Heads = z.object({
  payload: z.strictObject({ size: z.int().min(0), streams: z.int().min(0), root: HashText }),
});

/** `Problem base.json_invalid` or `ledger.stream_proof_invalid`. */
export function parseStreamProof(text: string): StreamProof {
  return parseWith(StreamProof, parseJson(text, FILE_MAX_CHARS), 'ledger.stream_proof_invalid');
}

/**
 * Is this the whole stream, in order, and all of it in the log? Complete as of the first `size` entries of the log, which the
 * map covers. Checks `ledger.checkpoint`, `ledger.quorum`, `ledger.heads`, `ledger.map`, `ledger.leaves`, `ledger.complete`;
 * an entry that was left out, made up or put elsewhere fails with `ledger.leaf_omitted`, `leaf_invented`, `leaf_reordered`.
 */
export function verifyStreamProof(
  proof: StreamProof,
  policy: Policy,
): Verdict & { leaves: readonly Leaf[]; size: number | undefined } {
  const { checkpoint, verdict } = judgeCheckpoint(proof.checkpoint, policy);
  const refuse = (checks: readonly Check[]) => ({ ...verdictOf(checks), leaves: [], size: undefined });
  if (!checkpoint) return refuse(verdict.checks);

  const heads = readHeads(proof, checkpoint);
  if ('status' in heads) return refuse([...verdict.checks, heads, ...rest('ledger.map', 'ledger.leaves')]);
  const siblings = proof.map.siblings.map(hashFromBase64) as Hash[];
  const head = verifyMapProof(proof.stream, { siblings, end: proof.map.end ?? undefined }, heads.root);
  const headsCheck = passed(
    'ledger.heads',
    `entry ${proof.heads.index} logs the map of the first ${heads.size} entries`,
  );
  if (head === undefined) {
    const map = failed('ledger.map', {
      code: 'ledger.map_proof_wrong',
      expected: 'a path to the root of the map that was logged',
      found: 'a path to another root',
      fix: 'Fetch the proof again from the server that runs the log.',
    });
    return refuse([...verdict.checks, headsCheck, map, ...rest('ledger.leaves', 'ledger.complete')]);
  }
  const seen = head === 'absent' ? 'the stream has no facts' : `${head.seq} facts, the last is fact ${head.number}`;
  const read = readLeaves(proof, checkpoint);
  const checks = [...verdict.checks, headsCheck, passed('ledger.map', seen)];
  if ('status' in read) return refuse([...checks, read, ...rest('ledger.complete')]);
  checks.push(passed('ledger.leaves', `${read.length} leaves hash to the signed root`));
  const complete = completeness(proof.stream, read, head, heads.size);
  return { ...verdictOf([...checks, complete]), leaves: complete.status === 'passed' ? read : [], size: heads.size };
}

const rest = (...names: string[]): Check[] => names.map((name) => notChecked(name, 'What it builds on failed.'));

function readHeads({ heads }: StreamProof, checkpoint: SignedCheckpoint): Check | { size: number; root: Hash } {
  const refuse = (code: string, expected: string, found: string) =>
    failed('ledger.heads', { code, expected, found, fix: 'Fetch the proof again from the server that runs the log.' });
  if (!isIncluded(heads, checkpoint)) return refuse('ledger.not_included', 'an entry of the log', 'another root');
  const leaf = tryLeaf(heads.leaf);
  const salt = decodeBase64(heads.salt);
  if (!leaf || leaf.k !== HEADS_TYPE || leaf.n !== heads.index + 1)
    return refuse('ledger.heads_wrong', HEADS_TYPE, leaf?.k ?? 'no leaf of a fact');
  if (!salt || !opensCommitment(leaf, heads.private, salt))
    return refuse('ledger.commitment_wrong', 'a payload that opens the commitment of the leaf', 'another payload');
  const read = Heads.safeParse(tryJson(heads.private));
  const root = read.success ? hashFromBase64(read.data.payload.root) : undefined;
  // A record cannot speak of entries that came after it.
  if (!read.success || root === undefined || read.data.payload.size > heads.index)
    return refuse('ledger.heads_wrong', 'size and root of a map', 'something else');
  return { size: read.data.payload.size, root };
}

function readLeaves({ leaves }: StreamProof, checkpoint: SignedCheckpoint): Check | Leaf[] {
  const read: Leaf[] = [];
  for (const entry of leaves) {
    const leaf = tryLeaf(entry.leaf);
    if (!leaf || leaf.n !== entry.index + 1 || !isIncluded(entry, checkpoint)) {
      return failed('ledger.leaves', {
        code: 'ledger.leaf_invented',
        expected: `entry ${entry.index} of the log`,
        found: 'a leaf that the signed root does not contain there',
        fix: 'This leaf was made up or altered; fetch the proof again.',
      });
    }
    read.push(leaf);
  }
  return read;
}

/** Each leaf continues the one before it, from the first to the one that the map names. What came after the map may follow. */
function completeness(stream: string, leaves: readonly Leaf[], head: StreamHead | 'absent', covered: number): Check {
  const refuse = (code: string, expected: string, found: string): Check =>
    failed('ledger.complete', {
      code,
      expected,
      found,
      fix: 'Fetch the proof again; if it stays so, keep it as evidence.',
    });
  let before: Leaf | undefined;
  for (const leaf of leaves) {
    const seq = (before?.sq ?? 0) + 1;
    if (leaf.st !== stream) return refuse('ledger.leaf_invented', `a fact of ${stream}`, `a fact of ${leaf.st}`);
    if (leaf.sq < seq) return refuse('ledger.leaf_reordered', `sequence ${seq}`, `sequence ${leaf.sq}`);
    if (leaf.sq > seq) {
      // Is it further on, or nowhere?
      const elsewhere = leaves.some((other) => other.sq === seq);
      const code = elsewhere ? 'ledger.leaf_reordered' : 'ledger.leaf_omitted';
      return refuse(code, `sequence ${seq}`, `sequence ${leaf.sq}`);
    }
    if (leaf.pv !== (before?.n ?? null))
      return refuse('ledger.leaf_reordered', `after fact ${before?.n ?? 'none'}`, `after fact ${leaf.pv}`);
    before = leaf;
  }
  const inside = leaves.filter(({ n }) => n <= covered);
  const last = inside.at(-1);
  const [wantedSeq, wantedNumber] = head === 'absent' ? [0, 0] : [head.seq, head.number];
  if (inside.length < wantedSeq)
    return refuse('ledger.leaf_omitted', `${wantedSeq} facts up to fact ${wantedNumber}`, `${inside.length} facts`);
  if (inside.length > wantedSeq || (last?.n ?? 0) !== wantedNumber)
    return refuse('ledger.leaf_invented', `fact ${wantedNumber} as the last one`, `fact ${last?.n ?? 0}`);
  return passed('ledger.complete', `all ${wantedSeq} facts of the stream in the first ${covered} entries of the log`);
}

function isIncluded({ index, leaf, path }: StreamProof['leaves'][number], { size, root }: SignedCheckpoint): boolean {
  const hashes = path.map(hashFromBase64);
  if (hashes.includes(undefined)) return false;
  return verifyInclusion({ index, size, leaf: leafHash(Buffer.from(leaf)), path: hashes as Hash[], root });
}

function tryLeaf(text: string): Leaf | undefined {
  try {
    return parseLeaf(Buffer.from(text));
  } catch (error) {
    if (Problem.is(error)) return undefined;
    throw error;
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
