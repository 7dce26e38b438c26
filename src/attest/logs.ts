import { dirname, join } from 'node:path';
import type { Clock } from '#base';
import { createNoteSigner, hashBytes, type LeafSource, openTileLog, type TileLog } from '#ledger';
import type { Db } from '#storage';
import type { ProvenEntry } from './bundle.ts';
import { entryAltered } from './problems.ts';
import { promiseInput } from './rekor.ts';
import { type EntryRow, listEntries, nextLogIndexOf } from './store.ts';
import { newest, type SignatureLog, type TrustState } from './trust-state.ts';
import type { Trust } from './trust.ts';

/** The logs of signatures: every generation in the forms of Rekor v1 and v2, each with its own key, name and directory. */
export interface SignatureLogs {
  /** The one that takes entries in. */
  active(form: SignatureLog['form']): SignatureLog;
  all(): readonly SignatureLog[];
  find(id: string): SignatureLog;
  tiles(log: SignatureLog): TileLog;
  /** The entry with a proof against a signed checkpoint that covers it; with a promise in the form of Rekor v1. */
  prove(log: SignatureLog, entry: EntryRow): Promise<ProvenEntry>;
  close(): Promise<void>;
}

export async function openSignatureLogs({
  dir,
  trust,
  db,
  clock,
}: {
  /** Of the first log; the others lie beside it. */
  dir: string;
  trust: Trust;
  db: Db;
  clock: Clock;
}): Promise<SignatureLogs> {
  const opened = new Map<string, { log: SignatureLog; tiles: TileLog }>();
  const logsOf = (state: TrustState) => [...state.log, ...state.rekor2];

  async function openNew(state: TrustState): Promise<void> {
    for (const log of logsOf(state)) {
      if (opened.has(log.id)) continue;
      const tiles = await openTileLog({
        dir: log.id === 'signatures' ? dir : join(dirname(dir), log.id),
        origin: log.origin,
        signer: createNoteSigner(log.hostname, await trust.logSigner(log)),
        source: entrySource(db, log.id),
        clock,
      });
      // Entries that a crash kept from being published.
      tiles.poke();
      opened.set(log.id, { log, tiles });
    }
  }

  async function close(): Promise<void> {
    for (const { tiles } of opened.values()) await tiles.close();
  }

  try {
    await openNew(trust.state());
  } catch (error) {
    await close();
    throw error;
  }
  trust.onRotated(openNew);

  function tiles({ id }: SignatureLog): TileLog {
    const found = opened.get(id);
    if (!found) throw new TypeError(`attest: the log ${id} is not open`);
    return found.tiles;
  }

  return {
    active: (form) => newest(form === 'rekor1' ? trust.state().log : trust.state().rekor2),
    all: () => logsOf(trust.state()),
    find(id) {
      const log = logsOf(trust.state()).find((one) => one.id === id);
      if (!log) throw new TypeError(`attest: there is no log ${id}`);
      return log;
    },
    tiles,
    async prove(log, row) {
      const tree = tiles(log);
      tree.poke();
      const checkpoint = await tree.waitFor(row.log_index);
      const { path } = await tree.inclusionProof(row.log_index, checkpoint.size);
      const body = Buffer.from(row.body);
      const integratedTime = Math.floor(row.logged_at / 1000);
      const promised = { body, integratedTime, logId: log.keyId, logIndex: row.log_index };
      const signer = log.form === 'rekor1' ? await trust.logSigner(log) : undefined;
      return {
        ...kindOf(row.body),
        ...promised,
        promise: await signer?.sign(promiseInput(promised)),
        proof: {
          rootHash: hashBytes(checkpoint.root),
          treeSize: checkpoint.size,
          hashes: path.map(hashBytes),
          checkpoint: checkpoint.note,
        },
      };
    },
    close,
  };
}

function kindOf(body: string): Pick<ProvenEntry, 'kind' | 'version'> {
  const { kind, apiVersion } = JSON.parse(body) as { kind: ProvenEntry['kind']; apiVersion: ProvenEntry['version'] };
  return { kind, version: apiVersion };
}

/** A log is made from the rows that the facts give; a row changed after it was logged is found by the log's own check. */
function entrySource(db: Db, log: string): LeafSource {
  return {
    size: async () => await nextLogIndexOf(db, log),
    async read(from, count) {
      const rows = await listEntries(db, log, from, count);
      if (rows.length !== count) throw entryAltered(from + rows.length);
      return rows.map((row) => Buffer.from(row.body));
    },
  };
}
