/** All SQL of the source module. */
import type { Kysely } from 'kysely';
import type { Check } from '#base';
import type { Db, Tx } from '#storage';
import { isZeroId, type RefUpdate } from './ref.ts';

interface Tables {
  source_repository: {
    id: string;
    project_id: string;
    name: string;
    protected_paths: string;
    push_certificates: PushCertificatePolicy;
    created_at: number;
    created_by: string;
  };
  source_push: {
    id: string;
    repository_id: string;
    pusher: string;
    state: PushState;
    at: number;
    fact: number;
    updates: string;
    checks: string;
    certificate: string | null;
    reason: string | null;
  };
  source_ref: { repository_id: string; ref: string; target: string; push_id: string };
  source_update: { push_id: string; repository_id: string; ref: string; target: string };
  source_commit: { repository_id: string; id: string; push_id: string; signer: string | null; key: string | null };
  source_nonce: { repository_id: string; nonce: string; push_id: string };
}

export type PushCertificatePolicy = 'off' | 'ask' | 'require';
export type PushState = 'accepted' | 'refused' | 'aborted';

export interface Repository {
  readonly id: string;
  /** Project id. */
  readonly project: string;
  /** `project/repository`. */
  readonly name: string;
  readonly protectedPaths: readonly string[];
  readonly pushCertificates: PushCertificatePolicy;
  readonly createdAt: number;
  readonly createdBy: string;
}

export interface Push {
  readonly id: string;
  readonly repository: string;
  readonly pusher: string;
  readonly state: PushState;
  readonly at: number;
  /** Number of the fact that recorded the decision. */
  readonly fact: number;
  readonly updates: readonly RefUpdate[];
  readonly checks: readonly Check[];
  readonly certificate: string | null;
  /** Why an accepted push was undone. */
  readonly reason: string | null;
}

export interface Ref {
  readonly ref: string;
  readonly target: string;
  readonly push: string;
}

export interface CommitRecord {
  readonly id: string;
  readonly push: string;
  readonly signer: string | null;
  readonly key: string | null;
}

const own = (db: Db): Kysely<Tables> => db.read<Tables>();

export async function insertRepository(tx: Tx, row: Tables['source_repository']): Promise<void> {
  await tx.as<Tables>().insertInto('source_repository').values(row).execute();
}

export async function updateSettings(
  tx: Tx,
  id: string,
  settings: { protectedPaths: readonly string[]; pushCertificates: PushCertificatePolicy },
): Promise<void> {
  await tx
    .as<Tables>()
    .updateTable('source_repository')
    .set({ protected_paths: JSON.stringify(settings.protectedPaths), push_certificates: settings.pushCertificates })
    .where('id', '=', id)
    .execute();
}

export async function insertPush(tx: Tx, push: Push): Promise<void> {
  const { repository, updates, checks, ...rest } = push;
  await tx
    .as<Tables>()
    .insertInto('source_push')
    .values({ ...rest, repository_id: repository, updates: JSON.stringify(updates), checks: JSON.stringify(checks) })
    .execute();
}

export async function moveRef(tx: Tx, repository: string, update: RefUpdate, push: string): Promise<void> {
  const tables = tx.as<Tables>();
  await tables.deleteFrom('source_ref').where('repository_id', '=', repository).where('ref', '=', update.ref).execute();
  if (isZeroId(update.new)) return;
  await tables
    .insertInto('source_ref')
    .values({ repository_id: repository, ref: update.ref, target: update.new, push_id: push })
    .execute();
}

export async function insertUpdate(tx: Tx, repository: string, update: RefUpdate, push: string): Promise<void> {
  await tx
    .as<Tables>()
    .insertInto('source_update')
    .values({ push_id: push, repository_id: repository, ref: update.ref, target: update.new })
    .execute();
}

export async function insertCommit(tx: Tx, repository: string, commit: CommitRecord): Promise<void> {
  await tx
    .as<Tables>()
    .insertInto('source_commit')
    .values({ repository_id: repository, id: commit.id, push_id: commit.push, signer: commit.signer, key: commit.key })
    .onConflict((conflict) => conflict.columns(['repository_id', 'id']).doNothing())
    .execute();
}

export async function insertNonce(tx: Tx, repository: string, nonce: string, push: string): Promise<void> {
  await tx
    .as<Tables>()
    .insertInto('source_nonce')
    .values({ repository_id: repository, nonce, push_id: push })
    .execute();
}

/** Takes an accepted push back: its refs return to what they were, its commits and updates are no longer on record. */
export async function undoPush(
  tx: Tx,
  repository: string,
  push: string,
  updates: readonly RefUpdate[],
  reason: string,
): Promise<void> {
  const tables = tx.as<Tables>();
  for (const update of updates) {
    await tables.deleteFrom('source_update').where('push_id', '=', push).where('ref', '=', update.ref).execute();
    await tables
      .deleteFrom('source_ref')
      .where('repository_id', '=', repository)
      .where('ref', '=', update.ref)
      .execute();
    if (isZeroId(update.old)) continue;
    const before = await tables
      .selectFrom('source_update')
      .innerJoin('source_push', 'source_push.id', 'source_update.push_id')
      .select('source_push.id')
      .where('source_update.repository_id', '=', repository)
      .where('source_update.ref', '=', update.ref)
      .where('source_update.target', '=', update.old)
      .orderBy('source_push.fact', 'desc')
      .executeTakeFirst();
    await tables
      .insertInto('source_ref')
      .values({ repository_id: repository, ref: update.ref, target: update.old, push_id: before?.id ?? push })
      .execute();
  }
  await tables.updateTable('source_push').set({ state: 'aborted', reason }).where('id', '=', push).execute();
}

export async function forgetCommits(tx: Tx, push: string): Promise<void> {
  await tx.as<Tables>().deleteFrom('source_commit').where('push_id', '=', push).execute();
}

export async function findRepository(db: Db, by: { id: string } | { name: string }): Promise<Repository | undefined> {
  const query = own(db).selectFrom('source_repository').selectAll();
  const row = await ('id' in by ? query.where('id', '=', by.id) : query.where('name', '=', by.name)).executeTakeFirst();
  return row && toRepository(row);
}

export async function listRepositories(db: Db, project?: string): Promise<Repository[]> {
  let query = own(db).selectFrom('source_repository').selectAll().orderBy('name');
  if (project !== undefined) query = query.where('project_id', '=', project);
  return (await query.execute()).map(toRepository);
}

function toRepository(row: Tables['source_repository']): Repository {
  return {
    id: row.id,
    project: row.project_id,
    name: row.name,
    protectedPaths: JSON.parse(row.protected_paths) as string[],
    pushCertificates: row.push_certificates,
    createdAt: row.created_at,
    createdBy: row.created_by,
  };
}

export async function findPush(db: Db, id: string): Promise<Push | undefined> {
  const row = await own(db).selectFrom('source_push').selectAll().where('id', '=', id).executeTakeFirst();
  return row && toPush(row);
}

/** Newest first; `before` is a fact number. */
export async function listPushes(
  db: Db,
  query: { repositories: readonly string[]; limit: number; before?: number },
): Promise<Push[]> {
  if (query.repositories.length === 0) return [];
  let rows = own(db)
    .selectFrom('source_push')
    .selectAll()
    .where('repository_id', 'in', [...query.repositories])
    .orderBy('fact', 'desc')
    .limit(query.limit);
  if (query.before !== undefined) rows = rows.where('fact', '<', query.before);
  return (await rows.execute()).map(toPush);
}

function toPush(row: Tables['source_push']): Push {
  const { repository_id, updates, checks, ...rest } = row;
  return {
    ...rest,
    repository: repository_id,
    updates: JSON.parse(updates) as RefUpdate[],
    checks: JSON.parse(checks) as Check[],
  };
}

export async function refsOf(db: Db, repository: string): Promise<Ref[]> {
  const rows = await own(db)
    .selectFrom('source_ref')
    .selectAll()
    .where('repository_id', '=', repository)
    .orderBy('ref')
    .execute();
  return rows.map(({ ref, target, push_id }) => ({ ref, target, push: push_id }));
}

/** The accepted push that moved this ref to this object, newest first. */
export async function findUpdate(db: Db, repository: string, ref: string, target: string): Promise<string | undefined> {
  const row = await own(db)
    .selectFrom('source_update')
    .innerJoin('source_push', 'source_push.id', 'source_update.push_id')
    .select('source_push.id')
    .where('source_update.repository_id', '=', repository)
    .where('source_update.ref', '=', ref)
    .where('source_update.target', '=', target)
    .orderBy('source_push.fact', 'desc')
    .executeTakeFirst();
  return row?.id;
}

export async function findCommits(
  db: Db,
  repository: string,
  ids: readonly string[],
): Promise<Map<string, CommitRecord>> {
  if (ids.length === 0) return new Map();
  const rows = await own(db)
    .selectFrom('source_commit')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('id', 'in', [...ids])
    .execute();
  return new Map(rows.map((row) => [row.id, { id: row.id, push: row.push_id, signer: row.signer, key: row.key }]));
}

export async function isNonceUsed(db: Db, repository: string, nonce: string): Promise<boolean> {
  const row = await own(db)
    .selectFrom('source_nonce')
    .select('push_id')
    .where('repository_id', '=', repository)
    .where('nonce', '=', nonce)
    .executeTakeFirst();
  return row !== undefined;
}
