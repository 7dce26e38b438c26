/** Runs one assigned job from its first step to its report. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, faultPoint, Problem } from '#base';
import type { Sandbox } from '#sandbox';
import { type Assignment, type Completion, leaseTimes } from '../assignment.ts';
import { type Contexts, evaluateCondition, type RunStatus } from '../expressions.ts';
import type { JobResult } from '../facts.ts';
import type { StepPlan } from '../plan.ts';
import { runAction } from './actions.ts';
import type { AttemptApi } from './api.ts';
import { isPassing, type JobLog, openJobLog } from './log.ts';
import { createMasks } from './masks.ts';
import { type JobScene, render, runScript, type StepEnd } from './step.ts';

export interface JobRun {
  readonly assignment: Assignment;
  readonly api: AttemptApi;
  readonly sandbox: Sandbox;
  /** Directory of the job; made here, removed here. */
  readonly dir: string;
  readonly tools: Readonly<Record<string, string>>;
  /** Stops the job: the runner is told to stop. */
  readonly signal: AbortSignal;
}

/** The report the server accepted, or undefined when the attempt was taken away from us. */
export async function runJob(run: JobRun): Promise<Completion | undefined> {
  const { assignment, api, sandbox, dir } = run;
  await removeJobDirectory(sandbox, dir);
  await sandbox.createDirectory(dir);
  for (const name of ['ws', 'home']) await sandbox.createDirectory(join(dir, name));
  await rm(`${dir}.log`, { force: true });
  const log = await openJobLog(`${dir}.log`, api);
  const lost = new AbortController();
  const deadline = AbortSignal.timeout(assignment.plan.timeoutMinutes * 60_000);
  const signal = AbortSignal.any([run.signal, lost.signal, deadline]);
  const stopHeart = keepLease(api, lost);
  try {
    const scene = sceneOf(run, log, signal);
    const report = await runSteps(scene, assignment, deadline);
    if (lost.signal.aborted || run.signal.aborted) {
      await log.abandon();
      return undefined;
    }
    faultPoint('runner.before_complete');
    const completion = { ...report, log: await log.finish(), outputs: outputsOf(scene) };
    await insist(() => api.complete(completion));
    return completion;
  } catch (error) {
    await log.abandon();
    if (isTakenAway(error)) return undefined;
    throw error;
  } finally {
    stopHeart();
    await removeJobDirectory(sandbox, dir);
    await rm(`${dir}.log`, { force: true });
  }
}

/** The credential of an attempt ends with it: cancelled, lost, or finished by another runner. */
const isTakenAway = (error: unknown): boolean =>
  Problem.is(error) && (error.kind === 'unauthenticated' || error.kind === 'forbidden');

const outputsOf = (scene: JobScene): Completion['outputs'] =>
  scene.outputs.map(({ name, digest }) => ({ name, digest: digest as Digest }));

function sceneOf({ assignment, api, sandbox, dir, tools }: JobRun, log: JobLog, signal: AbortSignal): JobScene {
  return {
    sandbox,
    dir,
    log,
    masks: createMasks(),
    api,
    commit: assignment.commit,
    signal,
    tools,
    laterEnv: new Map(),
    paths: [],
    outputs: [],
    sourceDate: undefined,
  };
}

type Report = Omit<Completion, 'log' | 'outputs'>;

async function runSteps(scene: JobScene, { plan, github, needs }: Assignment, deadline: AbortSignal): Promise<Report> {
  const steps: Completion['steps'] = [];
  const stepsContext: Record<string, { outputs: Record<string, string>; outcome: string; conclusion: string }> = {};
  const base: Contexts = {
    github,
    needs,
    matrix: plan.matrix ?? {},
    runner: { os: 'Linux', arch: process.arch === 'arm64' ? 'ARM64' : 'X64', temp: '/tmp' },
  };
  let failed: string | undefined;
  scene.log.line(`Job ${plan.key}: commit ${scene.commit}, sandbox profile ${scene.sandbox.profileDigest}`);
  for (const [index, step] of plan.steps.entries()) {
    const cancelled = scene.signal.aborted;
    const status: RunStatus = { success: failed === undefined && !cancelled, failure: failed !== undefined, cancelled };
    const contexts: Contexts = {
      ...base,
      steps: stepsContext,
      job: { status: failed === undefined ? 'success' : 'failure' },
    };
    const env = renderEnv(scene, [...plan.env, step.env], contexts, status);
    const withEnv = { ...contexts, env };
    const name = nameOf(step, withEnv, status);
    const startedAt = performance.now();
    const end = await runOneStep(scene, step, name, {
      contexts: withEnv,
      status,
      env,
      timeoutMs: (step.timeoutMinutes ?? plan.timeoutMinutes) * 60_000,
    });
    if (index === 0) faultPoint('runner.mid_step');
    steps.push({
      name,
      outcome: end.outcome,
      exitCode: end.exitCode,
      durationMs: Math.round(performance.now() - startedAt),
    });
    const conclusion = end.outcome === 'failure' && step.continueOnError ? 'success' : end.outcome;
    if (step.id !== null) stepsContext[step.id] = { outputs: { ...end.outputs }, outcome: end.outcome, conclusion };
    if (conclusion === 'failure') failed ??= name;
  }
  return reportOf(scene, plan.outputs, { ...base, steps: stepsContext }, steps, failed, deadline);
}

function reportOf(
  scene: JobScene,
  outputs: Assignment['plan']['outputs'],
  contexts: Contexts,
  steps: Completion['steps'],
  failed: string | undefined,
  deadline: AbortSignal,
): Report {
  const reason = deadline.aborted
    ? 'it took longer than its time-out'
    : failed === undefined
      ? ''
      : `the step "${failed}" failed`;
  const result: JobResult = reason === '' ? 'success' : 'failure';
  const status: RunStatus = { success: result === 'success', failure: result === 'failure', cancelled: false };
  const values = Object.entries(outputs).map(
    ([name, text]) => [name, render(text, contexts, status).slice(0, 10_000)] as const,
  );
  scene.log.line(result === 'success' ? 'Job succeeded.' : `##[error]Job failed: ${reason}.`);
  return { result, reason: reason.slice(0, 500), steps, values: Object.fromEntries(values) };
}

function renderEnv(
  scene: JobScene,
  levels: readonly Assignment['plan']['env'][number][],
  contexts: Contexts,
  status: RunStatus,
): Record<string, string> {
  let env: Record<string, string> = Object.fromEntries(scene.laterEnv);
  for (const level of levels) {
    const rendered = Object.entries(level).map(
      ([name, text]) => [name, render(text, { ...contexts, env }, status)] as const,
    );
    env = { ...env, ...Object.fromEntries(rendered) };
  }
  return env;
}

function nameOf(step: StepPlan, contexts: Contexts, status: RunStatus): string {
  if (step.name !== null) return render(step.name, contexts, status).slice(0, 300);
  if (step.kind === 'uses') return `Run ${step.action}`;
  const script = 'text' in step.script ? step.script.text : step.script.expression;
  return `Run ${script.trim().split('\n')[0] ?? ''}`.slice(0, 300);
}

type StepOutcome = StepEnd & { outcome: JobResult };

interface StepFrame {
  readonly contexts: Contexts;
  readonly status: RunStatus;
  readonly env: Record<string, string>;
  readonly timeoutMs: number;
}

/** A step that cannot be run is a step that failed; its problem is told in the log. */
async function runOneStep(scene: JobScene, step: StepPlan, name: string, frame: StepFrame): Promise<StepOutcome> {
  const nothing = { exitCode: null, success: false, outputs: {} };
  try {
    if (frame.status.cancelled || !evaluateCondition(step.condition, frame.contexts, frame.status))
      return { ...nothing, outcome: 'skipped' };
    scene.log.line(`##[group]${name}`);
    const end =
      step.kind === 'run'
        ? await runScript(scene, { plan: step, ...frame })
        : await runAction(scene, { plan: step, ...frame });
    if (!end.success)
      scene.log.line(`##[error]The step failed${end.exitCode === null ? '' : ` with exit status ${end.exitCode}`}.`);
    return { ...end, outcome: end.success ? 'success' : 'failure' };
  } catch (error) {
    if (isTakenAway(error)) throw error;
    scene.log.line(`##[error]${Problem.is(error) ? `${error.message} ${error.hint}` : 'The step could not be run.'}`);
    return { ...nothing, outcome: 'failure' };
  } finally {
    scene.log.line('##[endgroup]');
  }
}

/** Says every few seconds that the attempt lives; a refusal means that it is somebody else's now, so everything stops. */
function keepLease(api: AttemptApi, lost: AbortController): () => void {
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const beat = async (): Promise<void> => {
    try {
      await api.heartbeat();
    } catch (error) {
      if (!isPassing(error)) lost.abort();
    }
    if (!isOver && !lost.signal.aborted) timer = setTimeout(() => void beat(), leaseTimes.heartbeatMs);
  };
  timer = setTimeout(() => void beat(), leaseTimes.heartbeatMs);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

const INSIST_MS = 120_000;
const INSIST_EVERY_MS = 500;

/** Tries again while the server is away. */
async function insist(work: () => Promise<void>): Promise<void> {
  const until = performance.now() + INSIST_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error) || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, INSIST_EVERY_MS));
    }
  }
}

/** A build may leave directories that nobody can enter; the sandbox opens them, being their owner, and the runner removes them. */
async function removeJobDirectory(sandbox: Sandbox, dir: string): Promise<void> {
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true, maxRetries: 2 });
  try {
    await remove();
  } catch {
    const mounts = { workspace: join(dir, 'ws'), home: join(dir, 'home') };
    for (const path of Object.values(mounts)) await sandbox.createDirectory(path);
    await sandbox.run({ argv: ['/bin/chmod', '-R', 'u+rwX', '/ws', '/home/build'], mounts });
    await remove();
  }
}
