import type { Digest } from '#base';
import { parsePolicy, type PolicyDocument } from '#policy';
import type { Db, Tx } from '#storage';
import type { CheckRecord } from './facts.ts';

export interface EnvironmentTable {
  id: string;
  project: string;
  name: string;
  position: number;
  policy: string;
  policy_digest: string;
  policy_version: number;
  at: number;
}

export interface PromotionTable {
  id: string;
  fact: number;
  project: string;
  environment: string;
  environment_name: string;
  artifact: string;
  digest: string;
  name: string;
  version: string;
  requester: string;
  comment: string;
  status: PromotionStatus;
  requested_at: number;
  decided_fact: number | null;
  decided_at: number | null;
  summary: string | null;
  resource_uri: string | null;
  policy_digest: string | null;
  checks: string | null;
}

export interface ApprovalTable {
  promotion: string;
  principal: string;
  kind: 'person';
  comment: string;
  fact: number;
  at: number;
}

interface Tables {
  release_environment: EnvironmentTable;
  release_promotion: PromotionTable;
  release_approval: ApprovalTable;
}

export type PromotionStatus = 'waiting' | 'promoted' | 'refused';

export interface Environment {
  id: string;
  project: string;
  name: string;
  position: number;
  policy: PolicyDocument;
  policyDigest: Digest;
  policyVersion: number;
  at: number;
}

export interface Promotion {
  id: string;
  fact: number;
  project: string;
  environment: string;
  environmentName: string;
  artifact: string;
  digest: Digest;
  name: string;
  version: string;
  requester: string;
  comment: string;
  status: PromotionStatus;
  requestedAt: number;
  decidedFact: number | null;
  decidedAt: number | null;
  /** Digest of the bundle with the verification summary. */
  summary: Digest | null;
  resourceUri: string | null;
  policyDigest: Digest | null;
  checks: readonly CheckRecord[];
  approvals: readonly ApprovalTable[];
}

export interface PromotionFilter {
  project?: string | undefined;
  environment?: string | undefined;
  digest?: string | undefined;
  status?: PromotionStatus | undefined;
  before?: number | undefined;
  limit: number;
}

export async function insertEnvironment(tx: Tx, row: EnvironmentTable): Promise<void> {
  await tx.as<Tables>().insertInto('release_environment').values(row).execute();
}

export async function updatePolicy(
  tx: Tx,
  id: string,
  change: Pick<EnvironmentTable, 'policy' | 'policy_digest' | 'policy_version'>,
): Promise<void> {
  await tx.as<Tables>().updateTable('release_environment').set(change).where('id', '=', id).execute();
}

export async function insertPromotion(tx: Tx, row: PromotionTable): Promise<void> {
  await tx.as<Tables>().insertInto('release_promotion').values(row).execute();
}

export async function decidePromotion(tx: Tx, id: string, change: Partial<PromotionTable>): Promise<void> {
  await tx.as<Tables>().updateTable('release_promotion').set(change).where('id', '=', id).execute();
}

export async function insertApproval(tx: Tx, row: ApprovalTable): Promise<void> {
  await tx.as<Tables>().insertInto('release_approval').values(row).execute();
}

export async function statusOf(tx: Tx, id: string): Promise<PromotionStatus | undefined> {
  const row = await tx
    .as<Tables>()
    .selectFrom('release_promotion')
    .select('status')
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.status;
}

export async function policyVersionOf(tx: Tx, environment: string): Promise<number | undefined> {
  const row = await tx
    .as<Tables>()
    .selectFrom('release_environment')
    .select('policy_version')
    .where('id', '=', environment)
    .executeTakeFirst();
  return row?.policy_version;
}

export async function selectEnvironments(db: Db, project: string): Promise<Environment[]> {
  const rows = await db
    .read<Tables>()
    .selectFrom('release_environment')
    .selectAll()
    .where('project', '=', project)
    .orderBy('position')
    .execute();
  return rows.map(toEnvironment);
}

export async function findEnvironment(db: Db, id: string): Promise<Environment | undefined> {
  const row = await db
    .read<Tables>()
    .selectFrom('release_environment')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
  return row && toEnvironment(row);
}

export async function findPromotion(db: Db, id: string): Promise<Promotion | undefined> {
  const row = await db
    .read<Tables>()
    .selectFrom('release_promotion')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
  return row && (await withApprovals(db, [row]))[0];
}

export async function selectPromotions(db: Db, filter: PromotionFilter): Promise<Promotion[]> {
  let query = db.read<Tables>().selectFrom('release_promotion').selectAll();
  for (const column of ['project', 'environment', 'digest', 'status'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  if (filter.before !== undefined) query = query.where('fact', '<', filter.before);
  return await withApprovals(db, await query.orderBy('fact', 'desc').limit(filter.limit).execute());
}

/** Of every name that was ever promoted to the environment, the promotion that was decided last. */
export async function selectDesired(db: Db, environment: string): Promise<Promotion[]> {
  const rows = await db
    .read<Tables>()
    .selectFrom('release_promotion as promotion')
    .selectAll()
    .where('environment', '=', environment)
    .where('status', '=', 'promoted')
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('release_promotion as newer')
            .select('newer.id')
            .where('newer.environment', '=', environment)
            .where('newer.status', '=', 'promoted')
            .whereRef('newer.name', '=', 'promotion.name')
            .whereRef('newer.decided_fact', '>', 'promotion.decided_fact'),
        ),
      ),
    )
    .orderBy('name')
    .execute();
  return await withApprovals(db, rows);
}

async function withApprovals(db: Db, rows: readonly PromotionTable[]): Promise<Promotion[]> {
  if (rows.length === 0) return [];
  const approvals = await db
    .read<Tables>()
    .selectFrom('release_approval')
    .selectAll()
    .where(
      'promotion',
      'in',
      rows.map(({ id }) => id),
    )
    .orderBy('fact')
    .execute();
  return rows.map((row) => toPromotion(row, approvals));
}

function toEnvironment(row: EnvironmentTable): Environment {
  return {
    id: row.id,
    project: row.project,
    name: row.name,
    position: row.position,
    policy: parsePolicy(JSON.parse(row.policy)),
    policyDigest: row.policy_digest as Digest,
    policyVersion: row.policy_version,
    at: row.at,
  };
}

function toPromotion(row: PromotionTable, approvals: readonly ApprovalTable[]): Promotion {
  return {
    id: row.id,
    fact: row.fact,
    project: row.project,
    environment: row.environment,
    environmentName: row.environment_name,
    artifact: row.artifact,
    digest: row.digest as Digest,
    name: row.name,
    version: row.version,
    requester: row.requester,
    comment: row.comment,
    status: row.status,
    requestedAt: row.requested_at,
    decidedFact: row.decided_fact,
    decidedAt: row.decided_at,
    summary: row.summary as Digest | null,
    resourceUri: row.resource_uri,
    policyDigest: row.policy_digest as Digest | null,
    checks: row.checks === null ? [] : (JSON.parse(row.checks) as CheckRecord[]),
    approvals: approvals.filter(({ promotion }) => promotion === row.id),
  };
}
