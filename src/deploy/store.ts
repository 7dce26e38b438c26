import type { Digest } from '#base';
import type { Db, Tx } from '#storage';
import type { Drifted, Stopped } from './facts.ts';

export interface TargetTable {
  id: string;
  fact: number;
  project: string;
  environment: string;
  environment_name: string;
  name: string;
  agent: string;
  at: number;
}

export interface RequestTable {
  fact: number;
  project: string;
  environment: string;
  name: string;
  version: string;
  digest: string;
  artifact: string;
  promotion: string;
  principal: string;
  at: number;
}

export type DeploymentStatus = 'running' | 'placed' | 'drifted' | 'stopped';

export interface DeploymentTable {
  id: string;
  fact: number;
  target: string;
  project: string;
  environment: string;
  promotion: string;
  artifact: string;
  digest: string;
  name: string;
  version: string;
  path: string;
  status: DeploymentStatus;
  verified_at: number;
  drift: string | null;
  drifted_at: number | null;
  stop_reason: Stopped['reason'] | null;
  stopped_at: number | null;
  last_fact: number;
}

export interface ReportTable {
  id: string;
  fact: number;
  target: string;
  kind: string;
  digest: string;
  at: number;
}

interface Tables {
  deploy_target: TargetTable;
  deploy_request: RequestTable;
  deploy_deployment: DeploymentTable;
  deploy_report: ReportTable;
  deploy_scratch_seen: { target: string; at: number };
}

export interface Target {
  id: string;
  fact: number;
  project: string;
  environment: string;
  environmentName: string;
  name: string;
  agent: string;
  at: number;
  /** When its agent last asked for its plan; null if it never did. */
  seenAt: number | null;
}

export type Drift = Pick<Drifted, 'kind' | 'path' | 'expected' | 'found'>;

export interface Deployment {
  id: string;
  fact: number;
  target: string;
  project: string;
  environment: string;
  promotion: string;
  artifact: string;
  digest: Digest;
  name: string;
  version: string;
  path: string;
  status: DeploymentStatus;
  verifiedAt: number;
  drift: Drift | null;
  driftedAt: number | null;
  stopReason: Stopped['reason'] | null;
  stoppedAt: number | null;
  lastFact: number;
}

export interface DeploymentFilter {
  project?: string | undefined;
  environment?: string | undefined;
  target?: string | undefined;
  digest?: string | undefined;
  path?: string | undefined;
  status?: DeploymentStatus | undefined;
  before?: number | undefined;
  limit: number;
}

export const insertTarget = async (tx: Tx, row: TargetTable): Promise<void> => {
  await tx.as<Tables>().insertInto('deploy_target').values(row).execute();
};

export const insertRequest = async (tx: Tx, row: RequestTable): Promise<void> => {
  await tx.as<Tables>().insertInto('deploy_request').values(row).execute();
};

export const insertDeployment = async (tx: Tx, row: DeploymentTable): Promise<void> => {
  await tx.as<Tables>().insertInto('deploy_deployment').values(row).execute();
};

export const insertReport = async (tx: Tx, row: ReportTable): Promise<void> => {
  await tx.as<Tables>().insertInto('deploy_report').values(row).execute();
};

export async function updateDeployment(tx: Tx, id: string, change: Partial<DeploymentTable>): Promise<void> {
  await tx.as<Tables>().updateTable('deploy_deployment').set(change).where('id', '=', id).execute();
}

export async function findReport(from: Db | Tx, id: string): Promise<ReportTable | undefined> {
  const db = 'as' in from ? from.as<Tables>() : from.read<Tables>();
  return await db.selectFrom('deploy_report').selectAll().where('id', '=', id).executeTakeFirst();
}

export async function noteSeen(db: Db, target: string, at: number): Promise<void> {
  await db.write(async (tx) => {
    await tx
      .as<Tables>()
      .insertInto('deploy_scratch_seen')
      .values({ target, at })
      .onConflict((conflict) => conflict.column('target').doUpdateSet({ at }))
      .execute();
  });
}

const targetQuery = (db: Db) =>
  db
    .read<Tables>()
    .selectFrom('deploy_target')
    .leftJoin('deploy_scratch_seen', 'deploy_scratch_seen.target', 'deploy_target.id')
    .selectAll('deploy_target')
    .select('deploy_scratch_seen.at as seen_at');

export async function findTarget(db: Db, id: string): Promise<Target | undefined> {
  const row = await targetQuery(db).where('deploy_target.id', '=', id).executeTakeFirst();
  return row && toTarget(row);
}

export async function selectTargets(
  db: Db,
  filter: { project?: string; environment?: string; agent?: string },
): Promise<Target[]> {
  let query = targetQuery(db);
  for (const column of ['project', 'environment', 'agent'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(`deploy_target.${column}`, '=', value);
  }
  return (await query.orderBy('deploy_target.name').execute()).map(toTarget);
}

/** Of each name the newest request. */
export async function newestRequests(db: Db, environment: string): Promise<Map<string, RequestTable>> {
  const rows = await db
    .read<Tables>()
    .selectFrom('deploy_request')
    .selectAll()
    .where('environment', '=', environment)
    .orderBy('fact')
    .execute();
  return new Map(rows.map((row) => [row.name, row]));
}

export async function selectDeployments(db: Db, filter: DeploymentFilter): Promise<Deployment[]> {
  let query = db.read<Tables>().selectFrom('deploy_deployment').selectAll();
  for (const column of ['project', 'environment', 'target', 'digest', 'path', 'status'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  if (filter.before !== undefined) query = query.where('fact', '<', filter.before);
  return (await query.orderBy('fact', 'desc').limit(filter.limit).execute()).map(toDeployment);
}

export async function findDeployment(from: Db | Tx, id: string): Promise<Deployment | undefined> {
  const db = 'as' in from ? from.as<Tables>() : from.read<Tables>();
  const row = await db.selectFrom('deploy_deployment').selectAll().where('id', '=', id).executeTakeFirst();
  return row && toDeployment(row);
}

function toTarget(row: TargetTable & { seen_at: number | null }): Target {
  const { id, fact, project, environment, environment_name: environmentName, name, agent, at, seen_at: seenAt } = row;
  return { id, fact, project, environment, environmentName, name, agent, at, seenAt };
}

function toDeployment(row: DeploymentTable): Deployment {
  const { id, fact, target, project, environment, promotion, artifact, name, version, path, status } = row;
  return {
    id,
    fact,
    target,
    project,
    environment,
    promotion,
    artifact,
    digest: row.digest as Digest,
    name,
    version,
    path,
    status,
    verifiedAt: row.verified_at,
    drift: row.drift === null ? null : (JSON.parse(row.drift) as Drift),
    driftedAt: row.drifted_at,
    stopReason: row.stop_reason,
    stoppedAt: row.stopped_at,
    lastFact: row.last_fact,
  };
}
