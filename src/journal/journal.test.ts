import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { z } from 'zod';
import { Problem, systemClock } from '#base';
import { type Db, openDatabase } from '#storage';
import {
  createJournal,
  defineFact,
  type Fact,
  type Journal,
  type ModuleDefinition,
  rebuildAndCompare,
  systemActor,
} from './index.ts';

const named = defineFact({ type: 'toy.named', version: 1, schema: z.strictObject({ name: z.string().max(50) }) });
const actor = systemActor('test');

const toyModule: ModuleDefinition = {
  name: 'toy',
  migrations: [
    {
      name: '0001_toys',
      async up(db, types) {
        await db.schema
          .createTable('toy_name')
          .addColumn('stream', types.text, (column) => column.primaryKey())
          .addColumn('name', types.text, (column) => column.notNull().unique())
          .execute();
      },
    },
  ],
  facts: [named],
  apply: {
    async 'toy.named'(tx, fact: Fact<{ name: string }>) {
      await tx
        .as<{ toy_name: { stream: string; name: string } }>()
        .insertInto('toy_name')
        .values({ stream: fact.stream, name: fact.payload.name })
        .onConflict((conflict) => conflict.column('stream').doUpdateSet({ name: fact.payload.name }))
        .execute();
    },
  },
};

async function withJournal(run: (journal: Journal, db: Db, path: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-journal-'));
  const path = join(dir, 'waybill.db');
  const db = await openDatabase({ path });
  const journal = await createJournal({ db, clock: systemClock, modules: [toyModule] });
  try {
    await run(journal, db, path);
  } finally {
    await journal.close();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const draft = (stream: string, name: string) => ({ fact: named, payload: { name }, stream, actor });

test('facts are numbered without gaps in commit order, also when requests run at once and some fail', async () => {
  await withJournal(async (journal) => {
    const results = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) => journal.record(draft(`toy/${index}`, `name ${index % 40}`))),
    );
    assert.equal(results.filter((result) => result.status === 'rejected').length, 20);
    const facts = await journal.read({ after: 0, limit: 100 });
    assert.deepEqual(
      facts.map((fact) => fact.number),
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
  });
});

test('a stream counts its own facts and names the one before; a decision on an older state is refused', async () => {
  await withJournal(async (journal) => {
    await journal.record({ ...draft('toy/a', 'one'), expectSeq: 0 });
    await journal.record(draft('toy/b', 'two'));
    const third = await journal.record({ ...draft('toy/a', 'three'), expectSeq: 1 });
    assert.deepEqual([third.number, third.seq, third.previous], [3, 2, 1]);
    await assert.rejects(journal.record({ ...draft('toy/a', 'four'), expectSeq: 1 }), (error) => {
      return Problem.is(error) && error.code === 'journal.stream_moved' && error.kind === 'conflict';
    });
    assert.equal(await journal.head(), 3);
  });
});

test('a payload that is not of its schema changes nothing', async () => {
  await withJournal(async (journal) => {
    await assert.rejects(journal.record(draft('toy/a', 'x'.repeat(51))), /journal|name|≤|<=|50/i);
    assert.equal(await journal.head(), 0);
  });
});

test('a guard that throws undoes the whole record', async () => {
  await withJournal(async (journal) => {
    const refused = journal.recordAll([draft('toy/a', 'one'), draft('toy/b', 'one')]);
    await assert.rejects(refused);
    await assert.rejects(
      journal.record({ ...draft('toy/c', 'c'), guard: () => Promise.reject(new Error('no')) }),
      /no/,
    );
    assert.equal(await journal.head(), 0);
  });
});

test('a follower handles each fact in order and again after an error, and goes on where it stopped', async () => {
  await withJournal(async (journal) => {
    const seen: number[] = [];
    let failures = 1;
    const follow = () =>
      journal.follow({
        name: 'reader',
        types: ['toy.named'],
        async handle(fact) {
          if (fact.number === 2 && failures-- > 0) throw new Error('not now');
          seen.push(fact.number);
        },
      });
    const first = follow();
    for (const name of ['one', 'two', 'three']) await journal.record(draft(`toy/${name}`, name));
    await journal.idle();
    await first.stop();
    await journal.record(draft('toy/four', 'four'));
    follow();
    await journal.idle();
    assert.deepEqual(seen, [1, 2, 3, 4]);
  });
});

test('rebuild agrees with the tables, and names an edited row, an added row and an edited payload', async () => {
  await withJournal(async (journal, db) => {
    await journal.record(draft('toy/a', 'one'));
    await journal.record(draft('toy/b', 'two'));
    const verify = () => rebuildAndCompare({ db, modules: [toyModule] });
    assert.equal((await verify()).ok, true);

    const tamper = (statement: string) => db.write((tx) => sql.raw(statement).execute(tx.as()));
    await tamper(`update toy_name set name = 'evil' where stream = 'toy/a'`);
    const edited = await verify();
    assert.equal(edited.ok, false);
    assert.match(edited.checks.find((check) => check.status === 'failed')?.found ?? '', /toy\/a/);

    await tamper(`update toy_name set name = 'one' where stream = 'toy/a'`);
    await tamper(`insert into toy_name values ('toy/z', 'planted')`);
    assert.match(
      (await verify()).checks.find((check) => check.status === 'failed')?.found ?? '',
      /not from any fact.*toy\/z/,
    );

    await tamper(`delete from toy_name where stream = 'toy/z'`);
    await tamper(`update journal_payload set private = replace(private, 'two', 'owt') where number = 2`);
    assert.match((await verify()).checks[0]?.found ?? '', /fact 2/);

    await tamper('drop table toy_name');
    assert.equal(
      (await verify()).checks.find((check) => check.name === 'table toy_name')?.code,
      'journal.table_missing',
    );
  });
});

test('what the ledger cannot vouch for is not recorded, and is again once it can', async () => {
  await withJournal(async (journal) => {
    let down: Problem | undefined = new Problem({
      code: 'ledger.damaged',
      kind: 'unavailable',
      message: 'x',
      hint: 'x',
    });
    journal.admitWith(() => down, 'ledger');
    await assert.rejects(journal.record(draft('toy/a', 'one')), /x/);
    assert.equal(await journal.head(), 0);
    down = undefined;
    await journal.record(draft('toy/a', 'one'));
    assert.equal(await journal.head(), 1);
  });
});

test('after closing and opening, everything acknowledged is there', async () => {
  await withJournal(async (journal, _db, path) => {
    await journal.record(draft('toy/a', 'one'));
    const second = await openDatabase({ path });
    const again = await createJournal({ db: second, clock: systemClock, modules: [toyModule] });
    assert.deepEqual((await again.byStream('toy/a'))[0]?.payload, { name: 'one' });
    assert.equal(await again.commitmentHolds(1), 'holds');
    await second.close();
  });
});
