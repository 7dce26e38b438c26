import { Problem } from '#base';
import { emptyRoot, hashBase64, hashFromBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { openNote } from './note.ts';
import type { NoteVerifier } from './vkey.ts';

/** C2SP tlog-checkpoint: what a log promises, once signed, never to contradict. */
export interface Checkpoint {
  origin: string;
  size: number;
  root: Hash;
}

export interface SignedCheckpoint extends Checkpoint {
  /** The signed note, exactly as it is served. */
  note: string;
}

const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** The text that is signed. We write no extension lines. */
export function renderCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${hashBase64(root)}\n`;
}

/** The text of a note → checkpoint; extension lines are allowed and ignored. `Problem ledger.checkpoint_invalid`. */
export function parseCheckpoint(text: string): Checkpoint {
  const checkpoint = parseCheckpointLines(text);
  if (checkpoint.size === 0 && checkpoint.root !== emptyRoot)
    throw invalidCheckpoint('its size is 0 but its root is not that of the empty tree');
  return checkpoint;
}

/** The same, for a witness, which must tell a malformed checkpoint from one that claims another root for the empty tree. */
export function parseCheckpointLines(text: string): Checkpoint {
  const [origin, sizeText, rootText, ...rest] = text.split('\n');
  if (!origin || sizeText === undefined || rootText === undefined || rest.pop() !== '' || rest.includes('')) {
    throw invalidCheckpoint('it does not have the lines origin, size and root');
  }
  const size = SIZE.test(sizeText) ? Number(sizeText) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw invalidCheckpoint('its size is not a plain decimal number below 2^53');
  const root = hashFromBase64(rootText);
  if (root === undefined) throw invalidCheckpoint('its root is not the canonical base64 of 32 bytes');
  return { origin, size, root };
}

/**
 * Untrusted note → a checkpoint of `origin` signed by one of `verifiers` (the log's own key).
 * `Problem ledger.note_invalid`, `ledger.signature_invalid`, `ledger.checkpoint_invalid` or `ledger.origin_wrong`.
 */
export function openCheckpoint(note: string, origin: string, verifiers: readonly NoteVerifier[]): SignedCheckpoint {
  const checkpoint = parseCheckpoint(openNote(note, verifiers).text);
  if (checkpoint.origin !== origin) {
    throw new Problem({
      code: 'ledger.origin_wrong',
      kind: 'rejected',
      message: 'The checkpoint is of another log.',
      hint: 'Fetch the checkpoint of the log you asked for.',
      details: { expected: origin, found: checkpoint.origin },
    });
  }
  return { ...checkpoint, note };
}

function invalidCheckpoint(reason: string): Problem {
  return new Problem({
    code: 'ledger.checkpoint_invalid',
    kind: 'invalid',
    message: `This is not a checkpoint: ${reason}.`,
    hint: 'Fetch the checkpoint again; if it stays so, keep it as evidence.',
  });
}
