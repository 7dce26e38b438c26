/** Endpoints of runs, their logs, and what runners speak. Handlers are the use cases of the same noun in `Build`. */
import { z } from 'zod';
import { defineEndpoint, DigestText, PageQuery, Slug } from '#base';
import { Assignment, ClaimRequest, Completion } from './assignment.ts';
import { Output } from './facts.ts';
import { RefusalView, RunDetail, RunView } from './view.ts';

const RunParams = z.object({ run: z.string().max(64) });
const JobParams = z.object({ job: z.string().max(64) });

export const listRuns = defineEndpoint({
  name: 'run.list',
  method: 'GET',
  path: '/api/v1/runs',
  summary: 'List runs, newest first.',
  auth: 'required',
  permission: 'build:read',
  query: PageQuery.extend({ project: Slug.optional() }),
  response: z.object({ items: z.array(RunView), next: z.string().nullable() }),
});

export const showRun = defineEndpoint({
  name: 'run.show',
  method: 'GET',
  path: '/api/v1/runs/:run',
  summary: 'Show a run with its jobs and outputs.',
  auth: 'required',
  permission: 'build:read',
  params: RunParams,
  response: RunDetail,
});

export const cancelRun = defineEndpoint({
  name: 'run.cancel',
  method: 'POST',
  path: '/api/v1/runs/:run/cancel',
  summary: 'Cancel a run: its jobs end at once and publish nothing.',
  auth: 'required',
  permission: 'build:run',
  params: RunParams,
  response: z.object({ run: z.string() }),
});

export const listRefusals = defineEndpoint({
  name: 'run.refusals',
  method: 'GET',
  path: '/api/v1/projects/:project/build-refusals',
  summary: 'List pushes whose workflow files cannot be run, with line and column of every problem.',
  auth: 'required',
  permission: 'build:read',
  params: z.object({ project: Slug }),
  response: z.object({ items: z.array(RefusalView), next: z.null() }),
});

export const readLog = defineEndpoint({
  name: 'run.log',
  method: 'GET',
  path: '/api/v1/jobs/:job/log',
  summary: 'The log of a job so far, as text.',
  auth: 'required',
  permission: 'build:read',
  params: JobParams,
  response: z.string(),
  stream: 'response',
});

/** Each event's id is the byte offset after its text; `data` is the text as a JSON string. */
export const followLog = defineEndpoint({
  name: 'run.follow',
  method: 'GET',
  path: '/api/v1/jobs/:job/log/events',
  summary: 'The log of a job, live, as server-sent events. Resumes after Last-Event-ID.',
  auth: 'required',
  permission: 'build:read',
  params: JobParams,
  response: z.string(),
  stream: 'sse',
});

export const claim = defineEndpoint({
  name: 'runner.claim',
  method: 'POST',
  path: '/api/v1/runner/claim',
  summary: 'For runners: wait for a job and lease it.',
  auth: 'required',
  permission: 'runner:claim',
  body: ClaimRequest,
  response: z.object({ assignment: Assignment.nullable() }),
});

export const heartbeat = defineEndpoint({
  name: 'runner.heartbeat',
  method: 'POST',
  path: '/api/v1/runner/jobs/:job/heartbeat',
  summary: 'For the holder of a job’s token: keep the lease. A refusal means that the job is no longer yours; stop it.',
  auth: 'required',
  params: JobParams,
  response: z.object({ leaseSeconds: z.int() }),
});

export const fetchSource = defineEndpoint({
  name: 'runner.source',
  method: 'GET',
  path: '/api/v1/runner/jobs/:job/source',
  summary: 'For the holder of a job’s token: the source as a git bundle.',
  auth: 'required',
  params: JobParams,
  response: z.string(),
  stream: 'response',
});

export const appendLog = defineEndpoint({
  name: 'runner.log',
  method: 'PUT',
  path: '/api/v1/runner/jobs/:job/log',
  summary: 'For the holder of a job’s token: append a chunk of the log at its offset.',
  auth: 'required',
  params: JobParams,
  query: z.object({ offset: z.coerce.number().int().min(0) }),
  response: z.object({ size: z.int() }),
  stream: 'request',
});

export const putOutput = defineEndpoint({
  name: 'runner.output',
  method: 'PUT',
  path: '/api/v1/runner/jobs/:job/outputs/:name',
  summary: 'For the holder of a job’s token: upload one output. The answer holds the digest the server computed.',
  auth: 'required',
  params: JobParams.extend({ name: Output.shape.name }),
  query: z.object({ file: Output.shape.file, mediaType: Output.shape.mediaType }),
  response: z.object({ name: z.string(), digest: DigestText, size: z.int() }),
  stream: 'request',
});

export const complete = defineEndpoint({
  name: 'runner.complete',
  method: 'POST',
  path: '/api/v1/runner/jobs/:job/complete',
  summary: 'For the holder of a job’s token: end the job. The token ends with it.',
  auth: 'required',
  params: JobParams,
  body: Completion,
  response: z.object({ job: z.string() }),
});
