import { Problem } from '#base';
import { decodeBase64 } from './hash.ts';
import type { NoteVerifier } from './vkey.ts';

/** C2SP signed-note: parse and verify. Pure, usable with no server at all. */

/** ML-DSA-44 lines are 3.3 kB each and 16 signatures must be accepted. */
const NOTE_MAX_CHARS = 96 * 1024;
const SIGNATURES_MAX = 64;

export interface NoteSignature {
  name: string;
  /** The first four bytes name the key; they are a hint, never proof. */
  keyId: number;
  signature: Buffer;
}

export interface Note {
  /** What is signed; ends with a newline. */
  text: string;
  signatures: readonly NoteSignature[];
}

// Control characters, lone surrogates (no UTF-8 form), and what Unicode calls a space.
// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u0009\u000b-\u001f]|\p{Surrogate}/u;
const SIGNATURE_LINE = /^\u2014 ([^\s\u0085+]+) ([A-Za-z0-9+/]+={0,2})$/u;

/** Untrusted text → its parts; `Problem ledger.note_invalid` for anything but a well-formed signed note. */
export function parseNote(note: string): Note {
  if (note.length > NOTE_MAX_CHARS) throw invalidNote(`it is longer than ${NOTE_MAX_CHARS} characters`);
  if (FORBIDDEN.test(note)) throw invalidNote('it has control characters or is not UTF-8');
  const blank = note.lastIndexOf('\n\n');
  if (blank < 0 || !note.endsWith('\n') || blank + 2 === note.length) throw invalidNote('it has no signature lines');
  const lines = note.slice(blank + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) throw invalidNote(`it has more than ${SIGNATURES_MAX} signatures`);
  return { text: note.slice(0, blank + 1), signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): NoteSignature {
  const match = SIGNATURE_LINE.exec(line);
  const bytes = match?.[2] === undefined ? undefined : decodeBase64(match[2]);
  if (!match || !bytes || bytes.length < 5) throw invalidNote('a signature line is malformed');
  return { name: match[1] as string, keyId: bytes.readUInt32BE(0), signature: bytes.subarray(4) };
}

export function renderSignatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = Buffer.alloc(4);
  id.writeUInt32BE(keyId);
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/** `text` must end with a newline. */
export function renderNote(text: string, signatures: readonly NoteSignature[]): string {
  return `${text}\n${signatures.map(renderSignatureLine).join('')}`;
}

export interface OpenedNote {
  text: string;
  /** The distinct keys that signed: a quorum counts keys, never lines. */
  signers: ReadonlySet<NoteVerifier>;
}

/**
 * Verifies a note. Signatures of unknown keys are ignored; a bad signature of a known key refuses the
 * whole note, and so does a note without a signature of a known key.
 * `Problem ledger.note_invalid` or `ledger.signature_invalid`.
 */
export function openNote(note: string, verifiers: readonly NoteVerifier[]): OpenedNote {
  const { text, signatures } = parseNote(note);
  const signers = new Set<NoteVerifier>();
  for (const { name, keyId, signature } of signatures) {
    for (const verifier of verifiers) {
      if (verifier.name !== name || verifier.keyId !== keyId) continue;
      if (!verifier.verify(text, signature)) throw badSignature(`The signature of ${name} does not fit the note.`);
      signers.add(verifier);
    }
  }
  if (signers.size === 0) throw badSignature('The note has no signature of a known key.');
  return { text, signers };
}

function invalidNote(reason: string): Problem {
  return new Problem({
    code: 'ledger.note_invalid',
    kind: 'invalid',
    message: `This is not a signed note: ${reason}.`,
    hint: 'Fetch the checkpoint again; if it stays so, it was damaged or replaced.',
  });
}

function badSignature(message: string): Problem {
  return new Problem({
    code: 'ledger.signature_invalid',
    kind: 'rejected',
    message,
    hint: 'Check that the log key is the one you pinned; if it is, somebody altered the note. Keep it as evidence.',
  });
}
