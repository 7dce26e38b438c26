/** Rows as callers see them. */
import { z } from 'zod';
import { DigestText, toIso } from '#base';
import { Output, SandboxRecord, StepRecord } from './facts.ts';
import type { JobRow, RefusalRow, RunRow } from './store.ts';

const Time = z.iso.datetime();

export const RunView = z.object({
  run: z.string(),
  number: z.int(),
  repository: z.string(),
  commit: z.string(),
  ref: z.string(),
  push: z.string(),
  pushFact: z.int(),
  pusher: z.string().nullable(),
  workflow: z.object({ path: z.string(), digest: DigestText, name: z.string() }),
  state: z.enum(['queued', 'running', 'success', 'failure', 'cancelled']),
  fact: z.int(),
  queuedAt: Time,
  finishedAt: Time.nullable(),
  provenance: DigestText.nullable(),
});
export type RunView = z.output<typeof RunView>;

export const JobView = z.object({
  job: z.string(),
  key: z.string(),
  name: z.string(),
  needs: z.array(z.string()),
  state: z.enum(['queued', 'running', 'success', 'failure', 'cancelled', 'skipped']),
  attempt: z.int(),
  runner: z.string().nullable(),
  reason: z.string().nullable(),
  steps: z.array(StepRecord),
  log: z.object({ digest: DigestText, size: z.int() }).nullable(),
  sandbox: SandboxRecord.nullable(),
  startedAt: Time.nullable(),
  finishedAt: Time.nullable(),
});
export type JobView = z.output<typeof JobView>;

export const RefusalView = z.object({
  push: z.string(),
  ref: z.string(),
  commit: z.string(),
  fact: z.int(),
  problems: z.array(
    z.object({ path: z.string(), line: z.int(), column: z.int(), message: z.string(), hint: z.string() }),
  ),
  refusedAt: Time,
});
export type RefusalView = z.output<typeof RefusalView>;

export const RunDetail = RunView.extend({ jobs: z.array(JobView), outputs: z.array(Output) });

const timeOrNull = (ms: number | null): string | null => (ms === null ? null : toIso(ms));

export function runView(row: RunRow): RunView {
  return {
    run: row.id,
    number: row.number,
    repository: row.name,
    commit: row.commit_id,
    ref: row.ref,
    push: row.push,
    pushFact: row.push_fact,
    pusher: row.pusher,
    workflow: { path: row.workflow_path, digest: row.workflow_digest, name: row.workflow_name },
    state: row.state,
    fact: row.fact,
    queuedAt: toIso(row.queued_at),
    finishedAt: timeOrNull(row.finished_at),
    provenance: row.provenance,
  };
}

export function jobView(row: JobRow): JobView {
  return {
    job: row.id,
    key: row.key,
    name: row.name,
    needs: JSON.parse(row.needs) as string[],
    state: row.state,
    attempt: row.attempt,
    runner: row.runner_name,
    reason: row.reason,
    steps: JSON.parse(row.steps ?? '[]') as JobView['steps'],
    log: row.log_digest === null ? null : { digest: row.log_digest, size: row.log_size ?? 0 },
    sandbox: row.sandbox === null ? null : (JSON.parse(row.sandbox) as JobView['sandbox']),
    startedAt: timeOrNull(row.started_at),
    finishedAt: timeOrNull(row.finished_at),
  };
}

export function refusalView(row: RefusalRow): RefusalView {
  return {
    push: row.push,
    ref: row.ref,
    commit: row.commit_id,
    fact: row.fact,
    problems: JSON.parse(row.problems) as RefusalView['problems'],
    refusedAt: toIso(row.at),
  };
}
