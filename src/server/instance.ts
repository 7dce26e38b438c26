import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { newId, parseJson, parseWith, Problem, toIso } from '#base';
import { ensureDirectory, writeDurable } from '#storage';
import type { Vault } from '#vault';

/** What an installation is called. Chosen at first start and part of every signature since, so it never changes. */
export interface Instance {
  id: string;
  /** `https://host[:port]`, without a trailing slash. */
  publicUrl: string;
  /** DNS-like; names the logs. */
  name: string;
  createdAt: string;
}

const Stored = z.strictObject({
  id: z.string().max(60),
  publicUrl: z.string().max(300),
  name: z.string().max(100),
  createdAt: z.string().max(40),
});

const FILE = 'instance.json';

/** Reads what the data directory says it is, or, in an empty one, writes it down. */
export async function openInstance(
  dataDir: string,
  wanted: { publicUrl?: string; name?: string },
  now: number,
): Promise<{ instance: Instance; fresh: boolean }> {
  await ensureDirectory(dataDir);
  const text = await readFile(join(dataDir, FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return { instance: await createInstance(dataDir, wanted, now), fresh: true };
  const instance = parseWith(Stored, parseJson(text, 10_000), 'server.instance_invalid');
  if (wanted.publicUrl !== undefined && wanted.publicUrl !== instance.publicUrl) {
    throw new Problem({
      code: 'server.public_url_changed',
      kind: 'conflict',
      message: `This data directory belongs to ${instance.publicUrl}, not to ${wanted.publicUrl}.`,
      hint: 'Start it under the address it was made for, or use another data directory. Signatures name the address.',
    });
  }
  return { instance, fresh: false };
}

export async function hasInstance(dataDir: string): Promise<boolean> {
  return (await readFile(join(dataDir, FILE), 'utf8').catch(() => undefined)) !== undefined;
}

async function createInstance(
  dataDir: string,
  wanted: { publicUrl?: string; name?: string },
  now: number,
): Promise<Instance> {
  const publicUrl = parsePublicUrl(wanted.publicUrl ?? 'https://localhost:8443');
  const instance: Instance = {
    id: newId('ins'),
    publicUrl,
    name: wanted.name ?? `${new URL(publicUrl).hostname}.waybill.internal`,
    createdAt: toIso(now),
  };
  await writeDurable(join(dataDir, FILE), `${JSON.stringify(instance, null, 2)}\n`);
  return instance;
}

function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '' && url.username === '') return url.origin;
  throw new Problem({
    code: 'server.public_url_invalid',
    kind: 'invalid',
    message: `'${text}' is not an address this server can have.`,
    hint: 'Write it as https://host or https://host:port. There is no plaintext listener.',
  });
}

/**
 * A secret of the server's own, sealed by the vault in a file; `make` runs once in the life of the data directory.
 * The fact that seals the vault's keys covers the key this is sealed under.
 */
export async function sealedSecret(
  vault: Vault,
  dataDir: string,
  name: string,
  make: () => Promise<Uint8Array> = async () => randomBytes(32),
): Promise<Buffer> {
  const path = join(dataDir, 'vault', `${name}.sealed`);
  const context = ['server', name];
  const sealed = await readFile(path).catch(() => undefined);
  if (sealed !== undefined) return await vault.open(sealed, context);
  const plain = await make();
  await writeDurable(path, (await vault.seal(plain, context)).bytes);
  return Buffer.from(plain);
}
