import type { Kysely, Selectable } from 'kysely';
import type { Db, Tx } from '#storage';

interface AnchorTable {
  origin: string;
  size: number;
  root: string;
  fact: number;
}
interface WitnessTable {
  name: string;
  vkey: string;
  url: string;
  ca: string | null;
  fact: number;
}
interface PolicyTable {
  id: number;
  policy: string;
  fail: string;
  fact: number;
}
interface TrustedLogTable {
  origin: string;
  vkey: string;
  fact: number;
}
interface WitnessedLogTable {
  origin: string;
  size: number;
  root: string;
  note: string;
  fact: number;
}
interface ForkTable {
  evidence: string;
  origin: string;
  kind: string;
  noticed_by: string;
  at: number;
  fact: number;
}
interface HeadsTable {
  fact: number;
  size: number;
  streams: number;
  root: string;
}

export interface Tables {
  ledger_anchor: AnchorTable;
  ledger_witness: WitnessTable;
  ledger_witness_policy: PolicyTable;
  ledger_trusted_log: TrustedLogTable;
  ledger_witnessed_log: WitnessedLogTable;
  ledger_fork: ForkTable;
  ledger_stream_heads: HeadsTable;
}

export type WitnessRow = Selectable<WitnessTable>;
export type TrustedLogRow = Selectable<TrustedLogTable>;
export type WitnessedLogRow = Selectable<WitnessedLogTable>;
export type ForkRow = Selectable<ForkTable>;
export type HeadsRow = Selectable<HeadsTable>;

const tables = (from: Db | Tx): Kysely<Tables> => ('as' in from ? from.as<Tables>() : from.read<Tables>());

export async function findAnchor(db: Db, origin: string): Promise<Selectable<AnchorTable> | undefined> {
  return await tables(db).selectFrom('ledger_anchor').selectAll().where('origin', '=', origin).executeTakeFirst();
}

export async function listWitnesses(db: Db): Promise<WitnessRow[]> {
  return await tables(db).selectFrom('ledger_witness').selectAll().orderBy('name').execute();
}

export async function findPolicy(db: Db): Promise<Selectable<PolicyTable> | undefined> {
  return await tables(db).selectFrom('ledger_witness_policy').selectAll().executeTakeFirst();
}

export async function findTrustedLog(db: Db, origin: string): Promise<TrustedLogRow | undefined> {
  return await tables(db).selectFrom('ledger_trusted_log').selectAll().where('origin', '=', origin).executeTakeFirst();
}

export async function listTrustedLogs(db: Db): Promise<TrustedLogRow[]> {
  return await tables(db).selectFrom('ledger_trusted_log').selectAll().orderBy('origin').execute();
}

export async function findWitnessed(from: Db | Tx, origin: string): Promise<WitnessedLogRow | undefined> {
  return await tables(from)
    .selectFrom('ledger_witnessed_log')
    .selectAll()
    .where('origin', '=', origin)
    .executeTakeFirst();
}

export async function listWitnessed(db: Db): Promise<WitnessedLogRow[]> {
  return await tables(db).selectFrom('ledger_witnessed_log').selectAll().orderBy('origin').execute();
}

export async function listForks(db: Db, origin?: string): Promise<ForkRow[]> {
  const query = tables(db).selectFrom('ledger_fork').selectAll().orderBy('fact');
  return await (origin === undefined ? query : query.where('origin', '=', origin)).execute();
}

export async function newestHeads(db: Db): Promise<HeadsRow | undefined> {
  return await tables(db)
    .selectFrom('ledger_stream_heads')
    .selectAll()
    .orderBy('fact', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function listHeads(db: Db): Promise<HeadsRow[]> {
  return await tables(db).selectFrom('ledger_stream_heads').selectAll().orderBy('fact').execute();
}
