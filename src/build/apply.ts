import { canonicalJson } from '#base';
import { type ModuleDefinition, onFact } from '#journal';
import * as facts from './facts.ts';
import { migrations } from './migrations.ts';
import { insertOutputs, insertRefusal, insertRun, updateJob, updateRun } from './store.ts';

export const buildModule: ModuleDefinition = {
  name: 'build',
  migrations,
  facts: [
    facts.refused,
    facts.runQueued,
    facts.jobStarted,
    facts.jobFinished,
    facts.runFinished,
    facts.provenanceSigned,
  ],
  apply: {
    'build.refused': onFact(facts.refused, (tx, payload, fact) =>
      insertRefusal(tx, {
        fact: fact.number,
        push: payload.push,
        project: payload.project,
        repository: payload.repository,
        ref: payload.ref,
        commit_id: payload.commit,
        problems: canonicalJson(payload.problems),
        at: fact.at,
      }),
    ),
    'build.run_queued': onFact(facts.runQueued, (tx, payload, fact) =>
      insertRun(
        tx,
        {
          id: payload.run,
          fact: fact.number,
          number: payload.number,
          project: payload.project,
          repository: payload.repository,
          name: payload.name,
          commit_id: payload.commit,
          ref: payload.ref,
          push: payload.push,
          push_fact: payload.pushFact,
          pusher: payload.pusher ?? null,
          workflow_path: payload.workflow.path,
          workflow_digest: payload.workflow.digest,
          workflow_name: payload.workflow.name,
          state: 'queued',
          queued_at: fact.at,
          finished_at: null,
          provenance: null,
        },
        payload.jobs.map((job, position) => ({
          ...emptyJob,
          id: job.job,
          run: payload.run,
          position,
          key: job.key,
          name: job.name,
          needs: canonicalJson(job.needs),
        })),
      ),
    ),
    'build.job_started': onFact(facts.jobStarted, async (tx, payload, fact) => {
      await updateRun(tx, payload.run, { state: 'running' });
      await updateJob(tx, payload.job, {
        state: 'running',
        attempt: payload.attempt,
        runner: payload.runner,
        runner_name: payload.runnerName,
        sandbox: canonicalJson(payload.sandbox),
        started_at: fact.at,
      });
    }),
    'build.job_finished': onFact(facts.jobFinished, async (tx, payload, fact) => {
      await updateJob(tx, payload.job, {
        state: payload.result,
        finished_at: fact.at,
        reason: payload.reason,
        steps: canonicalJson(payload.steps),
        log_digest: payload.log?.digest ?? null,
        log_size: payload.log?.size ?? null,
        values_json: canonicalJson(payload.values),
      });
      await insertOutputs(tx, payload.run, payload.job, payload.outputs);
    }),
    'build.run_finished': onFact(facts.runFinished, (tx, payload, fact) =>
      updateRun(tx, payload.run, { state: payload.result, finished_at: fact.at }),
    ),
    'build.provenance_signed': onFact(facts.provenanceSigned, (tx, payload) =>
      updateRun(tx, payload.run, { provenance: payload.bundle }),
    ),
  },
};

const emptyJob = {
  state: 'queued' as const,
  attempt: 0,
  runner: null,
  runner_name: null,
  sandbox: null,
  started_at: null,
  finished_at: null,
  reason: null,
  steps: null,
  log_digest: null,
  log_size: null,
  values_json: null,
};
