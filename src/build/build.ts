import type { Readable } from 'node:stream';
import { type Clock, Problem } from '#base';
import { actorOf, type Caller, generateToken, hashToken, hasTokenShape, type Identity, tokenPrefixes } from '#identity';
import { type Actor, type Journal, type Origin, systemActor } from '#journal';
import type { Db, Objects } from '#storage';
import type { Assignment, ClaimRequest, Completion } from './assignment.ts';
import { assignNext, cancel } from './dispatch.ts';
import type { Output } from './facts.ts';
import type { BuildSource } from './sources.ts';
import { appendLog, complete, heartbeat, openSource, putOutput } from './jobs.ts';
import { LOG_BYTES_MAX, type LogChunk, openLogs, type Logs } from './logs.ts';
import type { WorkflowPlan } from './plan.ts';
import { createPlanner, type Planner } from './planner.ts';
import { runIsOver, runnerUnfit, runNotFound } from './problems.ts';
import * as store from './store.ts';
import { type JobView, jobView, type RefusalView, refusalView, type RunView, runView } from './view.ts';

export interface BuildOptions {
  journal: Journal;
  db: Db;
  clock: Clock;
  objects: Objects;
  identity: Identity;
  source: BuildSource;
  /** Directory of the logs of running jobs. */
  logsDir: string;
  publicUrl: string;
  pepper: Uint8Array;
  controls?: Partial<BuildControls>;
}

/** Controls that a drill may switch off, one at a time, to show that its attack then succeeds. */
export interface BuildControls {
  /** A job's token ends with the job. */
  tokenEnds: boolean;
  /** A job's token is good for that job alone. */
  tokenOfOneJob: boolean;
  /** Outputs count only if the whole run succeeded. */
  successOnly: boolean;
}

/** What the parts of this module share. */
export interface BuildParts extends Omit<BuildOptions, 'logsDir' | 'pepper'> {
  readonly logs: Logs;
  readonly actor: Actor;
  readonly planner: Planner;
  planOf(run: store.RunRow): Promise<WorkflowPlan>;
  makeToken(): string;
  hashToken(token: string): string;
}

export interface Build {
  /** Runs the caller may read, newest first. */
  listRuns(
    caller: Caller,
    filter: { project?: string | undefined; limit: number; after?: string | undefined },
  ): Promise<{ items: RunView[]; next: string | null }>;
  showRun(caller: Caller, run: string): Promise<RunView & { jobs: JobView[]; outputs: Output[] }>;
  listRefusals(caller: Caller, project: string): Promise<RefusalView[]>;
  /** Live text of a job's log from a byte offset on; ends when the job has ended. */
  followLog(caller: Caller, job: string, after: number, signal: AbortSignal): Promise<AsyncGenerator<LogChunk>>;
  readLog(caller: Caller, job: string): Promise<string>;
  cancelRun(caller: Caller, run: string): Promise<void>;

  /** For runners. Waits for work as long as asked; undefined: none came. */
  claim(caller: Caller, request: ClaimRequest, signal: AbortSignal): Promise<Assignment | undefined>;
  /** Token of a job → caller of kind `build`; for the listener. */
  authenticateJob(token: string, origin: Origin): Promise<Caller | undefined>;
  heartbeat(caller: Caller, job: string): Promise<{ leaseSeconds: number }>;
  appendLog(caller: Caller, job: string, offset: number, bytes: Readable): Promise<{ size: number }>;
  openSource(caller: Caller, job: string): Promise<Readable>;
  putOutput(
    caller: Caller,
    job: string,
    output: Pick<Output, 'name' | 'file' | 'mediaType'>,
    bytes: Readable,
  ): Promise<Output>;
  complete(caller: Caller, job: string, report: Completion): Promise<void>;
  /** Ends what it keeps running: open logs and the parser. */
  close(): Promise<void>;
  /** For the workers of this module. */
  readonly parts: BuildParts;
}

const PLANS_KEPT = 50;
const CLAIM_POLL_MS = 2_000;

export async function createBuild(options: BuildOptions): Promise<Build> {
  const { journal, db, identity, pepper } = options;
  const logs = await openLogs(options.logsDir);
  const planner = createPlanner();
  const plans = new Map<string, Promise<WorkflowPlan>>();
  const parts: BuildParts = {
    ...options,
    logs,
    planner,
    actor: systemActor('build'),
    makeToken: () => generateToken('job'),
    hashToken: (token) => hashToken(pepper, token),
    planOf(run) {
      const key = `${run.workflow_path}\n${run.workflow_digest}`;
      const plan = plans.get(key) ?? readPlan(planner, options.objects, run);
      plans.set(key, plan);
      plan.catch(() => plans.delete(key));
      if (plans.size > PLANS_KEPT) plans.delete(plans.keys().next().value ?? key);
      return plan;
    },
  };

  async function requireRun(caller: Caller, id: string, permission = 'build:read'): Promise<store.RunRow> {
    const run = await store.findRun(db, id);
    if (!run || !(await identity.decide(caller, 'build:read', { project: run.project })).allowed) throw runNotFound(id);
    await identity.require(caller, permission, { project: run.project });
    return run;
  }
  async function requireJobOf(caller: Caller, id: string): Promise<store.JobRow> {
    const job = await store.findJob(db, id);
    if (!job) throw runNotFound(id);
    await requireRun(caller, job.run);
    return job;
  }

  return {
    parts,
    async listRuns(caller, { project, limit, after }) {
      const projects =
        project === undefined ? await identity.listProjects(caller) : [await identity.requireProject(project)];
      const readable: string[] = [];
      for (const { id } of projects) {
        if (project !== undefined) await identity.require(caller, 'build:read', { project: id });
        if ((await identity.decide(caller, 'build:read', { project: id })).allowed) readable.push(id);
      }
      const before = after === undefined ? undefined : Number(after);
      const rows = await store.listRuns(db, { projects: readable, before, limit: limit + 1 });
      const items = rows.slice(0, limit).map(runView);
      return { items, next: rows.length > limit ? String(rows[limit - 1]?.fact) : null };
    },
    async showRun(caller, id) {
      const run = await requireRun(caller, id);
      const outputs = (await store.outputsOf(db, id)).map(({ job: _job, ...output }) => output);
      return { ...runView(run), jobs: (await store.jobsOf(db, id)).map(jobView), outputs };
    },
    async listRefusals(caller, slug) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'build:read', { project: project.id });
      return (await store.refusalsOf(db, project.id, 100)).map(refusalView);
    },
    async followLog(caller, id, after, signal) {
      await requireJobOf(caller, id);
      return followJobLog(parts, id, after, signal);
    },
    async readLog(caller, id) {
      const job = await requireJobOf(caller, id);
      let text = '';
      if (job.log_digest !== null) {
        return (await parts.objects.read(job.log_digest as Output['digest'] as never, LOG_BYTES_MAX)).toString('utf8');
      }
      const now = new AbortController();
      for await (const chunk of logs.follow(
        id,
        async () => job.attempt,
        0,
        async () => true,
        now.signal,
      ))
        text += chunk.text;
      return text;
    },
    async cancelRun(caller, id) {
      await requireRun(caller, id, 'build:run');
      if (!(await cancel(parts, id, actorOf(caller)))) throw runIsOver();
    },
    async claim(caller, request, signal) {
      await identity.require(caller, 'runner:claim');
      const { ok, failed } = request.sandbox.selfTest;
      if (!ok || failed.length > 0) throw runnerUnfit(failed);
      const runner = { ...actorOf(caller), name: caller.name };
      const deadline = options.clock.now() + request.waitSeconds * 1000;
      for (;;) {
        const assignment = signal.aborted ? undefined : await assignNext(parts, runner, request);
        const left = deadline - options.clock.now();
        if (assignment !== undefined || signal.aborted || left <= 0) return assignment;
        await nextCommit(journal, Math.min(left, CLAIM_POLL_MS), signal);
      }
    },
    async authenticateJob(token, origin) {
      if (!token.startsWith(tokenPrefixes.job) || !hasTokenShape(token)) return undefined;
      const lease = await store.findLease(db, { tokenHash: parts.hashToken(token) });
      if (lease === undefined || lease.ends_at <= options.clock.now()) return undefined;
      const credential = { type: 'job', id: `${lease.job}.${lease.attempt}` };
      return { kind: 'build', name: `job ${lease.job}`, principal: lease.runner, origin, credential };
    },
    async close() {
      await logs.close();
      await planner.close();
    },
    heartbeat: (caller, job) => heartbeat(parts, caller, job),
    appendLog: (caller, job, offset, bytes) => appendLog(parts, caller, job, offset, bytes),
    openSource: (caller, job) => openSource(parts, caller, job),
    putOutput: (caller, job, output, bytes) => putOutput(parts, caller, job, output, bytes),
    complete: (caller, job, report) => complete(parts, caller, job, report),
  };
}

async function readPlan(planner: Planner, objects: Objects, run: store.RunRow): Promise<WorkflowPlan> {
  const content = await objects.read(run.workflow_digest as never);
  const { plans, problems } = await planner.plan([{ path: run.workflow_path, content: content.toString('utf8') }]);
  const plan = plans[0];
  if (plan === undefined) {
    throw new Problem({
      code: 'build.plan_unreadable',
      kind: 'unavailable',
      message: 'The workflow of this run cannot be read any more.',
      hint: problems[0]?.message ?? 'Compare the versions of Waybill.',
    });
  }
  return plan;
}

async function* followJobLog(
  parts: BuildParts,
  id: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  const isOver = async (): Promise<boolean> => {
    const job = await store.findJob(parts.db, id);
    return job === undefined || (job.state !== 'queued' && job.state !== 'running');
  };
  const attempt = async (): Promise<number> => (await store.findJob(parts.db, id))?.attempt ?? 0;
  yield* parts.logs.follow(id, attempt, after, isOver, signal);
}

/** The next commit of the journal, the caller's departure, or the time. */
function nextCommit(journal: Journal, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const stop = journal.onCommit(done);
    signal.addEventListener('abort', done, { once: true });
  });
}
