/** What the build module records, all in the stream `run/<run>` but a refusal. A released schema never changes. */
import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';

const Id = z.string().min(1).max(64);
const Name = z.string().max(300);
const Commit = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/);
const Size = z.int().min(0);

export const Output = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/),
  file: z.string().min(1).max(300),
  digest: DigestText,
  size: Size,
  mediaType: z.string().max(100),
});
export type Output = z.output<typeof Output>;

export const JobResult = z.enum(['success', 'failure', 'cancelled', 'skipped']);
export type JobResult = z.output<typeof JobResult>;

export const StepRecord = z.strictObject({
  name: Name,
  outcome: JobResult,
  exitCode: z.int().nullable(),
  durationMs: z.int().min(0),
});

/** What the runner says about the isolation it gives; it is the platform's own program, never the build. */
export const SandboxRecord = z.strictObject({
  profile: DigestText,
  filter: DigestText,
  bubblewrap: z.string().max(100),
  kernel: z.string().max(200),
  /** Name and outcome of every check of the start-up self-test. */
  selfTest: z.strictObject({ ok: z.boolean(), checks: z.int().min(1), failed: z.array(Name) }),
  toolchain: z.array(z.strictObject({ name: Name, version: Name, architecture: Name })).max(100),
});
export type SandboxRecord = z.output<typeof SandboxRecord>;

export const refused = defineFact({
  type: 'build.refused',
  version: 1,
  schema: z.strictObject({
    push: Id,
    pushFact: z.int().min(1),
    repository: Id,
    project: Id,
    name: Name,
    ref: Name,
    commit: Commit,
    problems: z
      .array(
        z.strictObject({
          path: Name,
          line: z.int(),
          column: z.int(),
          message: z.string().max(1000),
          hint: z.string().max(1000),
        }),
      )
      .max(100),
  }),
});

export const runQueued = defineFact({
  type: 'build.run_queued',
  version: 1,
  schema: z.strictObject({
    run: Id,
    /** Counts the runs of a repository from 1. */
    number: z.int().min(1),
    project: Id,
    repository: Id,
    name: Name,
    commit: Commit,
    ref: Name,
    push: Id,
    pushFact: z.int().min(1),
    pusher: Id.optional(),
    workflow: z.strictObject({ path: Name, digest: DigestText, name: Name }),
    jobs: z.array(z.strictObject({ job: Id, key: Name, name: Name, needs: z.array(Name) })).min(1),
  }),
});
export type RunQueued = z.output<typeof runQueued.schema>;

export const jobStarted = defineFact({
  type: 'build.job_started',
  version: 1,
  schema: z.strictObject({
    run: Id,
    job: Id,
    attempt: z.int().min(1),
    runner: Id,
    runnerName: Name,
    sandbox: SandboxRecord,
  }),
});
export type JobStarted = z.output<typeof jobStarted.schema>;

export const jobFinished = defineFact({
  type: 'build.job_finished',
  version: 1,
  schema: z.strictObject({
    run: Id,
    job: Id,
    attempt: z.int().min(0),
    result: JobResult,
    reason: z.string().max(500),
    steps: z.array(StepRecord).max(300),
    log: z.strictObject({ digest: DigestText, size: Size }).nullable(),
    outputs: z.array(Output).max(200),
    /** The job's declared `outputs:`, data for the jobs that need it. */
    values: z.record(z.string().max(100), z.string().max(10_000)),
  }),
});
export type JobFinished = z.output<typeof jobFinished.schema>;

export const runFinished = defineFact({
  type: 'build.run_finished',
  version: 1,
  schema: z.strictObject({
    run: Id,
    result: z.enum(['success', 'failure', 'cancelled']),
    outputs: z.array(Output).max(500),
  }),
});
export type RunFinished = z.output<typeof runFinished.schema>;

export const provenanceSigned = defineFact({
  type: 'build.provenance_signed',
  version: 1,
  schema: z.strictObject({
    run: Id,
    bundle: DigestText,
    subjects: z.array(z.strictObject({ name: Name, digest: DigestText })).min(1),
  }),
});
export type ProvenanceSigned = z.output<typeof provenanceSigned.schema>;
