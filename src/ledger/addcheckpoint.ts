import { Problem } from '#base';
import { hashBase64, hashFromBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { parseNote } from './note.ts';

/** C2SP tlog-witness `add-checkpoint`: the body of the request. Pure. */
export interface AddCheckpoint {
  oldSize: number;
  path: readonly Hash[];
  /** The signed checkpoint, verbatim; well-formed, its signatures not looked at yet. */
  note: string;
}

/** A log line, 63 hashes and a few signatures fit into 16 KiB; an ML-DSA-44 line takes another 3.3 KiB. */
export const ADD_CHECKPOINT_MAX_BYTES = 64 * 1024;
const PATH_MAX = 63;

/** `Problem ledger.submission_invalid` or `ledger.note_invalid`. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  if (body.length > ADD_CHECKPOINT_MAX_BYTES) throw invalidSubmission('it is too large');
  const blank = body.indexOf('\n\n');
  if (blank < 0) throw invalidSubmission('it has no checkpoint');
  const [first = '', ...lines] = body.slice(0, blank).split('\n');
  const oldSize = Number(/^old (0|[1-9][0-9]{0,15})$/.exec(first)?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(oldSize)) throw invalidSubmission('its first line is not `old` and a plain decimal number');
  if (lines.length > PATH_MAX) throw invalidSubmission(`it has more than ${PATH_MAX} hashes`);
  const path = lines.map(hashFromBase64);
  if (path.includes(undefined)) throw invalidSubmission('a hash is not the canonical base64 of 32 bytes');
  const note = body.slice(blank + 2);
  parseNote(note);
  return { oldSize, path: path as Hash[], note };
}

export function renderAddCheckpoint({ oldSize, path, note }: AddCheckpoint): string {
  return `old ${oldSize}\n${path.map((hash) => `${hashBase64(hash)}\n`).join('')}\n${note}`;
}

function invalidSubmission(reason: string): Problem {
  return new Problem({
    code: 'ledger.submission_invalid',
    kind: 'invalid',
    message: `This is not an add-checkpoint request: ${reason}.`,
    hint: 'Send it as C2SP tlog-witness says: `old` line, consistency hashes, an empty line, the signed checkpoint.',
  });
}
