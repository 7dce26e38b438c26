import assert from 'node:assert/strict';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { z } from 'zod';
import { systemClock } from '#base';
import type { Verdict } from '#base';
import { createJournal, defineFact, systemActor } from '#journal';
import type { Journal, ModuleDefinition } from '#journal';
import { openDatabase } from '#storage';
import type { Db } from '#storage';
import { openVault, vaultModule } from '#vault';
import type { Vault } from '#vault';
import {
  presentConsistency,
  presentFactProof,
  presentLedger,
  showConsistency,
  showFactProof,
  showLedger,
} from './contract.ts';
import { createLedger } from './ledger.ts';
import type { Ledger, LedgerOptions } from './ledger.ts';
import { withDirectory } from './testlog.ts';
import { parseTlogProof, renderTlogProof, verifyTlogProof } from './tlogproof.ts';
import { parseVkey } from './vkey.ts';

const happened = defineFact({ type: 'toy.happened', version: 1, schema: z.strictObject({ what: z.string() }) });
const toyModule: ModuleDefinition = { name: 'toy', migrations: [], facts: [happened], apply: {} };

interface Setting {
  dir: string;
  db: Db;
  journal: Journal;
  vault: Vault;
  record: (count: number) => Promise<number>;
  open: (change?: Partial<LedgerOptions>) => Promise<Ledger>;
}

async function withSetting(work: (setting: Setting) => Promise<void>): Promise<void> {
  await withDirectory(async (root) => {
    const db = await openDatabase({ path: join(root, 'waybill.db') });
    const journal = await createJournal({ db, clock: systemClock, modules: [vaultModule, toyModule] });
    const vault = await openVault({ dir: join(root, 'vault'), db, journal, clock: systemClock });
    const dir = join(root, 'ledger/events');
    const opened: Ledger[] = [];
    try {
      await work({
        dir,
        db,
        journal,
        vault,
        async record(count) {
          const facts = Array.from({ length: count }, (_, i) => ({
            fact: happened,
            payload: { what: `thing ${i}` },
            stream: `toy/${i}`,
            actor: systemActor('test'),
          }));
          return (await journal.recordAll(facts)).at(-1)?.number ?? 0;
        },
        async open(change = {}) {
          const ledger = await createLedger({ journal, vault, dir, clock: systemClock, name: 'test', ...change });
          opened.push(ledger);
          return ledger;
        },
      });
    } finally {
      for (const ledger of opened) await ledger.close();
      vault.close();
      await journal.close();
      await db.close();
    }
  });
}

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  const position = at < 0 ? bytes.length + at : at;
  bytes[position] = (bytes[position] as number) ^ 1;
  await chmod(path, 0o644);
  await writeFile(path, bytes);
}

function refusedChecks({ checks, ok }: Verdict): string[] {
  const names = checks.filter(({ status }) => status !== 'passed').map(({ name, code }) => `${name} ${code}`);
  assert.equal(ok, names.length === 0, JSON.stringify(checks));
  return names;
}

const checkNames = ['journal.row', 'ledger.entry', 'ledger.tile', 'ledger.inclusion', 'ledger.checkpoint'];

/** The largest fact number and the partial bundle it stands in. */
const edgeBundle = (dir: string, size: number): string => join(dir, `tile/entries/000.p/${size}`);

test('each fact has a proof that verifies offline from the pinned key alone', () =>
  withSetting(async ({ record, open, journal }) => {
    const ledger = await open();
    const number = await record(3);
    const proof = await ledger.proveFact(number);
    assert.deepEqual(proof.leaf, await journal.leaf(number));
    assert.equal(proof.inclusion.index, number - 1);
    const file = renderTlogProof({ index: number - 1, path: proof.inclusion.path, note: proof.checkpoint.note });
    const pinned = parseVkey(ledger.events.verifier.vkey);
    assert.ok(verifyTlogProof(parseTlogProof(file), proof.leaf, 'events.test', [pinned]).ok);
    await assert.rejects(ledger.proveFact(number + 1), { code: 'ledger.index_unknown' });
    await assert.rejects(ledger.proveFact(0), { code: 'ledger.index_unknown' });
  }));

test('a fact recorded is in a signed checkpoint within a second, with nobody waiting', () =>
  withSetting(async ({ record, open }) => {
    const ledger = await open();
    const number = await record(2);
    const until = performance.now() + 1000;
    while (ledger.events.size() < number && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(ledger.events.size(), number);
  }));

test('an untouched ledger passes every check, for one fact and for all', () =>
  withSetting(async ({ record, open }) => {
    const ledger = await open();
    const number = await record(300);
    for (const fact of [1, 255, 256, 257, number]) {
      const verdict = await ledger.verifyFact(fact);
      assert.deepEqual(refusedChecks(verdict), []);
      assert.deepEqual(
        verdict.checks.map(({ name }) => name),
        checkNames,
      );
    }
    const progress: number[] = [];
    assert.deepEqual(refusedChecks(await ledger.verify(({ done }) => progress.push(done))), []);
    assert.deepEqual(progress, [256, number]);
  }));

test('an altered row, payload, entry, tile and checkpoint each fail their own check, and pass when put back', () =>
  withSetting(async ({ dir, db, record, open }) => {
    const ledger = await open();
    const number = await record(20);
    await ledger.waitForFact(number);
    const change = (statement: string) =>
      db.write(async (tx) => void (await sql.raw(statement).execute(tx.as<unknown>())));
    const fileCase = async (path: string, at: number) => {
      const good = await readFile(path);
      await flipByte(path, at);
      return () => writeFile(path, good);
    };
    const rowCase = async (tamper: string, undo: string) => {
      await change(tamper);
      return () => change(undo);
    };
    const fact = number - 2;
    const cases: [string, () => Promise<() => Promise<unknown>>][] = [
      [
        'journal.row ledger.row_altered',
        () =>
          rowCase(
            `update journal_fact set principal = 'mallory' where number = ${fact}`,
            `update journal_fact set principal = 'system' where number = ${fact}`,
          ),
      ],
      [
        'journal.row ledger.payload_altered',
        () =>
          rowCase(
            `update journal_payload set private = replace(private, 'thing', 'think') where number = ${fact}`,
            `update journal_payload set private = replace(private, 'think', 'thing') where number = ${fact}`,
          ),
      ],
      ['ledger.tile ledger.tile_altered', () => fileCase(join(dir, `tile/0/000.p/${number}`), 33)],
      ['ledger.checkpoint ledger.checkpoint_altered', () => fileCase(join(dir, 'checkpoint'), -10)],
    ];
    for (const [expected, tamper] of cases) {
      const undo = await tamper();
      assert.deepEqual(refusedChecks(await ledger.verifyFact(fact)), [expected]);
      assert.deepEqual(refusedChecks(await ledger.verify()), [expected]);
      await undo();
      assert.deepEqual(refusedChecks(await ledger.verifyFact(fact)), [], expected);
    }
    const undo = await fileCase(edgeBundle(dir, number), -1);
    assert.deepEqual(refusedChecks(await ledger.verifyFact(number)), ['ledger.entry ledger.entry_altered']);
    assert.deepEqual(refusedChecks(await ledger.verifyFact(1)), []);
    assert.deepEqual(refusedChecks(await ledger.verify()), ['ledger.entry ledger.entry_altered']);
    await undo();
    assert.deepEqual(refusedChecks(await ledger.verify()), []);
  }));

test('a removed row and a removed payload are named', () =>
  withSetting(async ({ db, record, open }) => {
    const ledger = await open();
    const number = await record(5);
    await ledger.waitForFact(number);
    await db.write(
      async (tx) =>
        void (await sql.raw(`delete from journal_payload where number >= ${number - 1}`).execute(tx.as<unknown>())),
    );
    assert.deepEqual(refusedChecks(await ledger.verifyFact(number)), ['journal.row ledger.payload_missing']);
    assert.deepEqual(refusedChecks(await ledger.verify()), ['journal.row ledger.payload_missing']);
    await db.write(
      async (tx) =>
        void (await sql.raw(`delete from journal_fact where number = ${number - 1}`).execute(tx.as<unknown>())),
    );
    assert.deepEqual(refusedChecks(await ledger.verifyFact(number - 1)), ['journal.row ledger.row_missing']);
    const whole = await ledger.verify();
    assert.deepEqual(refusedChecks(whole), ['journal.row ledger.row_altered']);
    assert.match(
      whole.checks.find(({ name }) => name === 'journal.row')?.detail ?? '',
      new RegExp(`fact ${number - 1}$`),
    );
  }));

test('a journal cut off at its end is refused for writing, and stays readable', () =>
  withSetting(async ({ db, record, open }) => {
    const first = await open();
    const number = await record(5);
    await first.waitForFact(number);
    await first.close();
    for (const table of ['journal_payload', 'journal_fact']) {
      await db.write(
        async (tx) => void (await sql.raw(`delete from ${table} where number = ${number}`).execute(tx.as<unknown>())),
      );
    }
    await assert.rejects(open(), { code: 'ledger.rolled_back' });
    const ledger = await open({ access: 'write_or_read' });
    assert.equal(ledger.refusal?.code, 'ledger.rolled_back');
    assert.equal(presentLedger(ledger).writable, false);
    assert.deepEqual(refusedChecks(await ledger.verifyFact(number)), ['journal.row ledger.row_missing']);
    const next = await record(2);
    await assert.rejects(ledger.waitForFact(next), { code: 'ledger.rolled_back' });
  }));

test('a ledger whose files were removed is not begun anew', () =>
  withSetting(async ({ dir, record, open }) => {
    const first = await open();
    await first.waitForFact(await record(1));
    await first.close();
    await rm(dir, { recursive: true });
    await assert.rejects(open(), { code: 'ledger.missing' });
  }));

test('facts recorded while the ledger was closed are in it after the start', () =>
  withSetting(async ({ record, open }) => {
    await (await open()).close();
    const number = await record(3);
    const ledger = await open();
    assert.ok((await ledger.waitForFact(number)).size >= number);
  }));

test('what the API answers fits its schemas', () =>
  withSetting(async ({ record, open }) => {
    const ledger = await open();
    const number = await record(5);
    await ledger.waitForFact(number);
    showLedger.response.parse(presentLedger(ledger));
    showFactProof.response.parse(await presentFactProof(ledger, number));
    showConsistency.response.parse(presentConsistency(await ledger.events.consistencyProof(2)));
    assert.deepEqual(showConsistency.query?.parse({ old: '2' }), { old: 2 });
    assert.throws(() => showFactProof.params?.parse({ number: '0' }));
  }));
