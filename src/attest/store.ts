import type { Kysely, Selectable } from 'kysely';
import type { Digest } from '#base';
import type { Db, Tx } from '#storage';

interface EntryTable {
  log: string;
  log_index: number;
  /** Hash of the leaf, hexadecimal. */
  leaf: string;
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
  /** Of what others signed; null for the control plane's own. */
  build_level: number | null;
  fact: number;
}

export interface Tables {
  attest_trust: { fact: number; at: number; document: string };
  attest_precertificate: {
    serial: string;
    san: string;
    issuer: string;
    logged_at: number;
    request: string;
    fact: number;
  };
  attest_tuf: { role: string; version: number; document: string; at: number; fact: number };
  attest_tuf_target: { sha256: string; name: string; content: string };
  attest_alert: { fact: number; at: number; document: string };
  attest_entry: EntryTable;
  attest_bundle: BundleTable;
  attest_subject: { bundle: string; position: number; digest: string; name: string };
}

export type EntryRow = Selectable<EntryTable>;
export type BundleTableRow = Selectable<BundleTable>;

export const nextLogIndex = (tx: Tx, log: string) => countFrom(tx.as<Tables>(), log);
/** As `nextLogIndex`, of committed state. */
export const nextLogIndexOf = (db: Db, log: string) => countFrom(db.read<Tables>(), log);

async function countFrom(db: Kysely<Tables>, log: string): Promise<number> {
  const row = await db
    .selectFrom('attest_entry')
    .select((eb) => eb.fn.max('log_index').as('last'))
    .where('log', '=', log)
    .executeTakeFirst();
  return row?.last == null ? 0 : row.last + 1;
}

export async function findEntry(db: Db, log: string, fact: number): Promise<EntryRow | undefined> {
  return await db
    .read<Tables>()
    .selectFrom('attest_entry')
    .selectAll()
    .where('fact', '=', fact)
    .where('log', '=', log)
    .executeTakeFirst();
}

/** By the hash of the leaf, hexadecimal; of several the first. */
export async function findLeaf(db: Db, log: string, leaf: string): Promise<EntryRow | undefined> {
  return await db
    .read<Tables>()
    .selectFrom('attest_entry')
    .selectAll()
    .where('leaf', '=', leaf)
    .where('log', '=', log)
    .orderBy('log_index')
    .limit(1)
    .executeTakeFirst();
}

export async function newestEntry(db: Db): Promise<EntryRow | undefined> {
  return await db
    .read<Tables>()
    .selectFrom('attest_entry')
    .selectAll()
    .orderBy('fact', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function listEntries(db: Db, log: string, from: number, count: number): Promise<EntryRow[]> {
  return await db
    .read<Tables>()
    .selectFrom('attest_entry')
    .selectAll()
    .where('log', '=', log)
    .where('log_index', '>=', from)
    .where('log_index', '<', from + count)
    .orderBy('log_index')
    .execute();
}

export async function findPrecertificate(db: Db, serial: string) {
  return await db
    .read<Tables>()
    .selectFrom('attest_precertificate')
    .selectAll()
    .where('serial', '=', serial)
    .executeTakeFirst();
}

export async function listPrecertificates(db: Db, issuer: string, from: number, to: number) {
  return await db
    .read<Tables>()
    .selectFrom('attest_precertificate')
    .selectAll()
    .where('issuer', '=', issuer)
    .where('logged_at', '>', from)
    .where('logged_at', '<=', to)
    .orderBy('fact')
    .execute();
}

export async function listAlerts(db: Db, limit: number): Promise<{ fact: number; at: number; document: string }[]> {
  return await db.read<Tables>().selectFrom('attest_alert').selectAll().orderBy('fact', 'desc').limit(limit).execute();
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

export async function newestTuf(db: Db, role: string) {
  return await db
    .read<Tables>()
    .selectFrom('attest_tuf')
    .selectAll()
    .where('role', '=', role)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function findTuf(db: Db, role: string, version: number) {
  return await db
    .read<Tables>()
    .selectFrom('attest_tuf')
    .selectAll()
    .where('role', '=', role)
    .where('version', '=', version)
    .executeTakeFirst();
}

export async function findTarget(db: Db, sha256: string, name: string) {
  return await db
    .read<Tables>()
    .selectFrom('attest_tuf_target')
    .selectAll()
    .where('sha256', '=', sha256)
    .where('name', '=', name)
    .executeTakeFirst();
}
