/** What the holder of a job's token may do: say that it lives, send its log and outputs, fetch its source, and end the job. */
import type { Readable } from 'node:stream';
import { faultPoint, isDigest, Problem } from '#base';
import type { Caller } from '#identity';
import type { Completion } from './assignment.ts';
import { leaseTimes } from './assignment.ts';
import type { BuildParts } from './build.ts';
import { changeRun, draftsOfEnd, earlierOutputs } from './dispatch.ts';
import type { JobFinished, Output } from './facts.ts';
import { jobTokenEnded, logIncomplete, outputNameTaken, outputsDiffer, runNotFound } from './problems.ts';
import { BUNDLE_REF } from './sources.ts';
import * as store from './store.ts';

const LOG_CHUNK_BYTES_MAX = 1024 * 1024;
const OUTPUT_BYTES_MAX = 8 * 1024 ** 3;

export interface JobAccess {
  readonly job: store.JobRow;
  readonly lease: store.LeaseRow;
}

/** The caller's own job, if its attempt still holds the lease. Every other caller is refused, whatever rights it has. */
export async function requireJob(parts: BuildParts, caller: Caller, jobId: string): Promise<JobAccess> {
  const lease = await store.findLease(parts.db, { job: jobId });
  const isHolder =
    caller.kind === 'build' &&
    caller.credential.type === 'job' &&
    (caller.credential.id === `${jobId}.${lease?.attempt}` || parts.controls?.tokenOfOneJob === false);
  if (lease === undefined || !isHolder || lease.ends_at <= parts.clock.now()) throw jobTokenEnded();
  const job = await store.findJob(parts.db, jobId);
  const isOver = job?.state !== 'running' && parts.controls?.tokenEnds !== false;
  if (!job || isOver || job.attempt !== lease.attempt) throw jobTokenEnded();
  return { job, lease };
}

export async function heartbeat(parts: BuildParts, caller: Caller, jobId: string): Promise<{ leaseSeconds: number }> {
  const { lease } = await requireJob(parts, caller, jobId);
  await parts.db.write(async (tx) => {
    const held = await store.leaseWithin(tx, jobId);
    if (held?.attempt !== lease.attempt) throw jobTokenEnded();
    await store.extendLease(tx, jobId, parts.clock.now() + leaseTimes.leaseMs);
  });
  return { leaseSeconds: leaseTimes.leaseMs / 1000 };
}

export async function appendLog(
  parts: BuildParts,
  caller: Caller,
  jobId: string,
  offset: number,
  bytes: Readable,
): Promise<{ size: number }> {
  const { job } = await requireJob(parts, caller, jobId);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LOG_CHUNK_BYTES_MAX) throw tooLarge();
    chunks.push(chunk);
  }
  return await parts.logs.append(jobId, job.attempt, offset, Buffer.concat(chunks));
}

/** The source as a git bundle. A ref that somebody moved on the disk since is noticed here, and the build gets nothing. */
export async function openSource(parts: BuildParts, caller: Caller, jobId: string): Promise<Readable> {
  const { job } = await requireJob(parts, caller, jobId);
  const run = await store.findRun(parts.db, job.run);
  if (!run) throw runNotFound(job.run);
  await parts.source.requireCommit(run.repository, run.commit_id, run.ref);
  return await parts.source.openBundle(run.repository, run.commit_id, BUNDLE_REF);
}

/** Stores one output, hashing it here: the digest in the fact is the control plane's own. */
export async function putOutput(
  parts: BuildParts,
  caller: Caller,
  jobId: string,
  announced: Pick<Output, 'name' | 'file' | 'mediaType'>,
  bytes: Readable,
): Promise<Output> {
  const { job } = await requireJob(parts, caller, jobId);
  const { digest, size } = await parts.objects.put(bytes, { maxBytes: OUTPUT_BYTES_MAX });
  const output = { ...announced, digest, size };
  const others = await store.outputsOf(parts.db, job.run);
  if (others.some(({ name }) => name === output.name)) throw outputNameTaken(output.name);
  await requireJob(parts, caller, jobId);
  await parts.db.write(async (tx) => {
    const held = await store.leaseWithin(tx, jobId);
    if (held?.attempt !== job.attempt) throw jobTokenEnded();
    const before = await store.uploadsWithin(tx, jobId, job.attempt);
    const same = before.find(({ name }) => name === output.name);
    if (same === undefined) await store.putUpload(tx, jobId, job.attempt, output);
    else if (same.digest !== digest) throw outputNameTaken(output.name);
  });
  faultPoint('build.after_outputs');
  return output;
}

/** Ends the attempt: log and outputs are what arrived here, not what is claimed; a job that failed has no outputs. */
export async function complete(parts: BuildParts, caller: Caller, jobId: string, report: Completion): Promise<void> {
  const { job } = await requireJob(parts, caller, jobId);
  const arrived = await parts.logs.state(jobId, job.attempt);
  if (arrived.size !== report.log.size || arrived.digest !== report.log.digest) throw logIncomplete(arrived.size);
  const uploads = await store.uploadsOf(parts.db, jobId, job.attempt);
  if (report.result === 'success') requireSameOutputs(uploads, report);
  const log = await parts.logs.seal(jobId, job.attempt, parts.objects);
  const ofFailure = parts.controls?.successOnly === false;
  const end: JobFinished = {
    run: job.run,
    job: jobId,
    attempt: job.attempt,
    result: report.result,
    reason: report.reason,
    steps: report.steps,
    log,
    outputs: report.result === 'success' || ofFailure ? uploads : [],
    values: report.values,
  };
  await changeRun(parts, job.run, async (state) => {
    const row = state.standings.find((standing) => standing.row.id === jobId)?.row;
    if (row?.state !== 'running' || row.attempt !== job.attempt) throw jobTokenEnded();
    const drafts = draftsOfEnd(state, [end], caller, await earlierOutputs(parts, job.run), ofFailure);
    return {
      drafts,
      guard: async (tx) => {
        if ((await store.leaseWithin(tx, jobId))?.attempt !== job.attempt) throw jobTokenEnded();
        if (parts.controls?.tokenEnds !== false) await store.endLease(tx, jobId);
        await store.dropUploads(tx, jobId);
      },
    };
  });
  faultPoint('build.after_finished');
}

function requireSameOutputs(uploads: readonly Output[], report: Completion): void {
  const listed = (all: readonly { name: string; digest: string }[]): string =>
    all
      .map(({ name, digest }) => `${name} ${digest}`)
      .sort()
      .join('\n');
  if (listed(uploads) !== listed(report.outputs)) throw outputsDiffer(listed(report.outputs), listed(uploads));
  if (!uploads.every(({ digest }) => isDigest(digest))) throw outputsDiffer('digests', 'other text');
}

const tooLarge = (): Problem =>
  new Problem({
    code: 'build.log_chunk_too_large',
    kind: 'limited',
    message: `A chunk of a log may have ${LOG_CHUNK_BYTES_MAX} bytes.`,
    hint: 'Send smaller chunks.',
  });
