// Entries per second at each batch size, each batch durable before the next one begins. Three ways, turn by turn:
// facts through journal and ledger until a signed checkpoint covers them; ready leaves through the ledger's log alone; and an
// SQLite audit table with two indexes and the same durability. Objects and actors are drawn from the same pools everywhere.
import { randomBytes, randomInt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { digestOf, systemClock } from '#base';
import { createJournal, defineFact, type ModuleDefinition, systemActor } from '#journal';
import { createLedger } from '#ledger';
import { openDatabase } from '#storage';
import { openVault, vaultModule } from '#vault';
import { memoryLog } from './ledger-growth.ts';
import { median, type Row, row } from './report.ts';

const ROUNDS = 7;
const ROUND_MS = 400;
const BATCHES = [1, 64, 256, 1024] as const;

const served = defineFact({ type: 'bench.served', version: 1, schema: z.strictObject({ note: z.string() }) });
const benchModule: ModuleDefinition = {
  name: 'bench',
  migrations: [],
  facts: [served] as ModuleDefinition['facts'],
  apply: {},
};
const payload = { note: 'x'.repeat(120) };
const objects = Array.from({ length: 10_000 }, () => digestOf(randomBytes(16)));
const actors = Array.from({ length: 1000 }, () => ({ ...systemActor('bench'), principal: `prn_${randomInt(1e9)}` }));
const pick = <T>(pool: readonly T[]): T => pool[randomInt(pool.length)] as T;

/** `append` makes one batch durable. */
interface Way {
  append(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function appendRows(dir: string, say: (text: string) => void): Promise<Row[]> {
  await mkdir(dir);
  const path = await fullPath(join(dir, 'ours'));
  const log = await memoryLog(join(dir, 'log'));
  const peer = auditTable(join(dir, 'peer.db'));
  const ways: Record<string, Way> = { path, log, peer };
  const rates = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    say(`append: round ${round + 1} of ${ROUNDS}`);
    for (const batch of BATCHES) {
      for (const [name, way] of Object.entries(ways)) {
        const cell = `${name} ${batch}`;
        rates.set(cell, [...(rates.get(cell) ?? []), await rate(way, batch)]);
      }
    }
  }
  for (const way of Object.values(ways)) await way.close();
  const lines = (way: string, text: string, goal: (batch: number) => string | null) =>
    BATCHES.map((batch) =>
      row({
        case: `${text}, batches of ${batch}`,
        unit: '/s',
        ours: median(rates.get(`${way} ${batch}`)!),
        peer: 'SQLite audit table, 2 indexes',
        peerValue: median(rates.get(`peer ${batch}`)!),
        goal: goal(batch),
        higherIsBetter: true,
      }),
    );
  return [
    ...lines('path', 'fact → journal → signed checkpoint', () => null),
    ...lines('log', 'leaf → tiles → signed checkpoint', (batch) => (batch >= 64 ? '≥ 2×' : null)),
  ];
}

async function rate(way: Way, batch: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  for (; performance.now() - start < ROUND_MS; done += batch) await way.append(batch);
  return (done / (performance.now() - start)) * 1000;
}

async function fullPath(dir: string): Promise<Way> {
  const db = await openDatabase({ path: join(dir, 'waybill.db') });
  const journal = await createJournal({ db, clock: systemClock, modules: [vaultModule, benchModule] });
  const vault = await openVault({ dir: join(dir, 'vault'), db, journal });
  const name = 'bench.example';
  const ledger = await createLedger({ journal, vault, dir: join(dir, 'ledger'), clock: systemClock, name });
  return {
    async append(count) {
      const drafts = Array.from({ length: count }, () => {
        const subject = pick(objects);
        return { fact: served, payload, subject, stream: `download/${subject.slice(7, 30)}`, actor: pick(actors) };
      });
      const facts = await journal.recordAll(drafts);
      await ledger.waitForFact(facts.at(-1)!.number);
    },
    async close() {
      await ledger.close();
      await journal.close();
      await db.close();
    },
  };
}

function auditTable(path: string): Way {
  const database = new DatabaseSync(path);
  database.exec('pragma journal_mode = wal; pragma synchronous = full');
  database.exec('create table audit (id integer primary key, at integer, actor text, object text, body text)');
  database.exec('create index audit_actor on audit (actor, at); create index audit_object on audit (object, at)');
  const insert = database.prepare('insert into audit (at, actor, object, body) values (?, ?, ?, ?)');
  return {
    async append(count) {
      database.exec('begin immediate');
      for (let index = 0; index < count; index++) {
        insert.run(Date.now(), pick(actors).principal, pick(objects), JSON.stringify(payload));
      }
      database.exec('commit');
    },
    close: async () => database.close(),
  };
}
