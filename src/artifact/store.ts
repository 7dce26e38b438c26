import { sql } from 'kysely';
import type { Digest } from '#base';
import type { Db, Tx } from '#storage';
import type { RepositoryKind } from './path.ts';

export interface RecordTable {
  id: string;
  fact: number;
  kind: RepositoryKind;
  project: string;
  repository: string;
  name: string;
  version: string;
  file: string;
  path_key: string;
  digest: string;
  size: number;
  media_type: string;
  run: string | null;
  output: string | null;
  commit: string | null;
  provenance: string | null;
  principal: string;
  at: number;
}

export interface RefusalTable {
  id: string;
  fact: number;
  project: string;
  repository: string;
  path: string;
  code: string;
  principal: string;
  at: number;
}

export interface Tables {
  artifact_record: RecordTable;
  artifact_refusal: RefusalTable;
}

/** One file in a repository: which bytes, from where, since which fact. */
export interface ArtifactRecord {
  id: string;
  fact: number;
  kind: RepositoryKind;
  project: string;
  repository: string;
  name: string;
  version: string;
  file: string;
  digest: Digest;
  size: number;
  mediaType: string;
  run: string | null;
  output: string | null;
  commit: string | null;
  provenance: Digest | null;
  principal: string;
  at: number;
}

/** An upload that was turned away. */
export type Refusal = RefusalTable;

export interface RecordFilter {
  projects?: readonly string[];
  repository?: string | undefined;
  kind?: RepositoryKind | undefined;
  name?: string | undefined;
  version?: string | undefined;
  digest?: string | undefined;
  run?: string | undefined;
  /** Part of a name, a version or a digest. */
  search?: string | undefined;
  /** Newest first; only facts before this one. */
  before?: number | undefined;
  limit: number;
}

export async function selectRecords(db: Db, filter: RecordFilter): Promise<ArtifactRecord[]> {
  let query = db.read<Tables>().selectFrom('artifact_record').selectAll();
  if (filter.projects) query = query.where('project', 'in', filter.projects);
  for (const column of ['repository', 'kind', 'name', 'version', 'digest', 'run'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  if (filter.before !== undefined) query = query.where('fact', '<', filter.before);
  if (filter.search !== undefined && filter.search !== '') {
    const like = `%${filter.search.replaceAll(/[\\%_]/g, String.raw`\$&`).toLowerCase()}%`;
    query = query.where((where) =>
      where.or(
        (['path_key', 'digest', 'run', 'commit'] as const).map(
          (column) => sql<boolean>`${sql.ref(column)} like ${like} escape '\\'`,
        ),
      ),
    );
  }
  const rows = await query.orderBy('fact', 'desc').limit(filter.limit).execute();
  return rows.map(toRecord);
}

/** Ids of every project that has these bytes, in whatever repository. */
export async function projectsWith(db: Db, digest: string): Promise<string[]> {
  const rows = await db
    .read<Tables>()
    .selectFrom('artifact_record')
    .select('project')
    .distinct()
    .where('digest', '=', digest)
    .execute();
  return rows.map(({ project }) => project);
}

export async function findRecord(db: Db, id: string): Promise<ArtifactRecord | undefined> {
  const row = await db.read<Tables>().selectFrom('artifact_record').selectAll().where('id', '=', id).executeTakeFirst();
  return row && toRecord(row);
}

/** Inside a transaction: nobody can put a file there between this look and the commit. */
export async function recordAtPath(tx: Tx | Db, key: string): Promise<ArtifactRecord | undefined> {
  const from = 'as' in tx ? tx.as<Tables>() : tx.read<Tables>();
  const row = await from.selectFrom('artifact_record').selectAll().where('path_key', '=', key).executeTakeFirst();
  return row && toRecord(row);
}

export async function insertRecord(tx: Tx, row: RecordTable): Promise<void> {
  await tx.as<Tables>().insertInto('artifact_record').values(row).execute();
}

export async function insertRefusal(tx: Tx, row: RefusalTable): Promise<void> {
  await tx.as<Tables>().insertInto('artifact_refusal').values(row).execute();
}

export async function selectRefusals(db: Db, project: string, limit: number): Promise<Refusal[]> {
  const rows = await db
    .read<Tables>()
    .selectFrom('artifact_refusal')
    .selectAll()
    .where('project', '=', project)
    .orderBy('fact', 'desc')
    .limit(limit)
    .execute();
  return rows;
}

function toRecord(row: RecordTable): ArtifactRecord {
  const { id, fact, kind, project, repository, name, version, file, size, run, output, commit, principal, at } = row;
  return {
    id,
    fact,
    kind,
    project,
    repository,
    name,
    version,
    file,
    size,
    run,
    output,
    commit,
    principal,
    at,
    digest: row.digest as Digest,
    provenance: row.provenance as Digest | null,
    mediaType: row.media_type,
  };
}
