/** All SQL of the build module. Evidence: run, job, output, refusal. Scratch: lease, upload. */
import type { Kysely, Selectable } from 'kysely';
import type { Db, Tx } from '#storage';
import type { JobResult, Output } from './facts.ts';

export type JobState = 'queued' | 'running' | JobResult;
export type RunState = 'queued' | 'running' | 'success' | 'failure' | 'cancelled';

interface Tables {
  build_run: {
    id: string;
    fact: number;
    number: number;
    project: string;
    repository: string;
    name: string;
    commit_id: string;
    ref: string;
    push: string;
    push_fact: number;
    pusher: string | null;
    workflow_path: string;
    workflow_digest: string;
    workflow_name: string;
    state: RunState;
    queued_at: number;
    finished_at: number | null;
    provenance: string | null;
  };
  build_job: {
    id: string;
    run: string;
    position: number;
    key: string;
    name: string;
    needs: string;
    state: JobState;
    attempt: number;
    runner: string | null;
    runner_name: string | null;
    sandbox: string | null;
    started_at: number | null;
    finished_at: number | null;
    reason: string | null;
    steps: string | null;
    log_digest: string | null;
    log_size: number | null;
    values_json: string | null;
  };
  build_output: {
    run: string;
    job: string;
    name: string;
    file: string;
    digest: string;
    size: number;
    media_type: string;
  };
  build_refusal: {
    fact: number;
    push: string;
    project: string;
    repository: string;
    ref: string;
    commit_id: string;
    problems: string;
    at: number;
  };
  build_scratch_lease: {
    job: string;
    attempt: number;
    runner: string;
    token_hash: string;
    expires_at: number;
    ends_at: number;
  };
  build_scratch_upload: {
    job: string;
    attempt: number;
    name: string;
    file: string;
    digest: string;
    size: number;
    media_type: string;
  };
}

export type RunRow = Selectable<Tables['build_run']>;
export type JobRow = Selectable<Tables['build_job']>;
export type LeaseRow = Selectable<Tables['build_scratch_lease']>;
export type RefusalRow = Selectable<Tables['build_refusal']>;

const own = (db: Db): Kysely<Tables> => db.read<Tables>();
const within = (tx: Tx): Kysely<Tables> => tx.as<Tables>();

export const findRun = (db: Db, id: string): Promise<RunRow | undefined> =>
  own(db).selectFrom('build_run').selectAll().where('id', '=', id).executeTakeFirst();

export const findJob = (db: Db, id: string): Promise<JobRow | undefined> =>
  own(db).selectFrom('build_job').selectAll().where('id', '=', id).executeTakeFirst();

export const jobsOf = (db: Db, run: string): Promise<JobRow[]> =>
  own(db).selectFrom('build_job').selectAll().where('run', '=', run).orderBy('position').execute();

export const jobsWithin = (tx: Tx, run: string): Promise<JobRow[]> =>
  within(tx).selectFrom('build_job').selectAll().where('run', '=', run).orderBy('position').execute();

export const activeJobs = (db: Db): Promise<JobRow[]> =>
  own(db)
    .selectFrom('build_job')
    .innerJoin('build_run', 'build_run.id', 'build_job.run')
    .selectAll('build_job')
    .where('build_job.state', 'in', ['queued', 'running'])
    .orderBy('build_run.fact')
    .orderBy('build_job.position')
    .execute();

export interface RunFilter {
  projects: readonly string[];
  repository?: string | undefined;
  before?: number | undefined;
  limit: number;
}

export async function listRuns(db: Db, filter: RunFilter): Promise<RunRow[]> {
  if (filter.projects.length === 0) return [];
  let query = own(db).selectFrom('build_run').selectAll().where('project', 'in', filter.projects);
  if (filter.repository !== undefined) query = query.where('repository', '=', filter.repository);
  if (filter.before !== undefined) query = query.where('fact', '<', filter.before);
  return await query.orderBy('fact', 'desc').limit(filter.limit).execute();
}

export async function nextRunNumber(db: Db, repository: string): Promise<number> {
  const row = await own(db)
    .selectFrom('build_run')
    .select((eb) => eb.fn.max('number').as('newest'))
    .where('repository', '=', repository)
    .executeTakeFirst();
  return Number(row?.newest ?? 0) + 1;
}

export async function outputsOf(db: Db, run: string): Promise<(Output & { job: string })[]> {
  const rows = await own(db).selectFrom('build_output').selectAll().where('run', '=', run).orderBy('name').execute();
  return rows.map((row) => ({ ...toOutput(row), job: row.job }));
}

type UploadRow = Pick<Selectable<Tables['build_scratch_upload']>, 'name' | 'file' | 'digest' | 'size' | 'media_type'>;
const toOutput = ({ name, file, digest, size, media_type }: UploadRow): Output => ({
  name,
  file,
  digest,
  size,
  mediaType: media_type,
});

export const refusalsOf = (db: Db, project: string, limit: number): Promise<RefusalRow[]> =>
  own(db)
    .selectFrom('build_refusal')
    .selectAll()
    .where('project', '=', project)
    .orderBy('fact', 'desc')
    .limit(limit)
    .execute();

export const refusalOfPush = (db: Db, push: string, ref: string): Promise<RefusalRow | undefined> =>
  own(db).selectFrom('build_refusal').selectAll().where('push', '=', push).where('ref', '=', ref).executeTakeFirst();

// Evidence, from apply only.

export async function insertRun(tx: Tx, run: Tables['build_run'], jobs: readonly Tables['build_job'][]): Promise<void> {
  await within(tx).insertInto('build_run').values(run).execute();
  for (const job of jobs) await within(tx).insertInto('build_job').values(job).execute();
}

export async function updateRun(tx: Tx, id: string, change: Partial<Tables['build_run']>): Promise<void> {
  await within(tx).updateTable('build_run').set(change).where('id', '=', id).execute();
}

export async function updateJob(tx: Tx, id: string, change: Partial<Tables['build_job']>): Promise<void> {
  await within(tx).updateTable('build_job').set(change).where('id', '=', id).execute();
}

export async function insertOutputs(tx: Tx, run: string, job: string, outputs: readonly Output[]): Promise<void> {
  for (const { name, file, digest, size, mediaType } of outputs) {
    await within(tx)
      .insertInto('build_output')
      .values({ run, job, name, file, digest, size, media_type: mediaType })
      .execute();
  }
}

export async function insertRefusal(tx: Tx, row: Tables['build_refusal']): Promise<void> {
  await within(tx).insertInto('build_refusal').values(row).execute();
}

// Scratch.

export const findLease = (db: Db, by: { job: string } | { tokenHash: string }): Promise<LeaseRow | undefined> =>
  own(db)
    .selectFrom('build_scratch_lease')
    .selectAll()
    .where('job' in by ? 'job' : 'token_hash', '=', 'job' in by ? by.job : by.tokenHash)
    .executeTakeFirst();

export const leaseWithin = (tx: Tx, job: string): Promise<LeaseRow | undefined> =>
  within(tx).selectFrom('build_scratch_lease').selectAll().where('job', '=', job).executeTakeFirst();

export async function putLease(tx: Tx, lease: LeaseRow): Promise<void> {
  await endLease(tx, lease.job);
  await within(tx).insertInto('build_scratch_lease').values(lease).execute();
}

export async function extendLease(tx: Tx, job: string, expiresAt: number): Promise<void> {
  await within(tx).updateTable('build_scratch_lease').set({ expires_at: expiresAt }).where('job', '=', job).execute();
}

export async function endLease(tx: Tx, job: string): Promise<void> {
  await within(tx).deleteFrom('build_scratch_lease').where('job', '=', job).execute();
}

export const allLeases = (db: Db): Promise<LeaseRow[]> =>
  own(db).selectFrom('build_scratch_lease').selectAll().execute();

export async function putUpload(tx: Tx, job: string, attempt: number, output: Output): Promise<void> {
  const { name, file, digest, size, mediaType } = output;
  await within(tx)
    .insertInto('build_scratch_upload')
    .values({ job, attempt, name, file, digest, size, media_type: mediaType })
    .execute();
}

export async function uploadsOf(db: Db, job: string, attempt: number): Promise<Output[]> {
  const rows = await own(db)
    .selectFrom('build_scratch_upload')
    .selectAll()
    .where('job', '=', job)
    .where('attempt', '=', attempt)
    .orderBy('name')
    .execute();
  return rows.map(toOutput);
}

export async function uploadsWithin(tx: Tx, job: string, attempt: number): Promise<Output[]> {
  const query = within(tx).selectFrom('build_scratch_upload').selectAll();
  return (await query.where('job', '=', job).where('attempt', '=', attempt).execute()).map(toOutput);
}

export async function dropUploads(tx: Tx, job: string): Promise<void> {
  await within(tx).deleteFrom('build_scratch_upload').where('job', '=', job).execute();
}
