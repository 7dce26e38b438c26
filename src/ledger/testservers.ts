import { join } from 'node:path';
import { z } from 'zod';
import { systemClock } from '#base';
import { createJournal, defineFact, systemActor } from '#journal';
import type { Journal, ModuleDefinition } from '#journal';
import { type Db, openDatabase, openObjects } from '#storage';
import type { Objects } from '#storage';
import { openVault, vaultModule } from '#vault';
import { ledgerModule } from './apply.ts';
import type { Assurance, AssuranceOptions } from './assurance.ts';
import type { WitnessExchange } from './cosigning.ts';
import { createLedger } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { unreachable } from './problems.ts';
import { withDirectory } from './testlog.ts';

/** For this module's tests: whole servers as far as the ledger goes, and a network between them that can be cut. */
export const happened = defineFact({ type: 'toy.happened', version: 1, schema: z.strictObject({ what: z.string() }) });
const toyModule: ModuleDefinition = { name: 'toy', migrations: [], facts: [happened], apply: {} };
export const modules = [vaultModule, ledgerModule, toyModule];

export interface Server {
  name: string;
  dir: string;
  db: Db;
  journal: Journal;
  objects: Objects;
  ledger: Ledger;
  assurance: Assurance;
  /** What the other servers see of it. */
  url: string;
  record(stream: string, count?: number): Promise<number>;
  close(): Promise<void>;
}

/** Servers by address; one that is missing cannot be reached. Requests are counted. */
export interface Network {
  servers: Map<string, Assurance>;
  requests: string[];
  /** Answers instead of the server. */
  intercept?: ((url: string, path: string) => { status: number; type: string; body: string } | undefined) | undefined;
}

export function exchangeOver(network: Network): WitnessExchange {
  const to = (url: string): Assurance => {
    const server = network.servers.get(url);
    if (!server) throw unreachable(url);
    return server;
  };
  return {
    async post({ url }, path, body) {
      network.requests.push(`${url} ${path}`);
      return network.intercept?.(url, path) ?? (await to(url).witness.addCheckpoint(body));
    },
    async get({ url }, path) {
      const intercepted = network.intercept?.(url, path);
      if (intercepted) return intercepted;
      const note = await to(url).witness.monitor(path.replace('/checkpoint', ''));
      return { status: note === undefined ? 404 : 200, type: 'text/plain', body: note ?? '' };
    },
  };
}

export async function openServer(
  dir: string,
  name: string,
  network: Network,
  change: Partial<AssuranceOptions> = {},
): Promise<Server> {
  const db = await openDatabase({ path: join(dir, 'waybill.db') });
  const journal = await createJournal({ db, clock: systemClock, modules });
  const vault = await openVault({ dir: join(dir, 'vault'), db, journal, clock: systemClock });
  const objects = await openObjects({ dir: join(dir, 'objects') });
  const url = `https://${name}.test/witness`;
  const ledger = await createLedger({
    journal,
    vault,
    dir: join(dir, 'ledger/events'),
    clock: systemClock,
    name,
    minIntervalMs: 5,
    assurance: {
      db,
      objects,
      exchange: exchangeOver(network),
      startWaitMs: 500,
      headsIntervalMs: 3_600_000,
      anchorIntervalMs: 20,
      cosigning: { minIntervalMs: 5, retryMs: 3_600_000, waitMs: 300 },
      ...change,
    },
  });
  const assurance = ledger.assurance as Assurance;
  network.servers.set(url, assurance);
  return {
    name,
    dir,
    db,
    journal,
    objects,
    ledger,
    assurance,
    url,
    async record(stream, count = 1) {
      const drafts = Array.from({ length: count }, (_, i) => ({
        fact: happened,
        payload: { what: `thing ${i}` },
        stream,
        actor: systemActor('test'),
      }));
      return (await journal.recordAll(drafts)).at(-1)?.number ?? 0;
    },
    async close() {
      network.servers.delete(url);
      await ledger.close();
      vault.close();
      await journal.close();
      await db.close();
    },
  };
}

export async function withServers(
  names: readonly string[],
  work: (servers: readonly Server[], network: Network, root: string) => Promise<void>,
  change: Partial<AssuranceOptions> = {},
): Promise<void> {
  await withDirectory(async (root) => {
    const network: Network = { servers: new Map(), requests: [] };
    const servers: Server[] = [];
    try {
      for (const name of names) servers.push(await openServer(join(root, name), name, network, change));
      await work(servers, network, root);
    } finally {
      for (const server of servers) await server.close().catch(() => undefined);
    }
  });
}

/** What `waybill ledger witness pair` does to one of the two. */
export async function trust(server: Server, peer: Server, fail: 'open' | 'closed', quorum: 'any' | 'all' = 'any') {
  await server.assurance.addPeer(systemActor('test'), {
    log: peer.ledger.events.verifier.vkey,
    witness: { vkey: peer.assurance.witness.verifiers[0]?.vkey ?? '', url: peer.url, ca: null },
    fail,
    quorum,
  });
}
