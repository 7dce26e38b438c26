/** Which jobs of a run may start, are skipped, and when the run is over. Pure. */
import { idFrom } from '#base';
import { createHash } from 'node:crypto';
import type { Contexts, RunStatus } from './expressions.ts';
import { evaluateCondition } from './expressions.ts';
import type { JobResult } from './facts.ts';
import type { JobPlan } from './plan.ts';
import type { JobRow, JobState, RunRow } from './store.ts';

const derived = (prefix: string, text: string): string => idFrom(prefix, createHash('sha256').update(text).digest());

/** Ids follow from the push and the file, so a worker that plans a push twice names the same run. */
export const runIdOf = (pushFact: number, ref: string, path: string): string =>
  derived('run', `${pushFact}\n${ref}\n${path}`);
export const jobIdOf = (run: string, key: string): string => derived('job', `${run}\n${key}`);

const isOver = (state: JobState): state is JobResult => state !== 'queued' && state !== 'running';

export interface Standing {
  readonly row: JobRow;
  readonly plan: JobPlan;
}

/** Pairs rows with their plans; the plan of a file is the same whenever it is made, so keys always match. */
export function standingsOf(rows: readonly JobRow[], jobs: readonly JobPlan[]): Standing[] {
  return rows.flatMap((row) => {
    const plan = jobs.find((job) => job.key === row.key);
    return plan === undefined ? [] : [{ row, plan }];
  });
}

function needed(job: Standing, all: readonly Standing[]): Standing[] {
  return all.filter(({ plan }) => job.plan.needs.includes(plan.id));
}

/** The `needs` context: result and outputs of each job it names; of a matrix the worst result counts. */
export function needsContext(
  job: Standing,
  all: readonly Standing[],
): Record<string, { result: string; outputs: Record<string, string> }> {
  const context: Record<string, { result: string; outputs: Record<string, string> }> = {};
  for (const { row, plan } of needed(job, all)) {
    const known = context[plan.id];
    const outputs = JSON.parse(row.values_json ?? '{}') as Record<string, string>;
    const result = known !== undefined && known.result !== 'success' ? known.result : row.state;
    context[plan.id] = { result, outputs: { ...known?.outputs, ...outputs } };
  }
  return context;
}

export type Readiness = 'waits' | 'ready' | 'skip';

/** A job waits for all it needs; then its condition decides, by default "all of them succeeded". */
export function readinessOf(job: Standing, all: readonly Standing[], run: RunRow): Readiness {
  if (job.row.state !== 'queued') return 'waits';
  const before = needed(job, all);
  if (!before.every(({ row }) => isOver(row.state))) return 'waits';
  const states = before.map(({ row }) => row.state);
  const status: RunStatus = {
    success: states.every((state) => state === 'success'),
    failure: states.includes('failure'),
    cancelled: states.includes('cancelled'),
  };
  const contexts: Contexts = {
    github: githubContext(run, job.row),
    needs: needsContext(job, all),
    env: {},
    matrix: job.plan.matrix ?? {},
  };
  try {
    return evaluateCondition(job.plan.condition, contexts, status) ? 'ready' : 'skip';
  } catch {
    return 'skip'; // a condition that cannot be evaluated is not a yes
  }
}

/** All jobs over: the run's result. Undefined while something is still to do. */
export function resultOf(states: readonly JobState[]): 'success' | 'failure' | 'cancelled' | undefined {
  if (!states.every(isOver)) return undefined;
  if (states.includes('failure')) return 'failure';
  if (states.includes('cancelled')) return 'cancelled';
  return states.includes('success') ? 'success' : 'failure';
}

/** The `github` context: what the platform knows of the run. */
export function githubContext(run: RunRow, job: JobRow): Record<string, unknown> {
  const [owner = '', repository = ''] = run.name.split('/');
  const shortRef = run.ref.replace(/^refs\/(heads|tags)\//, '');
  return {
    sha: run.commit_id,
    ref: run.ref,
    ref_name: shortRef,
    ref_type: run.ref.startsWith('refs/tags/') ? 'tag' : 'branch',
    repository: run.name,
    repository_owner: owner,
    repository_name: repository,
    run_id: run.id,
    run_number: String(run.number),
    run_attempt: String(job.attempt),
    workflow: run.workflow_name,
    job: job.key,
    event_name: 'push',
    actor: run.pusher,
    workspace: '/ws',
  };
}
