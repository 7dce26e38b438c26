import type { Kysely, Selectable } from 'kysely';
import type { Digest } from '#base';
import type { Db, Tx } from '#storage';

interface EntryTable {
  log_index: number;
  attestation: string;
  body: string;
  logged_at: number;
  fact: number;
}

interface BundleTable {
  bundle: string;
  attestation: string;
  predicate_type: string;
  san: string;
  issuer: string;
  log_index: number;
  made_at: number;
  fact: number;
}

export interface Tables {
  attest_trust: { fact: number; at: number; document: string };
  attest_precertificate: { serial: string; san: string; issuer: string; logged_at: number; fact: number };
  attest_entry: EntryTable;
  attest_bundle: BundleTable;
  attest_subject: { bundle: string; position: number; digest: string; name: string };
}

export type EntryRow = Selectable<EntryTable>;
export type BundleTableRow = Selectable<BundleTable>;

export const nextLogIndex = (tx: Tx) => countFrom(tx.as<Tables>());
/** As `nextLogIndex`, of committed state. */
export const nextLogIndexOf = (db: Db) => countFrom(db.read<Tables>());

async function countFrom(db: Kysely<Tables>): Promise<number> {
  const row = await db
    .selectFrom('attest_entry')
    .select((eb) => eb.fn.max('log_index').as('last'))
    .executeTakeFirst();
  return row?.last == null ? 0 : row.last + 1;
}

export async function findEntry(db: Db, fact: number): Promise<EntryRow | undefined> {
  return await db.read<Tables>().selectFrom('attest_entry').selectAll().where('fact', '=', fact).executeTakeFirst();
}

export async function newestEntry(db: Db): Promise<EntryRow | undefined> {
  return await db
    .read<Tables>()
    .selectFrom('attest_entry')
    .selectAll()
    .orderBy('log_index', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function listEntries(db: Db, from: number, count: number): Promise<EntryRow[]> {
  return await db
    .read<Tables>()
    .selectFrom('attest_entry')
    .selectAll()
    .where('log_index', '>=', from)
    .where('log_index', '<', from + count)
    .orderBy('log_index')
    .execute();
}

export async function findBundle(db: Db, bundle: Digest): Promise<BundleTableRow | undefined> {
  return await db
    .read<Tables>()
    .selectFrom('attest_bundle')
    .selectAll()
    .where('bundle', '=', bundle)
    .executeTakeFirst();
}

export async function listBundles(db: Db, subject: string, limit: number): Promise<BundleTableRow[]> {
  return await db
    .read<Tables>()
    .selectFrom('attest_bundle')
    .selectAll()
    .where('bundle', 'in', (query) => query.selectFrom('attest_subject').select('bundle').where('digest', '=', subject))
    .orderBy('log_index')
    .limit(limit)
    .execute();
}
