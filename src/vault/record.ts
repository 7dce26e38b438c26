import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '#base';
import { KeyAlgorithm, KeyName, KeyPurpose } from './facts.ts';
import { recordAltered } from './problems.ts';
import type { Sealed } from './envelope.ts';

/** The sealed records: canonical JSON, so that equal content is equal bytes and the digest in the fact names one spelling. */

const Base64 = z
  .string()
  .max(64 * 1024)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/);
const SealedBytes = z.strictObject({ salt: Base64, commitment: Base64, nonce: Base64, ciphertext: Base64 });

/** A key-encryption key, sealed by the master key. */
export const GenerationRecord = z.strictObject({
  v: z.literal(1),
  kind: z.literal('generation'),
  instance: z.string().min(1),
  scope: z.string().min(1),
  generation: z.int().min(1),
  key: SealedBytes,
});

/** Bytes under a key of their own, which is sealed by the key-encryption key of its generation. */
const envelope = {
  v: z.literal(1),
  instance: z.string().min(1),
  scope: z.string().min(1),
  generation: z.int().min(1),
  key: SealedBytes,
  value: SealedBytes,
};

export const KeyRecord = z.strictObject({
  ...envelope,
  kind: z.literal('key'),
  name: KeyName,
  algorithm: KeyAlgorithm,
  purpose: KeyPurpose,
  publicKey: Base64,
});

export const SealedRecord = z.strictObject({ ...envelope, kind: z.literal('sealed') });

export type GenerationRecord = z.infer<typeof GenerationRecord>;
export type KeyRecord = z.infer<typeof KeyRecord>;
export type SealedRecord = z.infer<typeof SealedRecord>;
export type KeyAlgorithm = z.infer<typeof KeyAlgorithm>;

export const RECORD_BYTES_MAX = 256 * 1024;

export function renderRecord(record: { key: Sealed }): Buffer {
  return Buffer.from(`${canonicalJson(record)}\n`);
}

export function parseRecord<S extends z.ZodType>(schema: S, bytes: Uint8Array, name: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    throw recordAltered(name);
  }
}

export interface KeyPair {
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  spki: Buffer;
}

export function generateKeyPair(algorithm: KeyAlgorithm): KeyPair {
  if (algorithm === 'ed25519') return keyPairOf(generateKeyPairSync('ed25519').privateKey);
  if (algorithm === 'ml-dsa-44') return keyPairOf(generateKeyPairSync('ml-dsa-44').privateKey);
  const namedCurve = algorithm === 'p256' ? 'P-256' : 'P-384';
  return keyPairOf(generateKeyPairSync('ec', { namedCurve }).privateKey);
}

/** Not every build of Node has ML-DSA; the others are always there. */
export function offersAlgorithm(algorithm: KeyAlgorithm): boolean {
  if (algorithm !== 'ml-dsa-44') return true;
  try {
    generateKeyPair(algorithm);
    return true;
  } catch {
    return false;
  }
}

export function importPrivateKey(pkcs8: Buffer): KeyPair {
  return keyPairOf(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
}

function keyPairOf(privateKey: KeyObject): KeyPair {
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, spki: publicKey.export({ format: 'der', type: 'spki' }) };
}
