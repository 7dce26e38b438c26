import { failed, passed, Problem, verdictOf } from '#base';
import type { Check, Verdict } from '#base';
import { openCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { hashBase64, hashFromBase64, leafHash } from './hash.ts';
import type { Hash } from './hash.ts';
import { verifyInclusion } from './proof.ts';
import type { NoteVerifier } from './vkey.ts';

/** C2SP tlog-proof: inclusion of one leaf in one signed checkpoint, as a text file that needs no server. */
export interface TlogProof {
  index: number;
  path: readonly Hash[];
  /** The signed note of the checkpoint, verbatim. */
  note: string;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
const PROOF_MAX_CHARS = 128 * 1024;
const PATH_MAX = 63;

export function renderTlogProof({ index, path, note }: TlogProof): string {
  return `${HEADER}\nindex ${index}\n${path.map((hash) => `${hashBase64(hash)}\n`).join('')}\n${note}`;
}

/** `Problem ledger.proof_invalid` for anything but one well-formed proof. */
export function parseTlogProof(text: string): TlogProof {
  const blank = text.indexOf('\n\n');
  if (text.length > PROOF_MAX_CHARS || blank < 0) throw invalidProof('it has no checkpoint');
  const [header, ...lines] = text.slice(0, blank).split('\n');
  if (header !== HEADER) throw invalidProof(`its first line is not ${HEADER}`);
  // An `extra` line is not authenticated by anything, so it is skipped.
  if (lines[0]?.startsWith('extra ')) lines.shift();
  const index = Number(/^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? '')?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(index)) throw invalidProof('its index is not a plain decimal number');
  const path = lines.map(hashFromBase64);
  if (path.length > PATH_MAX || path.includes(undefined)) throw invalidProof('a hash of its path is malformed');
  return { index, path: path as Hash[], note: text.slice(blank + 2) };
}

/** Offline: is `leaf` (its bytes) in the log that `verifiers` sign for? */
export function verifyTlogProof(
  proof: TlogProof,
  leaf: Uint8Array,
  origin: string,
  verifiers: readonly NoteVerifier[],
): Verdict {
  let checkpoint: SignedCheckpoint;
  try {
    checkpoint = openCheckpoint(proof.note, origin, verifiers);
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return verdictOf([failed('ledger.checkpoint', { code: error.code, detail: error.message, fix: error.hint })]);
  }
  const { size, root } = checkpoint;
  return verdictOf([
    passed('ledger.checkpoint', `size ${size}, signed by a key you pinned`),
    inclusionCheck(
      verifyInclusion({ index: proof.index, size, leaf: leafHash(leaf), path: proof.path, root }),
      proof.index,
      size,
    ),
  ]);
}

function inclusionCheck(included: boolean, index: number, size: number): Check {
  if (included) return passed('ledger.inclusion', `leaf ${index} of ${size}`);
  return failed('ledger.inclusion', {
    code: 'ledger.not_included',
    expected: 'a path from this leaf to the signed root',
    found: 'another root',
    fix: 'Compare the leaf with the entry in the log: one of the two was altered.',
  });
}

function invalidProof(reason: string): Problem {
  return new Problem({
    code: 'ledger.proof_invalid',
    kind: 'invalid',
    message: `This is not a tlog proof: ${reason}.`,
    hint: 'Fetch the proof again from the server that runs the log.',
  });
}
