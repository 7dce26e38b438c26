import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LeafSource } from './source.ts';
import { createNoteSigner } from './vkey.ts';
import type { NoteSigner } from './vkey.ts';

/** For this module's tests: real keys, a real directory, and entries that are a function of their number. */
export function testSigner(name: string, algorithm: 'ed25519' | 'p256' = 'ed25519'): NoteSigner {
  const { privateKey, publicKey } =
    algorithm === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const digest = algorithm === 'ed25519' ? null : 'sha256';
  return createNoteSigner(name, { publicKey, sign: async (bytes) => sign(digest, bytes, privateKey) });
}

export const testEntry = (index: number): Buffer => Buffer.from(`entry ${index}`);

export interface GrowingSource extends LeafSource {
  length: number;
  /** Stands in for an altered row. */
  altered: Map<number, Buffer>;
}

export function growingSource(length: number): GrowingSource {
  const source: GrowingSource = {
    length,
    altered: new Map(),
    size: async () => source.length,
    read: async (from, count) => {
      if (from + count > source.length) throw new Error('read past the end');
      return Array.from({ length: count }, (_, i) => source.altered.get(from + i) ?? testEntry(from + i));
    },
  };
  return source;
}

export async function withDirectory<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-ledger-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
