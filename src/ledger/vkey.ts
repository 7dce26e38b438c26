import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { type Clock, Problem } from '#base';
import {
  cosignatureMessage,
  ED25519_BYTES,
  ML_DSA_44_BYTES,
  splitCosignature,
  subtreeMessage,
  timedSignature,
} from './cosignature.ts';
import { decodeBase64 } from './hash.ts';
import type { NoteSignature } from './note.ts';
import { renderNote } from './note.ts';

/** Keys of signed notes: C2SP signed-note types 0x01 and 0x02, tlog-cosignature types 0x04 and 0x06. */
export type NoteAlgorithm = 'ed25519' | 'p256' | 'cosignature' | 'ml-dsa-44';

const TYPE_BYTES: Readonly<Record<NoteAlgorithm, number>> = {
  ed25519: 0x01,
  p256: 0x02,
  cosignature: 0x04,
  'ml-dsa-44': 0x06,
};
/** DER in front of the raw key in a SubjectPublicKeyInfo; ECDSA keys stand whole. */
const SPKI_PREFIXES: Readonly<Record<NoteAlgorithm, Buffer>> = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  p256: Buffer.alloc(0),
  cosignature: Buffer.from('302a300506032b6570032100', 'hex'),
  'ml-dsa-44': Buffer.from('30820532300b06096086480165030403110382052100', 'hex'),
};
const RAW_KEY_BYTES: Readonly<Partial<Record<NoteAlgorithm, number>>> = {
  ed25519: 32,
  cosignature: 32,
  'ml-dsa-44': 1312,
};

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

/** A key that cosigns checkpoints (0x04 with Ed25519, 0x06 with ML-DSA-44); each signature says when it was made. */
export function createCosigner(name: string, key: KeySigner, clock: Clock): NoteSigner {
  const verifier = createNoteVerifier(name, key.publicKey, 'cosignature');
  return {
    verifier,
    async sign(text) {
      const seconds = BigInt(Math.floor(clock.now() / 1000));
      const message =
        verifier.algorithm === 'ml-dsa-44' ? subtreeMessage(name, seconds, text) : cosignatureMessage(seconds, text);
      return { name, keyId: verifier.keyId, signature: timedSignature(seconds, await key.sign(message)) };
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
  const key = spki.subarray(SPKI_PREFIXES[algorithm].length);
  const typed = Buffer.concat([Buffer.of(TYPE_BYTES[algorithm]), key]);
  const id = sha256(algorithm === 'p256' ? spki : Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, 4);
  return {
    name,
    keyId: id.readUInt32BE(0),
    algorithm,
    vkey: `${name}+${id.toString('hex')}+${typed.toString('base64')}`,
    publicKey,
    verify: (text, signature) => verifySignature(algorithm, name, publicKey, text, signature),
  };
}

function algorithmOf(key: KeyObject, use: 'log' | 'cosignature'): NoteAlgorithm {
  if (key.type !== 'public') throw invalidKey('it is not a public key');
  if (key.asymmetricKeyType === 'ed25519') return use === 'log' ? 'ed25519' : 'cosignature';
  if (key.asymmetricKeyType === 'ml-dsa-44' && use === 'cosignature') return 'ml-dsa-44';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (use === 'log' && key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return 'p256';
  throw invalidKey('only Ed25519, ECDSA P-256 and (to cosign) ML-DSA-44 sign notes');
}

function verifySignature(
  algorithm: NoteAlgorithm,
  name: string,
  key: KeyObject,
  text: string,
  signature: Buffer,
): boolean {
  if (algorithm === 'p256') return verify('sha256', Buffer.from(text), key, signature);
  if (algorithm === 'ed25519') {
    return signature.length === ED25519_BYTES && verify(null, Buffer.from(text), key, signature);
  }
  const parts = splitCosignature(signature, algorithm === 'cosignature' ? ED25519_BYTES : ML_DSA_44_BYTES);
  if (!parts) return false;
  if (algorithm === 'cosignature') return verify(null, cosignatureMessage(parts.seconds, text), key, parts.signature);
  try {
    return verify(null, subtreeMessage(name, parts.seconds, text), key, parts.signature);
  } catch (error) {
    // Only a checkpoint can be signed this way.
    if (Problem.is(error) || error instanceof TypeError) return false;
    throw error;
  }
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
  const algorithm = (Object.keys(TYPE_BYTES) as NoteAlgorithm[]).find((name) => TYPE_BYTES[name] === typed[0]);
  const key = typed.subarray(1);
  if (!algorithm || key.length !== (RAW_KEY_BYTES[algorithm] ?? key.length)) {
    throw invalidKey('its type is not supported');
  }
  try {
    return [
      createPublicKey({ key: Buffer.concat([SPKI_PREFIXES[algorithm], key]), format: 'der', type: 'spki' }),
      algorithm === 'ed25519' || algorithm === 'p256' ? 'log' : 'cosignature',
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
