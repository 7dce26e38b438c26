import { randomBytes } from 'node:crypto';
import { digestOf } from '#base';
import { KEY_BYTES, openBytes, type Sealed, sealBytes } from './envelope.ts';
import type { Generation } from './generation.ts';
import { masterKeyWrong, recordAltered } from './problems.ts';
import {
  generateKeyPair,
  importPrivateKey,
  type KeyAlgorithm,
  type KeyPair,
  KeyRecord,
  parseRecord,
  renderRecord,
  SealedRecord,
} from './record.ts';

/** Values under a key each, that key under the generation's: rotating a generation never touches a value. */

type Where = Pick<Generation, 'instance' | 'scope' | 'generation'>;

const keyContext = (kind: string, of: Where, fields: readonly string[]) => [
  'waybill/vk/v1',
  kind,
  of.instance,
  of.scope,
  String(of.generation),
  ...fields,
];
const valueContext = (kind: string, of: Where, fields: readonly string[]) => [
  'waybill/secret/v1',
  kind,
  of.instance,
  of.scope,
  String(of.generation),
  ...fields,
];

/** A post-quantum key is longer than HKDF's context may be: its digest binds as well. */
const shortKey = (publicKey: string): string => (publicKey.length > 400 ? digestOf(publicKey) : publicKey);

export function sealKey(
  { name, algorithm, purpose }: { name: string; algorithm: KeyAlgorithm; purpose: string },
  generation: Generation,
): Buffer {
  const pair = generateKeyPair(algorithm);
  const publicKey = pair.spki.toString('base64');
  const pkcs8 = pair.privateKey.export({ format: 'der', type: 'pkcs8' });
  const record = {
    v: 1,
    kind: 'key',
    name,
    algorithm,
    purpose,
    publicKey,
    ...sealUnder(generation, 'key', pkcs8, [name, algorithm, purpose, shortKey(publicKey)]),
  } as const;
  pkcs8.fill(0);
  return renderRecord(KeyRecord.parse(record));
}

export function unsealKey(bytes: Buffer, name: string, generation: Generation): { pair: KeyPair; record: KeyRecord } {
  const record = parseRecord(KeyRecord, bytes, name);
  const { algorithm, purpose, publicKey } = record;
  const pkcs8 = openUnder(generation, 'key', record, [name, algorithm, purpose, shortKey(publicKey)], name);
  const pair = importPrivateKey(pkcs8);
  pkcs8.fill(0);
  if (record.name !== name || pair.spki.toString('base64') !== publicKey) throw recordAltered(name);
  return { pair, record };
}

export function sealRecord(plain: Uint8Array, context: readonly string[], generation: Generation): Buffer {
  return renderRecord(SealedRecord.parse({ v: 1, kind: 'sealed', ...sealUnder(generation, 'sealed', plain, context) }));
}

export function openRecord(bytes: Uint8Array, context: readonly string[], generation: Generation): Buffer {
  const name = context.join(' ');
  return openUnder(generation, 'sealed', parseRecord(SealedRecord, bytes, name), context, name);
}

function sealUnder(generation: Generation, kind: string, plain: Uint8Array, fields: readonly string[]) {
  const { instance, scope, generation: number } = generation;
  const valueKey = randomBytes(KEY_BYTES);
  try {
    return {
      instance,
      scope,
      generation: number,
      key: sealBytes(generation.key, valueKey, keyContext(kind, generation, fields)),
      value: sealBytes(valueKey, plain, valueContext(kind, generation, fields)),
    };
  } finally {
    valueKey.fill(0);
  }
}

function openUnder(
  generation: Generation,
  kind: string,
  record: Where & { key: Sealed; value: Sealed },
  fields: readonly string[],
  name: string,
): Buffer {
  if (record.instance !== generation.instance || record.generation !== generation.generation) throw masterKeyWrong();
  const key = openBytes(generation.key, record.key, keyContext(kind, record, fields));
  if (!key.opened) throw recordAltered(name);
  const value = openBytes(key.plain, record.value, valueContext(kind, record, fields));
  key.plain.fill(0);
  if (!value.opened) throw recordAltered(name);
  return value.plain;
}
