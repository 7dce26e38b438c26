import type { Compilable, CompiledQuery, Kysely, QueryResult, Selectable } from 'kysely';
import type { Db, Tx } from '#storage';
import type { Digest } from '#base';
import type { Fact, Origin } from './fact.ts';

interface FactTable {
  number: number;
  stream: string;
  seq: number;
  previous: number | null;
  type: string;
  version: number;
  at: number;
  principal: string;
  subject: string | null;
  commitment: Uint8Array;
}

interface PayloadTable {
  number: number;
  private: string;
  salt: Uint8Array;
}

interface ErasureTable {
  number: number;
  erased_by: number;
  residue: string;
}

interface Tables {
  journal_erasure: ErasureTable;
  journal_fact: FactTable;
  journal_payload: PayloadTable;
  journal_scratch_cursor: { name: string; number: number };
}

export type FactRow = Selectable<FactTable>;
/** A fact row with what its commitment was made from; `private` is null once erased, and `residue` what stayed of it. */
export type FullRow = FactRow & {
  private: string | null;
  salt: Uint8Array | null;
  erased_by: number | null;
  residue: string | null;
};

export async function headNumber(db: Kysely<Tables>): Promise<number> {
  const row = await db
    .selectFrom('journal_fact')
    .select((eb) => eb.fn.max('number').as('number'))
    .executeTakeFirst();
  return Number(row?.number ?? 0);
}

/** A query that every record runs: put together once for each database, then only given other parameters. */
function prepared<R>(build: (db: Kysely<Tables>) => Compilable<R>) {
  const built = new WeakMap<Kysely<Tables>, CompiledQuery<R>>();
  return async (tx: Tx, parameters: readonly unknown[]): Promise<QueryResult<R>> => {
    const db = tx.as<Tables>();
    const query = built.get(db) ?? build(db).compile();
    built.set(db, query);
    return await db.executeQuery({ ...query, parameters });
  };
}

const selectStreamHead = prepared((db) =>
  db.selectFrom('journal_fact').select(['seq', 'number']).where('stream', '=', '').orderBy('seq', 'desc').limit(1),
);

export async function streamHead(tx: Tx, stream: string): Promise<{ seq: number; number: number } | undefined> {
  return (await selectStreamHead(tx, [stream, 1])).rows[0];
}

const selectHead = prepared((db) => db.selectFrom('journal_fact').select((eb) => eb.fn.max('number').as('number')));

/** The number of the fact that is appended next; the transaction is the only one that writes. */
export async function nextNumber(tx: Tx): Promise<number> {
  return Number((await selectHead(tx, [])).rows[0]?.number ?? 0) + 1;
}

/** In the order in which the prepared statement takes them. */
const FACT_COLUMNS = [
  'number',
  'stream',
  'seq',
  'previous',
  'type',
  'version',
  'at',
  'principal',
  'subject',
  'commitment',
] as const satisfies readonly (keyof FactTable)[];

const insertFactRow = prepared((db) =>
  db
    .insertInto('journal_fact')
    .values(Object.fromEntries(FACT_COLUMNS.map((column) => [column, null])) as unknown as FactRow),
);
const insertPayloadRow = prepared((db) =>
  db.insertInto('journal_payload').values({ number: 0, private: '', salt: new Uint8Array() }),
);

export async function insertFact(tx: Tx, row: FactRow, privateText: string, salt: Uint8Array): Promise<void> {
  await insertFactRow(
    tx,
    FACT_COLUMNS.map((column) => row[column]),
  );
  await insertPayloadRow(tx, [row.number, privateText, salt]);
}

/** What leaves are made of, and no payload. */
export async function selectLeafRows(db: Db, from: number, count: number): Promise<FactRow[]> {
  return await db
    .read<Tables>()
    .selectFrom('journal_fact')
    .selectAll()
    .where('number', '>=', from)
    .where('number', '<', from + count)
    .orderBy('number')
    .execute();
}

export async function readHead(from: Db | Tx): Promise<number> {
  return await headNumber('as' in from ? from.as<Tables>() : from.read<Tables>());
}

export interface RowFilter {
  after?: number;
  until?: number;
  types?: readonly string[] | undefined;
  stream?: string;
  subject?: string;
  principal?: string;
  newestFirst?: boolean;
  before?: number;
  limit: number;
}

export async function selectRows(db: Db, filter: RowFilter): Promise<FullRow[]> {
  let query = db
    .read<Tables>()
    .selectFrom('journal_fact')
    .leftJoin('journal_payload', 'journal_payload.number', 'journal_fact.number')
    .leftJoin('journal_erasure', 'journal_erasure.number', 'journal_fact.number')
    .selectAll('journal_fact')
    .select([
      'journal_payload.private as private',
      'journal_payload.salt as salt',
      'journal_erasure.erased_by as erased_by',
      'journal_erasure.residue as residue',
    ]);
  if (filter.after !== undefined) query = query.where('journal_fact.number', '>', filter.after);
  if (filter.until !== undefined) query = query.where('journal_fact.number', '<=', filter.until);
  if (filter.before !== undefined) query = query.where('journal_fact.number', '<', filter.before);
  if (filter.types) query = query.where('journal_fact.type', 'in', filter.types);
  if (filter.stream !== undefined) query = query.where('journal_fact.stream', '=', filter.stream);
  if (filter.subject !== undefined) query = query.where('journal_fact.subject', '=', filter.subject);
  if (filter.principal !== undefined) query = query.where('journal_fact.principal', '=', filter.principal);
  return await query
    .orderBy('journal_fact.number', filter.newestFirst ? 'desc' : 'asc')
    .limit(filter.limit)
    .execute();
}

export async function findRow(db: Db, number: number): Promise<FullRow | undefined> {
  return (await selectRows(db, { after: number - 1, until: number, limit: 1 }))[0];
}

/** Removes payload and salt for good, and keeps what may stay. Runs in the transaction of the fact that erases. */
export async function erasePayload(
  tx: Tx,
  erasure: { number: number; erasedBy: number; residue: string },
): Promise<void> {
  const { number, erasedBy, residue } = erasure;
  await tx.as<Tables>().insertInto('journal_erasure').values({ number, erased_by: erasedBy, residue }).execute();
  await tx.as<Tables>().deleteFrom('journal_payload').where('number', '=', number).execute();
}

/** Everything but what only an erasure takes away. */
export function toFact(row: FullRow): Fact {
  const text = row.private ?? row.residue;
  const parts =
    text === null
      ? { origin: { kind: 'system' } as Origin, payload: null }
      : (JSON.parse(text) as { origin: Origin; payload: unknown });
  const erased = row.private === null && row.erased_by !== null ? { erasedBy: row.erased_by } : {};
  return {
    number: row.number,
    stream: row.stream,
    seq: row.seq,
    previous: row.previous,
    type: row.type,
    version: row.version,
    at: row.at,
    actor: { principal: row.principal, origin: parts.origin },
    subject: row.subject as Digest | null,
    payload: parts.payload,
    ...erased,
  };
}

export async function readCursor(db: Db, name: string): Promise<number> {
  const row = await db
    .read<Tables>()
    .selectFrom('journal_scratch_cursor')
    .select('number')
    .where('name', '=', name)
    .executeTakeFirst();
  return row?.number ?? 0;
}

export async function writeCursor(db: Db, name: string, number: number): Promise<void> {
  await db.write(async (tx) => {
    await tx
      .as<Tables>()
      .insertInto('journal_scratch_cursor')
      .values({ name, number })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ number }))
      .execute();
  });
}
