import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, faultPoint, newId } from '#base';
import type { Journal } from '#journal';
import { systemActor } from '#journal';
import { writeDurable } from '#storage';
import { KEY_BYTES, openBytes, sealBytes } from './envelope.ts';
import { type GenerationCreated, generationCreated } from './facts.ts';
import { masterKeyWrong, recordAltered, recordMissing, recordReplaced } from './problems.ts';
import { GenerationRecord, parseRecord, renderRecord } from './record.ts';

/** A key-encryption key in memory, and where it belongs. */
export interface Generation {
  instance: string;
  scope: string;
  generation: number;
  key: Buffer;
}

/** Everything is sealed in this scope until projects get scopes of their own. */
const SCOPE = 'instance';
const FIRST = 1;
const STREAM = `vault/${SCOPE}`;

const contextOf = (of: { instance: string; scope: string; generation: number }) => [
  'waybill/kek/v1',
  of.instance,
  of.scope,
  String(of.generation),
];

/**
 * Opens the key-encryption key, or makes it on first start. The sealed record is durable before the fact; a record without
 * a fact is what a crash between the two left, and is taken over, because only the holder of the master key can have made it.
 */
export async function openGeneration(dir: string, masterKey: Buffer, journal: Journal): Promise<Generation> {
  const path = generationPath(dir);
  const recorded = (await journal.byStream(STREAM))[0]?.payload as GenerationCreated | undefined;
  const bytes = await readIfThere(path);
  if (recorded) {
    if (!bytes) throw recordMissing('the key-encryption key');
    const found = digestOf(bytes);
    if (found !== recorded.record) throw recordReplaced('the key-encryption key', recorded.record, found);
    return unseal(bytes, masterKey);
  }
  const sealed = bytes ?? (await sealNew(path, masterKey));
  const generation = unseal(sealed, masterKey);
  faultPoint('vault.after_seal_generation');
  const { instance, scope, generation: number } = generation;
  await journal.record({
    fact: generationCreated,
    payload: { instance, scope, generation: number, record: digestOf(sealed) },
    stream: STREAM,
    actor: systemActor('vault'),
    expectSeq: 0,
  });
  return generation;
}

export const generationPath = (dir: string) => join(dir, 'generations', `${SCOPE}.${FIRST}.json`);

async function sealNew(path: string, masterKey: Buffer): Promise<Buffer> {
  const where = { instance: newId('ins'), scope: SCOPE, generation: FIRST };
  const key = randomBytes(KEY_BYTES);
  const bytes = renderRecord({
    v: 1,
    kind: 'generation',
    ...where,
    key: sealBytes(masterKey, key, contextOf(where)),
  } as GenerationRecord);
  key.fill(0);
  await writeDurable(path, bytes, 0o600);
  return bytes;
}

function unseal(bytes: Buffer, masterKey: Buffer): Generation {
  const { instance, scope, generation, key } = parseRecord(GenerationRecord, bytes, 'the key-encryption key');
  const opened = openBytes(masterKey, key, contextOf({ instance, scope, generation }));
  if (opened.opened) return { instance, scope, generation, key: opened.plain };
  throw opened.reason === 'wrong_key' ? masterKeyWrong() : recordAltered('the key-encryption key');
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
