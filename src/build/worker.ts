/** Workers: a push becomes runs; a run that succeeded becomes signed provenance. Both may see a fact twice. */
import type { Attest } from '#attest';
import { faultPoint, Problem } from '#base';
import type { Fact, Follower } from '#journal';
import type { PushAccepted } from '#source';
import type { Build, BuildParts } from './build.ts';
import { settle } from './dispatch.ts';
import { provenanceSigned, refused, type RunFinished, runQueued, type RunQueued } from './facts.ts';
import { isTriggered, type PlanProblem } from './plan.ts';
import { provenanceOf, provenanceSan, type ProvenanceInput } from './provenance.ts';
import { jobIdOf, runIdOf } from './schedule.ts';
import { readWorkflowFiles } from './sources.ts';
import * as store from './store.ts';
import type { WorkflowFile } from './workflow.ts';

export interface BuildWorkers {
  readonly planner: Follower;
  readonly signer: Follower;
}

export interface WorkerOptions {
  build: Build;
  attest: Pick<Attest, 'sign'>;
  /** Version of this program, for provenance. */
  version: string;
  onError?: (error: unknown, fact: Fact) => void;
}

export function startBuildWorkers({ build: { parts }, attest, version, onError }: WorkerOptions): BuildWorkers {
  const observed = onError ? { onError } : {};
  return {
    planner: parts.journal.follow({
      name: 'build.planner',
      types: ['source.push_accepted'],
      handle: (fact) => planPush(parts, fact as Fact<PushAccepted>),
      ...observed,
    }),
    signer: parts.journal.follow({
      name: 'build.signer',
      types: ['build.run_finished'],
      handle: (fact) => signRun(parts, attest, version, fact as Fact<RunFinished>),
      ...observed,
    }),
  };
}

const PROBLEMS_MAX = 100;

/** Every branch and tag the push set: plan its workflows, queue those it triggers. */
export async function planPush(parts: BuildParts, fact: Fact<PushAccepted>): Promise<void> {
  for (const pushed of fact.payload.updates) {
    if (/^0+$/.test(pushed.new)) continue;
    const commit = await parts.source.commitOf(fact.payload.repository, pushed.new);
    if (commit === undefined) continue; // a tag of something else than a commit builds nothing
    // An annotated tag is an object of its own; what is built is the commit it points at.
    const update = { ...pushed, new: commit };
    const files = await readWorkflowFiles(parts.source, fact.payload.repository, update.new);
    const { plans, problems } = await parts.planner.plan(files);
    if (problems.length > 0) {
      await recordRefusal(parts, fact, update, problems);
      continue; // what cannot be read whole is not run in part
    }
    for (const plan of plans) {
      const file = files.find(({ path }) => path === plan.path);
      if (file !== undefined && isTriggered(plan.push, update.ref)) await queueRun(parts, fact, update, file, plan);
    }
  }
}

type Update = PushAccepted['updates'][number];

async function recordRefusal(
  parts: BuildParts,
  fact: Fact<PushAccepted>,
  update: Update,
  problems: readonly PlanProblem[],
): Promise<void> {
  const { push, repository, project, name } = fact.payload;
  if (await store.refusalOfPush(parts.db, push, update.ref)) return;
  await parts.journal.record({
    fact: refused,
    stream: `build/${push}`,
    actor: parts.actor,
    payload: {
      push,
      pushFact: fact.number,
      repository,
      project,
      name,
      ref: update.ref,
      commit: update.new,
      problems: problems
        .slice(0, PROBLEMS_MAX)
        .map((problem) => ({ ...problem, message: problem.message.slice(0, 1000), hint: problem.hint.slice(0, 1000) })),
    },
  });
}

async function queueRun(
  parts: BuildParts,
  fact: Fact<PushAccepted>,
  update: Update,
  file: WorkflowFile,
  plan: { path: string; name: string; jobs: readonly { key: string; name: string; needs: string[] }[] },
): Promise<void> {
  const run = runIdOf(fact.number, update.ref, file.path);
  if (!(await store.findRun(parts.db, run))) {
    const { digest } = await parts.objects.put(Buffer.from(file.content));
    const payload: RunQueued = {
      run,
      number: await store.nextRunNumber(parts.db, fact.payload.repository),
      project: fact.payload.project,
      repository: fact.payload.repository,
      name: fact.payload.name,
      commit: update.new,
      ref: update.ref,
      push: fact.payload.push,
      pushFact: fact.number,
      pusher: fact.payload.pusher,
      workflow: { path: file.path, digest, name: plan.name },
      jobs: plan.jobs.map(({ key, name, needs }) => ({ job: jobIdOf(run, key), key, name, needs })),
    };
    await recordOnce(() =>
      parts.journal.record({ fact: runQueued, payload, stream: `run/${run}`, actor: parts.actor, expectSeq: 0 }),
    );
  }
  await settle(parts, run);
}

/** A stream that moved was moved by this worker's own earlier try. */
async function recordOnce(record: () => Promise<unknown>): Promise<void> {
  try {
    await record();
  } catch (error) {
    if (!Problem.is(error) || error.code !== 'journal.stream_moved') throw error;
  }
}

/** Provenance of a run that succeeded and made something, out of the control plane's own records. */
export async function signRun(
  parts: BuildParts,
  attest: Pick<Attest, 'sign'>,
  version: string,
  fact: Fact<RunFinished>,
): Promise<void> {
  const { run: runId, result, outputs } = fact.payload;
  const run = await store.findRun(parts.db, runId);
  const isRefused = result !== 'success' && parts.controls?.successOnly !== false;
  if (isRefused || outputs.length === 0 || !run || run.provenance !== null) return;
  const facts = await parts.journal.byStream(`run/${runId}`);
  const input: ProvenanceInput = { publicUrl: parts.publicUrl, version, facts };
  const subjects = outputs.map(({ name, digest }) => ({ name, digest: { sha256: digest.slice('sha256:'.length) } }));
  const { bundle } = await attest.sign({
    predicateType: provenanceOf.type,
    predicate: provenanceOf(input),
    subjects,
    identity: {
      san: provenanceSan(parts.publicUrl, run),
      extensions: {
        runnerEnvironment: 'self-hosted',
        sourceRepositoryUri: `${parts.publicUrl}/${run.name}`,
        sourceRepositoryDigest: run.commit_id,
        sourceRepositoryRef: run.ref,
        sourceRepositoryIdentifier: run.repository,
        buildSignerUri: provenanceSan(parts.publicUrl, run),
        buildSignerDigest: run.commit_id,
        buildConfigUri: provenanceSan(parts.publicUrl, run),
        buildConfigDigest: run.commit_id,
        buildTrigger: 'push',
        runInvocationUri: `${parts.publicUrl}/${run.name}/runs/${run.id}`,
      },
    },
    actor: parts.actor,
    idempotencyKey: `provenance ${runId}`,
  });
  faultPoint('build.before_provenance');
  await recordOnce(() =>
    parts.journal.record({
      fact: provenanceSigned,
      payload: { run: runId, bundle, subjects: outputs.map(({ name, digest }) => ({ name, digest })) },
      stream: `run/${runId}`,
      actor: parts.actor,
      subject: bundle,
      expectSeq: facts.length,
    }),
  );
}
