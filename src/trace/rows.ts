import { canonicalJson, type Check, failed, passed, systemClock } from '#base';
import { createJournal, type Fact, type ModuleDefinition } from '#journal';
import { type Db, openDatabase } from '#storage';

type Row = Record<string, unknown>;
type AnyTable = Record<string, Row>;

/** One thing whose rows are to be what its facts make of them. */
export interface Subject {
  /** Rows that begin with this id are the thing's own. */
  id: string;
  facts: readonly Fact[];
}

/**
 * Makes the rows of a few things anew, from their facts alone, in a database of its own, and holds the live rows against them.
 * The same appliers that `rebuild --verify` runs over everything, here over one chain.
 */
export async function compareRows(
  db: Db,
  modules: readonly ModuleDefinition[],
  subjects: readonly Subject[],
): Promise<Map<string, Check[]>> {
  const shadow = await openDatabase({ path: ':memory:' });
  try {
    await createJournal({ db: shadow, clock: systemClock, modules });
    const appliers = new Map(modules.flatMap((module) => Object.entries(module.apply)));
    await shadow.write(async (tx) => {
      for (const fact of inOrder(subjects)) await appliers.get(fact.type)?.(tx, fact);
    });
    const keyed = await keyedTables(shadow);
    const result = new Map<string, Check[]>();
    for (const subject of subjects) {
      const owners = new Set(subject.facts.map(({ type }) => type.split('.')[0]));
      const tables = keyed.filter(({ table }) => owners.has(table.split('_')[0]));
      const checks: Check[] = [];
      for (const { table, key } of tables) {
        const check = await compareTable(db, shadow, { table, key, id: subject.id });
        if (check) checks.push(check);
      }
      result.set(subject.id, [...(result.get(subject.id) ?? []), ...checks]);
    }
    return result;
  } finally {
    await shadow.close();
  }
}

function inOrder(subjects: readonly Subject[]): Fact[] {
  const facts = new Map(subjects.flatMap((subject) => subject.facts.map((fact) => [fact.number, fact])));
  return [...facts.values()].toSorted((left, right) => left.number - right.number);
}

/** Evidence tables with the name of their first column: in ours it says what a row is about. */
async function keyedTables(db: Db): Promise<{ table: string; key: string }[]> {
  const tables = await db.read<unknown>().introspection.getTables();
  return tables
    .filter(({ name }) => !name.includes('_scratch_') && !name.startsWith('journal_') && !name.startsWith('storage_'))
    .map(({ name, columns }) => ({ table: name, key: columns[0]?.name ?? '' }));
}

/** Undefined when neither side knows the thing. */
async function compareTable(
  db: Db,
  shadow: Db,
  where: { table: string; key: string; id: string },
): Promise<Check | undefined> {
  const expected = await rowsOf(shadow, where);
  const found = await rowsOf(db, where);
  if (expected.length === 0 && found.length === 0) return undefined;
  const name = `row of ${where.table}`;
  const texts = new Set(found.map(spelled));
  const lost = expected.filter((row) => !texts.delete(spelled(row)));
  if (lost.length === 0 && texts.size === 0) return passed(name, `${where.key} ${where.id}`);
  const strange = found.filter((row) => texts.has(spelled(row)));
  const difference = describeDifference(lost[0], strange[0]);
  return failed(name, {
    code: 'trace.row_altered',
    ...difference,
    detail: `${where.table}, ${where.key} ${where.id}`,
    fix: 'Somebody wrote to the database beside Waybill. The facts say what the row has to be: restore the database from a backup.',
  });
}

async function rowsOf(db: Db, { table, key, id }: { table: string; key: string; id: string }): Promise<Row[]> {
  return await db.read<AnyTable>().selectFrom(table).selectAll().where(key, '=', id).execute();
}

const spelled = (row: Row) => canonicalJson(printable(row));

const printable = (row: Row) =>
  Object.fromEntries(
    Object.entries(row).map(([column, value]) => [
      column,
      value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
    ]),
  );

/** Names the columns that differ, or the row that is too many or too few. */
function describeDifference(expected: Row | undefined, found: Row | undefined): { expected: string; found: string } {
  if (!expected) return { expected: 'no such row', found: spelled(found ?? {}) };
  if (!found) return { expected: spelled(expected), found: 'no such row' };
  const columns = Object.keys(expected).filter(
    (column) => spelled({ a: expected[column] }) !== spelled({ a: found[column] }),
  );
  const show = (row: Row) => columns.map((column) => `${column} = ${String(row[column])}`).join(', ');
  return { expected: show(expected), found: show(found) };
}
