// Facts recorded per second, durable, alone and with 16 clients, beside the audit table that most platforms keep instead:
// one row and two indexes in SQLite with the same settings, and one commit a row, or 16 rows a commit.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { systemClock } from '#base';
import { createJournal, defineFact, type ModuleDefinition, systemActor } from '#journal';
import { openDatabase } from '#storage';
import { type Benchmark, median, row } from './report.ts';

const ROUNDS = 9;
const ROUND_MS = 700;

const happened = defineFact({
  type: 'bench.happened',
  version: 1,
  schema: z.strictObject({ object: z.string(), note: z.string() }),
});
const benchModule: ModuleDefinition = { name: 'bench', migrations: [], facts: [happened], apply: {} };
const payload = { object: `sha256:${'a'.repeat(64)}`, note: 'x'.repeat(120) };

export const journal: Benchmark = {
  name: 'journal',
  async run(say) {
    const dir = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
    const db = await openDatabase({ path: join(dir, 'ours.db') });
    const ours = await createJournal({ db, clock: systemClock, modules: [benchModule] });
    const peer = auditTable(join(dir, 'peer.db'));
    let next = 0;
    const record = () =>
      ours.record({ fact: happened, payload, stream: `bench/${next++ % 1000}`, actor: systemActor('bench') });
    const results: Record<string, number[]> = { one: [], many: [], peerOne: [], peerMany: [] };
    for (let round = 0; round < ROUNDS; round++) {
      say(`round ${round + 1} of ${ROUNDS}`);
      results['one']!.push(await rate(async () => (await record(), 1)));
      results['peerOne']!.push(await rate(async () => peer(1)));
      results['many']!.push(await clients(16, record));
      results['peerMany']!.push(await rate(async () => peer(16)));
    }
    await ours.close();
    await db.close();
    await rm(dir, { recursive: true });
    const name = 'SQLite audit table, 2 indexes';
    return [
      row({
        case: 'facts recorded, one client',
        unit: '/s',
        ours: median(results['one']!),
        peer: name,
        peerValue: median(results['peerOne']!),
        higherIsBetter: true,
      }),
      row({
        case: 'facts recorded, 16 clients',
        unit: '/s',
        ours: median(results['many']!),
        peer: `${name}, 16 rows a commit`,
        peerValue: median(results['peerMany']!),
        higherIsBetter: true,
      }),
    ];
  },
};

/** Work done per second of the round. */
async function rate(work: () => Promise<number>): Promise<number> {
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < ROUND_MS) done += await work();
  return (done / (performance.now() - start)) * 1000;
}

async function clients(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  let done = 0;
  const client = async () => {
    while (performance.now() - start < ROUND_MS) {
      await work();
      done++;
    }
  };
  await Promise.all(Array.from({ length: count }, client));
  return (done / (performance.now() - start)) * 1000;
}

function auditTable(path: string): (rows: number) => number {
  const database = new DatabaseSync(path);
  database.exec('pragma journal_mode = wal; pragma synchronous = full');
  database.exec('create table audit (id integer primary key, at integer, actor text, object text, body text)');
  database.exec('create index audit_actor on audit (actor, at); create index audit_object on audit (object, at)');
  const insert = database.prepare('insert into audit (at, actor, object, body) values (?, ?, ?, ?)');
  let count = 0;
  return (rows) => {
    database.exec('begin immediate');
    for (let index = 0; index < rows; index++) {
      insert.run(Date.now(), 'system', `${payload.object}${count++ % 1000}`, JSON.stringify(payload));
    }
    database.exec('commit');
    return rows;
  };
}
