import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { buildContract } from '#build';
import type { Client } from '#client';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { renderFields, renderSize, renderTable, renderTime, shortDigest } from './output.ts';
import { printable } from './printable.ts';

type RunView = z.output<typeof buildContract.listRuns.response>['items'][number];
type RunDetail = z.output<typeof buildContract.showRun.response>;

const POLL_MS = 200;
/** A log that is only printed at the end; a longer one is read with `--follow` or by the page. */
const LOG_BYTES_MAX = 64 * 1024 * 1024;

export const listBuilds: Run = async (invocation) => {
  const [project = '', repository] = invocation.required('repository').split('/');
  const page = await withClient(invocation, (client) =>
    client.call(buildContract.listRuns, { query: { project, limit: invocation.flag('limit') ?? 50 } }),
  );
  const items = page.items.filter((run) => repository === undefined || run.repository.endsWith(`/${repository}`));
  const columns = [
    { title: 'RUN', cell: (run: RunView) => run.run },
    { title: 'STATE', cell: (run: RunView) => run.state },
    { title: 'WORKFLOW', cell: (run: RunView) => run.workflow.name },
    { title: 'REF', cell: (run: RunView) => run.ref },
    { title: 'COMMIT', cell: (run: RunView) => run.commit.slice(0, 12) },
    { title: 'QUEUED', cell: (run: RunView) => renderTime(run.queuedAt) },
  ];
  const empty = 'No build. A push that a workflow asks for starts one.';
  return { document: { ...page, items }, text: renderTable(invocation.terminal, items, columns, empty) };
};

export const showBuild: Run = async (invocation) => {
  const run = await withClient(invocation, (client) =>
    client.call(buildContract.showRun, { params: { run: invocation.required('run') } }),
  );
  const head = renderFields(invocation.terminal, [
    ['run', run.run],
    ['state', run.state],
    ['workflow', `${run.workflow.path} ${shortDigest(run.workflow.digest)}`],
    ['repository', run.repository],
    ['commit', run.commit],
    ['ref', run.ref],
    ['push', run.push],
    ['queued', renderTime(run.queuedAt)],
    ['finished', renderTime(run.finishedAt)],
    ['provenance', run.provenance],
  ]);
  const jobs = run.jobs.map(
    (job) => `  ${job.state}  ${printable(job.name)}${!job.reason ? '' : `: ${printable(job.reason)}`}`,
  );
  const outputs = run.outputs.map((output) => `  ${output.name}  ${renderSize(output.size)}  ${output.digest}`);
  const text = [head, '', 'Jobs', ...jobs, ...(outputs.length > 0 ? ['', 'Outputs', ...outputs] : [])].join('\n');
  return { document: run, text, exit: run.state === 'failure' || run.state === 'cancelled' ? 'no' : 'yes' };
};

/** The log of every job of a run, one after the other; `--follow` prints while it grows and ends with the run. */
export const showLog: Run = async (invocation) => {
  const id = invocation.required('run');
  return await withClient(invocation, async (client) => {
    const read = invocation.isSet('follow') ? followJob : readJob;
    const logs: { job: string; name: string; text: string }[] = [];
    for (let run = await detail(client, id); ; run = await detail(client, id)) {
      const next = run.jobs.find((job) => logs.every((log) => log.job !== job.job) && job.state !== 'queued');
      if (next) logs.push({ job: next.job, name: next.name, text: await read(invocation, client, next.job) });
      else if (!invocation.isSet('follow') || run.finishedAt !== null) return outcomeOf(invocation, run, logs);
      else await sleep(POLL_MS);
    }
  });
};

const detail = (client: Client, run: string) => client.call(buildContract.showRun, { params: { run } });

async function readJob(_invocation: Invocation, client: Client, job: string): Promise<string> {
  const { stream } = await client.download(buildContract.readLog, { params: { job } }, { maxBytes: LOG_BYTES_MAX });
  return Buffer.concat((await Array.fromAsync(stream)) as Buffer[]).toString('utf8');
}

async function followJob(invocation: Invocation, client: Client, job: string): Promise<string> {
  let text = '';
  for await (const event of client.events(
    buildContract.followLog,
    { params: { job } },
    { signal: invocation.signal },
  )) {
    const chunk = JSON.parse(event.data) as string;
    text += chunk;
    if (!invocation.json) invocation.terminal.stdout.write(printableLog(chunk));
  }
  return text;
}

/** Control sequences of a build never reach the terminal; line ends stay. */
const printableLog = (text: string) => text.split('\n').map(printable).join('\n');

function outcomeOf(invocation: Invocation, run: RunDetail, logs: { job: string; name: string; text: string }[]) {
  const shown = invocation.isSet('follow') ? [] : logs.map((log) => printableLog(log.text));
  const lines = logs.flatMap((log) => log.text.split('\n').filter((line) => line.length > 0));
  const ended = run.finishedAt === null ? 'is still running' : `ended: ${run.state}`;
  return {
    document: { run: run.run, state: run.state, jobs: logs, lines },
    text: [...shown, `Run ${run.run} ${ended}.`].join('\n'),
    exit: run.state === 'failure' || run.state === 'cancelled' ? ('no' as const) : ('yes' as const),
  };
}

export const cancelBuild: Run = async (invocation) => {
  const run = invocation.required('run');
  const document = await withClient(invocation, (client) => client.call(buildContract.cancelRun, { params: { run } }));
  return { document, text: `Cancelled ${run}. It publishes nothing.` };
};

export const listRefusals: Run = async (invocation) => {
  const project = invocation.required('project');
  const page = await withClient(invocation, (client) =>
    client.call(buildContract.listRefusals, { params: { project } }),
  );
  const lines = page.items.flatMap((one) =>
    one.problems.map(
      (problem) =>
        `${problem.path}:${problem.line}:${problem.column} ${printable(problem.message)}\n  ${printable(problem.hint)}`,
    ),
  );
  return { document: page, text: lines.length > 0 ? lines.join('\n') : 'Every workflow that was pushed can be run.' };
};
