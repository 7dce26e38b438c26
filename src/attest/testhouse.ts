import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '#base';
import { createJournal, type Journal, systemActor } from '#journal';
import { type Db, type Objects, openDatabase, openObjects } from '#storage';
import { openVault, type Vault, vaultModule } from '#vault';
import { type Attest, attestModule, createAttest, type SignRequest } from './index.ts';

/** For this module's tests: a real installation in a directory of its own. */
export interface House {
  dir: string;
  db: Db;
  journal: Journal;
  vault: Vault;
  objects: Objects;
  attest: Attest;
  close(): Promise<void>;
}

export const PUBLIC_URL = 'https://waybill.example.com:8443';
export const SAN = `${PUBLIC_URL}/acme/hello/.github/workflows/build.yml@refs/heads/main`;
export const ARTIFACT = 'a1'.repeat(32);

export async function openHouse(dir: string, clock: Clock = systemClock, name = 'waybill.example.com'): Promise<House> {
  const db = await openDatabase({ path: join(dir, 'waybill.db') });
  try {
    const journal = await createJournal({ db, clock, modules: [vaultModule, attestModule] });
    const vault = await openVault({ dir: join(dir, 'vault'), db, journal });
    const objects = await openObjects({ dir: join(dir, 'objects') });
    const log = join(dir, 'ledger', 'signatures');
    const attest = await createAttest({ journal, db, vault, objects, clock, publicUrl: PUBLIC_URL, name, dir: log });
    const close = async () => {
      await attest.close();
      await journal.close();
      vault.close();
      await db.close();
    };
    return { dir, db, journal, vault, objects, attest, close };
  } catch (error) {
    await db.close();
    throw error;
  }
}

export async function withDirectory(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-attest-'));
  try {
    await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export function provenance(change: Partial<SignRequest> = {}): SignRequest {
  return {
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: { buildDefinition: { buildType: `${PUBLIC_URL}/buildtypes/workflow/v1` } },
    subjects: [{ name: 'acme/hello/app.tar.gz', digest: { sha256: ARTIFACT } }],
    identity: {
      san: SAN,
      extensions: {
        buildSignerUri: `${PUBLIC_URL}/builders/hosted-sandbox/v1`,
        runnerEnvironment: 'platform-hosted',
        sourceRepositoryUri: `${PUBLIC_URL}/acme/hello`,
        sourceRepositoryDigest: 'c0'.repeat(20),
        sourceRepositoryRef: 'refs/heads/main',
      },
    },
    actor: systemActor('test'),
    ...change,
  };
}
