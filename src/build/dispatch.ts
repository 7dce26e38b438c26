/** Changes of a run's state. Each reads the run, decides, and records on the run's stream as it saw it; a race starts over. */
import { faultPoint, Problem } from '#base';
import type { Actor, Draft, Guard } from '#journal';
import type { Assignment, ClaimRequest } from './assignment.ts';
import { leaseTimes } from './assignment.ts';
import type { BuildParts } from './build.ts';
import { jobFinished, type JobFinished, type JobResult, jobStarted, type Output, runFinished } from './facts.ts';
import { githubContext, needsContext, readinessOf, resultOf, type Standing, standingsOf } from './schedule.ts';
import * as store from './store.ts';

export interface RunState {
  readonly run: store.RunRow;
  readonly standings: readonly Standing[];
}

const RACES_MAX = 20;

/** Decides on the run as it stands and records; if another change came in between, looks again. */
export async function changeRun(
  parts: BuildParts,
  runId: string,
  decide: (state: RunState) => Promise<{ drafts: Draft[]; guard?: Guard } | undefined>,
): Promise<boolean> {
  for (let race = 0; race < RACES_MAX; race++) {
    const seq = (await parts.journal.byStream(`run/${runId}`)).length;
    const state = await readRun(parts, runId);
    const decision = state && (await decide(state));
    if (decision === undefined || decision.drafts.length === 0) return false;
    const [first, ...others] = decision.drafts as [Draft, ...Draft[]];
    try {
      await parts.journal.recordAll([{ ...first, expectSeq: seq }, ...others], decision.guard);
      for (const { row } of state?.standings ?? []) parts.logs.wake(row.id);
      return true;
    } catch (error) {
      if (!Problem.is(error) || error.code !== 'journal.stream_moved') throw error;
    }
  }
  throw new Problem({
    code: 'build.busy',
    kind: 'unavailable',
    message: 'This run is changing too fast.',
    hint: 'Try again.',
  });
}

export async function readRun(parts: BuildParts, runId: string): Promise<RunState | undefined> {
  const run = await store.findRun(parts.db, runId);
  if (!run) return undefined;
  const plan = await parts.planOf(run);
  return { run, standings: standingsOf(await store.jobsOf(parts.db, runId), plan.jobs) };
}

const draft = <P>(run: string, actor: Actor, fact: Draft<P>['fact'], payload: P): Draft =>
  ({ fact, payload, stream: `run/${run}`, actor }) as Draft;

/** What follows from one job's end: jobs that are skipped because of it, and the end of the run. */
export function draftsOfEnd(
  state: RunState,
  ends: readonly JobFinished[],
  actor: Actor,
  earlier: readonly Output[],
  ofFailure = false,
): Draft[] {
  const { run } = state;
  const drafts = ends.map((end) => draft(run.id, actor, jobFinished, end));
  let standings = state.standings.map((standing) => {
    const end = ends.find(({ job }) => job === standing.row.id);
    return end ? endedAs(standing, end.result, end.values) : standing;
  });
  for (;;) {
    const skipped = standings.find((standing) => readinessOf(standing, standings, run) === 'skip');
    if (skipped === undefined) break;
    const end = emptyEnd(run.id, skipped.row, 'skipped', 'its condition did not hold');
    drafts.push(draft(run.id, actor, jobFinished, end));
    standings = standings.map((standing) => (standing === skipped ? endedAs(standing, 'skipped', {}) : standing));
  }
  const result = resultOf(standings.map(({ row }) => row.state));
  if (result !== undefined) {
    const outputs = result === 'success' || ofFailure ? [...earlier, ...ends.flatMap((end) => end.outputs)] : [];
    drafts.push(draft(run.id, actor, runFinished, { run: run.id, result, outputs }));
  }
  return drafts;
}

function endedAs(standing: Standing, state: JobResult, values: Record<string, string>): Standing {
  return { ...standing, row: { ...standing.row, state, values_json: JSON.stringify(values) } };
}

export function emptyEnd(run: string, row: store.JobRow, result: JobResult, reason: string): JobFinished {
  return { run, job: row.id, attempt: row.attempt, result, reason, steps: [], log: null, outputs: [], values: {} };
}

/** Outputs of jobs that ended earlier in the run. */
export async function earlierOutputs(parts: BuildParts, run: string): Promise<Output[]> {
  const rows = await store.outputsOf(parts.db, run);
  return rows.map(({ name, file, digest, size, mediaType }) => ({ name, file, digest, size, mediaType }));
}

/** Hands the oldest ready job to a runner, or undefined when there is none. */
export async function assignNext(
  parts: BuildParts,
  runner: Actor & { name: string },
  request: ClaimRequest,
): Promise<Assignment | undefined> {
  for (const row of await store.activeJobs(parts.db)) {
    const lease = await store.findLease(parts.db, { job: row.id });
    if (row.state === 'running' && lease !== undefined && lease.expires_at > parts.clock.now()) continue;
    if (row.state === 'running' && row.attempt >= leaseTimes.attemptsMax) {
      await giveUp(parts, row);
      continue;
    }
    const assignment = await assign(parts, row, runner, request);
    if (assignment !== undefined) return assignment;
  }
  return undefined;
}

async function assign(
  parts: BuildParts,
  job: store.JobRow,
  runner: Actor & { name: string },
  request: ClaimRequest,
): Promise<Assignment | undefined> {
  const token = parts.makeToken();
  let assignment: Assignment | undefined;
  const happened = await changeRun(parts, job.run, async (state) => {
    const standing = state.standings.find(({ row }) => row.id === job.id);
    if (standing === undefined || standing.row.attempt !== job.attempt) return undefined;
    const isRetry = standing.row.state === 'running';
    if (!isRetry && readinessOf(standing, state.standings, state.run) !== 'ready') return undefined;
    const attempt = job.attempt + 1;
    const now = parts.clock.now();
    assignment = await assignmentOf(parts, state, standing, attempt, token);
    const payload = {
      run: job.run,
      job: job.id,
      attempt,
      runner: runner.principal,
      runnerName: runner.name,
      sandbox: request.sandbox,
    };
    const guard: Guard = async (tx) => {
      const held = await store.leaseWithin(tx, job.id);
      if (held !== undefined && held.attempt >= attempt) throw raced();
      await store.putLease(tx, {
        job: job.id,
        attempt,
        runner: runner.principal,
        token_hash: parts.hashToken(token),
        expires_at: now + leaseTimes.leaseMs,
        ends_at: now + standing.plan.timeoutMinutes * 60_000 + leaseTimes.graceMs,
      });
    };
    return { drafts: [draft(job.run, runner, jobStarted, payload)], guard };
  });
  return happened ? assignment : undefined;
}

const raced = (): Problem =>
  new Problem({
    code: 'journal.stream_moved',
    kind: 'conflict',
    message: 'Another runner took the job.',
    hint: 'Claim again.',
  });

async function assignmentOf(
  parts: BuildParts,
  { run, standings }: RunState,
  standing: Standing,
  attempt: number,
  token: string,
): Promise<Assignment> {
  return {
    run: run.id,
    job: standing.row.id,
    attempt,
    token,
    leaseSeconds: leaseTimes.leaseMs / 1000,
    commit: run.commit_id,
    repository: run.name,
    plan: standing.plan,
    github: { ...githubContext(run, { ...standing.row, attempt }), server_url: parts.publicUrl },
    needs: needsContext(standing, standings),
  };
}

/** A job whose runners vanished too often has failed; that is a fact like any other end. */
async function giveUp(parts: BuildParts, row: store.JobRow): Promise<void> {
  const log = await parts.logs.seal(row.id, row.attempt, parts.objects);
  await changeRun(parts, row.run, async (state) => {
    const standing = state.standings.find((one) => one.row.id === row.id);
    if (standing?.row.state !== 'running' || standing.row.attempt !== row.attempt) return undefined;
    const end = { ...emptyEnd(row.run, row, 'failure', `its runner was lost ${row.attempt} times`), log };
    return { drafts: draftsOfEnd(state, [end], parts.actor, []), guard: (tx) => store.endLease(tx, row.id) };
  });
}

/** Ends every job that has not ended; credentials of running ones end with them. */
export async function cancel(parts: BuildParts, runId: string, actor: Actor): Promise<boolean> {
  return await changeRun(parts, runId, async (state) => {
    const open = state.standings.filter(({ row }) => row.state === 'queued' || row.state === 'running');
    const ends: JobFinished[] = [];
    for (const { row } of open) {
      const log = row.state === 'running' ? await parts.logs.seal(row.id, row.attempt, parts.objects) : null;
      ends.push({ ...emptyEnd(runId, row, 'cancelled', 'somebody cancelled the run'), log });
    }
    if (ends.length === 0) return undefined;
    const guard: Guard = async (tx) => {
      for (const { job } of ends) await store.endLease(tx, job);
    };
    return { drafts: draftsOfEnd(state, ends, actor, []), guard };
  });
}

/** Right after queueing: a run whose every job is skipped is over before any runner saw it. */
export async function settle(parts: BuildParts, runId: string): Promise<void> {
  faultPoint('build.after_queued');
  await changeRun(parts, runId, async (state) => {
    const drafts = draftsOfEnd(state, [], parts.actor, await earlierOutputs(parts, runId));
    return { drafts };
  });
}
