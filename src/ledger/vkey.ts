import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Problem } from '#base';
import { decodeBase64 } from './hash.ts';
import type { NoteSignature } from './note.ts';
import { renderNote } from './note.ts';

/** Keys of signed notes: C2SP signed-note types 0x01 and 0x02, tlog-cosignature type 0x04. */
export type NoteAlgorithm = 'ed25519' | 'p256' | 'cosignature';

const TYPE_BYTES: Readonly<Record<NoteAlgorithm, number>> = { ed25519: 0x01, p256: 0x02, cosignature: 0x04 };
const ED25519_SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export interface NoteVerifier {
  name: string;
  keyId: number;
  algorithm: NoteAlgorithm;
  /** `<name>+<8 hex digits>+<base64>`; what a person pins. */
  vkey: string;
  publicKey: KeyObject;
  verify(text: string, signature: Buffer): boolean;
}

/** A key that signs notes; the private part stays where `sign` comes from. */
export interface NoteSigner {
  verifier: NoteVerifier;
  sign(text: string): Promise<NoteSignature>;
}

/** What the vault gives out for a key: Ed25519 signs raw, ECDSA gives DER over SHA-256. */
export interface KeySigner {
  publicKey: KeyObject;
  sign(bytes: Uint8Array): Promise<Buffer>;
}

/** `name` stands on the signature line. It may differ from the origin (Rekor v1: origin `host - 42`, name `host`). */
export function createNoteSigner(name: string, key: KeySigner): NoteSigner {
  const verifier = createNoteVerifier(name, key.publicKey);
  return {
    verifier,
    async sign(text) {
      return { name, keyId: verifier.keyId, signature: await key.sign(Buffer.from(text)) };
    },
  };
}

export async function signNote(text: string, signers: readonly NoteSigner[]): Promise<string> {
  return renderNote(text, await Promise.all(signers.map((signer) => signer.sign(text))));
}

export function createNoteVerifier(
  name: string,
  publicKey: KeyObject,
  use: 'log' | 'cosignature' = 'log',
): NoteVerifier {
  if (name === '' || name.length > 255 || /[\s\u0085+]/u.test(name))
    throw invalidKey('its name is empty or has a space or plus');
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const algorithm = algorithmOf(publicKey, use);
  // Ed25519 keys stand as 32 raw bytes, ECDSA keys as SPKI.
  const key = algorithm === 'p256' ? spki : spki.subarray(ED25519_SPKI_PREFIX.length);
  const typed = Buffer.concat([Buffer.of(TYPE_BYTES[algorithm]), key]);
  const id = sha256(algorithm === 'p256' ? spki : Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, 4);
  return {
    name,
    keyId: id.readUInt32BE(0),
    algorithm,
    vkey: `${name}+${id.toString('hex')}+${typed.toString('base64')}`,
    publicKey,
    verify: (text, signature) => verifySignature(algorithm, publicKey, text, signature),
  };
}

function algorithmOf(key: KeyObject, use: 'log' | 'cosignature'): NoteAlgorithm {
  if (key.type !== 'public') throw invalidKey('it is not a public key');
  if (key.asymmetricKeyType === 'ed25519') return use === 'log' ? 'ed25519' : 'cosignature';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (use === 'log' && key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return 'p256';
  throw invalidKey('only Ed25519 and ECDSA P-256 sign notes');
}

function verifySignature(algorithm: NoteAlgorithm, key: KeyObject, text: string, signature: Buffer): boolean {
  const message = Buffer.from(text);
  if (algorithm === 'p256') return verify('sha256', message, key, signature);
  if (algorithm === 'ed25519') return signature.length === 64 && verify(null, message, key, signature);
  if (signature.length !== 72) return false;
  const head = `cosignature/v1\ntime ${signature.readBigUInt64BE(0)}\n`;
  return verify(null, Buffer.concat([Buffer.from(head), message]), key, signature.subarray(8));
}

/** A pinned key → verifier; `Problem ledger.vkey_invalid` unless the id fits the key. */
export function parseVkey(vkey: string): NoteVerifier {
  // Base64 may hold a plus as well: only the first two separate.
  const nameEnd = vkey.indexOf('+');
  const idEnd = vkey.indexOf('+', nameEnd + 1);
  const typed = idEnd < 0 || vkey.length > 4096 ? undefined : decodeBase64(vkey.slice(idEnd + 1));
  if (!typed || typed.length < 2) throw invalidKey('it is not <name>+<id>+<base64>');
  const verifier = createNoteVerifier(vkey.slice(0, nameEnd), ...importKey(typed));
  if (verifier.vkey !== vkey) throw invalidKey('its id does not fit its key');
  return verifier;
}

function importKey(typed: Buffer): [KeyObject, 'log' | 'cosignature'] {
  const type = typed[0];
  const key = typed.subarray(1);
  const spki = type === TYPE_BYTES.p256 ? key : Buffer.concat([ED25519_SPKI_PREFIX, key]);
  if (
    type !== TYPE_BYTES.p256 &&
    (key.length !== 32 || (type !== TYPE_BYTES.ed25519 && type !== TYPE_BYTES.cosignature))
  ) {
    throw invalidKey('its type is not supported');
  }
  try {
    return [
      createPublicKey({ key: spki, format: 'der', type: 'spki' }),
      type === TYPE_BYTES.cosignature ? 'cosignature' : 'log',
    ];
  } catch {
    throw invalidKey('its key cannot be read');
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function invalidKey(reason: string): Problem {
  return new Problem({
    code: 'ledger.vkey_invalid',
    kind: 'invalid',
    message: `This is not a verifier key: ${reason}.`,
    hint: 'Copy the whole key as the server prints it: name, eight hex digits and base64, joined by plus signs.',
  });
}
