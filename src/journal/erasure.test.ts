import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { z } from 'zod';
import { systemClock } from '#base';
import { type Db, openDatabase } from '#storage';
import {
  type Actor,
  createJournal,
  defineFact,
  type Journal,
  type ModuleDefinition,
  onFact,
  rebuildAndCompare,
} from './index.ts';

const joined = defineFact({
  type: 'toy.joined',
  version: 1,
  schema: z.strictObject({ id: z.string(), name: z.string(), secret: z.string() }),
});
type Row = { toy_person: { id: string; name: string } };

const toyModule: ModuleDefinition = {
  name: 'toy',
  migrations: [
    {
      name: '0001_people',
      async up(db, types) {
        await db.schema
          .createTable('toy_person')
          .addColumn('id', types.text, (column) => column.primaryKey())
          .addColumn('name', types.text, (column) => column.notNull())
          .execute();
      },
    },
  ],
  facts: [joined] as ModuleDefinition['facts'],
  apply: {
    [joined.type]: onFact(joined, (tx, { id, name }) =>
      tx.as<Row>().insertInto('toy_person').values({ id, name }).execute(),
    ),
  },
  erase: {
    [joined.type]: {
      residue: ({ id }: { id: string }) => ({ id, name: 'erased', secret: '' }),
      async scrub(tx, { id, name }: { id: string; name: string }) {
        await tx.as<Row>().updateTable('toy_person').set({ name }).where('id', '=', id).execute();
      },
    },
  },
};

const person = (principal: string): Actor => ({ principal, origin: { kind: 'http', address: '192.0.2.7' } });

async function withJournal(work: (journal: Journal, db: Db, path: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-erasure-'));
  const path = join(dir, 'waybill.db');
  const db = await openDatabase({ path });
  const journal = await createJournal({ db, clock: systemClock, modules: [toyModule] });
  try {
    await work(journal, db, path);
  } finally {
    await journal.close();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const join1 = (journal: Journal, id: string) =>
  journal.record({
    fact: joined,
    payload: { id, name: `Ada ${id}`, secret: 'ada@example.org' },
    stream: `toy/${id}`,
    actor: person('prn_ada'),
  });

test('one person asks, another confirms: payload and salt are gone, the leaf stays, and the tables can be rebuilt', () =>
  withJournal(async (journal, db, path) => {
    const { number } = await join1(journal, 'a');
    await join1(journal, 'b');
    const leaf = await journal.leaf(number);
    await assert.rejects(journal.confirmErasure(person('prn_two'), { fact: number }), {
      code: 'journal.erasure_not_requested',
    });
    await journal.requestErasure(person('prn_one'), { fact: number, reason: 'she asked' });
    await assert.rejects(journal.confirmErasure(person('prn_one'), { fact: number }), {
      code: 'journal.second_person_needed',
    });
    assert.equal(await journal.commitmentHolds(number), 'holds');
    const done = await journal.confirmErasure(person('prn_two'), { fact: number });

    assert.equal(await journal.commitmentHolds(number), 'erased');
    assert.deepEqual(await journal.leaf(number), leaf);
    assert.equal(await journal.disclose(number), undefined);
    const fact = await journal.find(number);
    assert.equal(fact?.erasedBy, done.number);
    assert.deepEqual(fact?.payload, { id: 'a', name: 'erased', secret: '' });
    assert.equal(fact?.actor.origin.address, undefined);
    const rows = await db.read<Row>().selectFrom('toy_person').select('name').orderBy('id').execute();
    assert.deepEqual(
      rows.map(({ name }) => name),
      ['erased', 'Ada b'],
    );
    const rebuilt = await rebuildAndCompare({ db, modules: [toyModule] });
    assert.ok(rebuilt.ok, JSON.stringify(rebuilt));
    assert.deepEqual(
      (await journal.erasures(10)).map(({ erasedBy }) => erasedBy),
      [done.number],
    );
    await assert.rejects(journal.requestErasure(person('prn_one'), { fact: number, reason: 'again' }), {
      code: 'journal.erasure_refused',
    });
    await assert.rejects(journal.requestErasure(person('prn_one'), { fact: done.number, reason: 'hide it' }), {
      code: 'journal.erasure_refused',
    });

    // Nothing of it is left in the pages of the file either.
    await db.write(async (tx) => void (await sql.raw('select 1').execute(tx.as())));
    await journal.close();
    await db.close();
    assert.ok(!(await readFile(path)).includes('Ada a'));
  }).catch((error: unknown) => {
    // The clean-up closes a second time.
    if (!/closed/.test(String(error))) throw error;
  }));

test('a payload that is gone without an intact erasure is missing, whatever the tables say', () =>
  withJournal(async (journal, db) => {
    const { number } = await join1(journal, 'a');
    const { number: other } = await join1(journal, 'b');
    const run = (statement: string) => db.write(async (tx) => void (await sql.raw(statement).execute(tx.as())));
    await journal.requestErasure(person('prn_one'), { fact: number, reason: 'she asked' });
    const done = await journal.confirmErasure(person('prn_two'), { fact: number });

    await run(`delete from journal_payload where number = ${other}`);
    assert.equal(await journal.commitmentHolds(other), 'missing');
    await run(
      `insert into journal_erasure select ${other}, erased_by, residue from journal_erasure where number = ${number}`,
    );
    assert.equal(await journal.commitmentHolds(other), 'missing', 'the erasure is of another fact');
    const rebuilt = await rebuildAndCompare({ db, modules: [toyModule] });
    assert.match(rebuilt.checks[0]?.found ?? '', new RegExp(`fact ${other} is gone`));
    await run(`update journal_erasure set residue = replace(residue, 'erased', 'altered') where number = ${number}`);
    assert.equal(await journal.commitmentHolds(number), 'missing', 'the residue is not what two people agreed to');
    await run(`update journal_erasure set residue = replace(residue, 'altered', 'erased') where number = ${number}`);
    assert.equal(await journal.commitmentHolds(number), 'erased');
    await run(`delete from journal_payload where number = ${done.number}`);
    assert.equal(await journal.commitmentHolds(number), 'missing', 'the erasure itself lost its payload');
  }));

test('what was tampered with cannot be erased', () =>
  withJournal(async (journal, db) => {
    const { number } = await join1(journal, 'a');
    await journal.requestErasure(person('prn_one'), { fact: number, reason: 'she asked' });
    await db.write(
      async (tx) =>
        void (await sql.raw(`update journal_payload set private = replace(private, 'Ada', 'Eve')`).execute(tx.as())),
    );
    await assert.rejects(journal.confirmErasure(person('prn_two'), { fact: number }), {
      code: 'journal.erasure_refused',
    });
    await assert.rejects(journal.requestErasure(person('prn_one'), { fact: 99, reason: 'x' }), {
      code: 'journal.fact_not_found',
    });
  }));
