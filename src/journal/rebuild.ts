import { canonicalJson, type Check, failed, passed, systemClock, type Verdict, verdictOf } from '#base';
import { type Db, openDatabase } from '#storage';
import { type Fact } from './fact.ts';
import { holds, journalModule } from './erasure.ts';
import { createJournal } from './journal.ts';
import type { ModuleDefinition } from './module.ts';
import { findRow, readHead, selectRows, toFact } from './store.ts';

const PAGE = 500;
/** A report names this many differing rows a table; more would only hide the first one. */
const DIFFERENCES_MAX = 10;

/**
 * Rebuilds every evidence table from the facts alone, in a database of its own, and compares it with the live one row by row.
 * An edit of a table, a lost row and a row no fact accounts for are each a failed check that names table and row.
 */
export async function rebuildAndCompare({
  db,
  modules,
  onProgress,
}: {
  db: Db;
  modules: readonly ModuleDefinition[];
  onProgress?: (done: number, total: number) => void;
}): Promise<Verdict & { facts: number }> {
  const shadow = await openDatabase({ path: ':memory:' });
  try {
    await createJournal({ db: shadow, clock: systemClock, modules });
    const { facts, checks } = await replay(db, shadow, modules, onProgress);
    const live = new Set(await evidenceTables(db));
    for (const table of await evidenceTables(shadow)) checks.push(await compareTable(db, shadow, table, live));
    return { ...verdictOf(checks), facts };
  } finally {
    await shadow.close();
  }
}

async function replay(
  db: Db,
  shadow: Db,
  modules: readonly ModuleDefinition[],
  onProgress?: (done: number, total: number) => void,
): Promise<{ facts: number; checks: Check[] }> {
  const appliers = new Map([journalModule(modules), ...modules].flatMap((module) => Object.entries(module.apply)));
  const total = await readHead(db);
  const broken: string[] = [];
  let last = 0;
  for (;;) {
    const rows = await selectRows(db, { after: last, limit: PAGE });
    if (rows.length === 0) break;
    const facts: Fact[] = [];
    for (const row of rows) {
      if (row.number !== last + 1) broken.push(`fact ${last + 1} is missing`);
      const state = await holds(row, (number) => findRow(db, number));
      if (state === 'broken') broken.push(`the payload of fact ${row.number} does not open its commitment`);
      if (state === 'missing') broken.push(`the payload of fact ${row.number} is gone, and no fact erased it`);
      last = row.number;
      if (state !== 'missing') facts.push(toFact(row));
    }
    await shadow.write(async (tx) => {
      for (const fact of facts) await appliers.get(fact.type)?.(tx, fact);
    });
    onProgress?.(last, total);
  }
  const journalCheck =
    broken.length === 0
      ? passed('journal', `${last} facts, none missing, every payload opens its commitment`)
      : failed('journal', {
          code: 'journal.fact_altered',
          expected: 'facts without gaps whose payloads open their commitments',
          found: broken.slice(0, DIFFERENCES_MAX).join('; '),
          fix: 'Run waybill ledger verify to see which facts the ledger vouches for.',
        });
  return { facts: last, checks: [journalCheck] };
}

/** Evidence is everything that is not scratch, not the facts themselves and not the list of migrations. */
async function evidenceTables(db: Db): Promise<string[]> {
  const tables = await db.read<unknown>().introspection.getTables();
  return tables
    .map((table) => table.name)
    .filter((name) => !name.includes('_scratch_') && !name.startsWith('journal_') && !name.startsWith('storage_'))
    .sort();
}

async function compareTable(db: Db, shadow: Db, table: string, tables: ReadonlySet<string>): Promise<Check> {
  const expected = await rowsOf(shadow, table);
  if (!tables.has(table)) {
    return failed(`table ${table}`, {
      code: 'journal.table_missing',
      expected: 'the table the facts give',
      found: 'no such table',
      fix: 'Somebody dropped it beside Waybill. Restore the database from a backup.',
    });
  }
  const found = await rowsOf(db, table);
  const differences: string[] = [];
  for (const row of expected) if (!found.delete(row)) differences.push(`missing or altered: ${row}`);
  for (const row of found) differences.push(`not from any fact: ${row}`);
  const name = `table ${table}`;
  if (differences.length === 0) return passed(name, `${expected.size} rows`);
  return failed(name, {
    code: 'journal.table_altered',
    expected: `the ${expected.size} rows the facts give`,
    found: differences.slice(0, DIFFERENCES_MAX).join('\n'),
    fix: 'Somebody wrote to the database beside Waybill. Restore the database from a backup; the facts say what the row has to be.',
  });
}

async function rowsOf(db: Db, table: string): Promise<Set<string>> {
  const rows = await db.read<Record<string, Record<string, unknown>>>().selectFrom(table).selectAll().execute();
  return new Set(rows.map((row) => canonicalJson(printable(row))));
}

const printable = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row).map(([key, value]) => [
      key,
      value instanceof Uint8Array ? `base64:${Buffer.from(value).toString('base64')}` : value,
    ]),
  );
