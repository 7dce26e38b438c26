import type { Build, JobView, RefusalView, RunView } from '#build';
import type { Identity } from '#identity';
import { html, nothing, path, type SafeHtml } from './html.ts';
import {
  artifactPath,
  buildPath,
  factPath,
  projectPath,
  pushPath,
  renderBadge,
  renderBanner,
  renderCopy,
  renderFields,
  renderLink,
  renderSection,
  renderSize,
  renderTable,
  renderTime,
  type State,
} from './parts.ts';
import type { Site } from './site.ts';

type RunState = RunView['state'];
type JobState = JobView['state'];
type Run = Awaited<ReturnType<Build['showRun']>>;

export const runStates: Readonly<Record<JobState, State>> = {
  queued: 'waiting',
  running: 'active',
  success: 'yes',
  failure: 'no',
  cancelled: 'unknown',
  skipped: 'unknown',
};

const SENTENCES: Readonly<Record<RunState, string>> = {
  queued: 'Waiting for a runner.',
  running: 'Building now.',
  success: 'The build succeeded.',
  failure: 'The build failed. It published nothing.',
  cancelled: 'The build was cancelled. It published nothing.',
};

export interface BuildDeps {
  identity: Identity;
  build: Build;
}

/** A run: its exact inputs, its jobs with steps and live log, what came out. */
export function registerBuild(site: Site, { identity, build }: BuildDeps): void {
  site.page('/builds/:run', async ({ caller, params, nameOf }) => {
    const run = await build.showRun(caller, params['run'] ?? '');
    const slug = run.repository.split('/')[0] ?? '';
    const project = await identity.requireProject(slug);
    const mayCancel = (await identity.decide(caller, 'build:run', { project: project.id })).allowed;
    return {
      title: `${run.workflow.name} #${run.number}`,
      trail: [
        { href: '/projects', text: 'Projects' },
        { href: projectPath(slug), text: slug },
      ],
      api: path`/api/v1/runs/${run.run}`,
      command: `waybill build show ${run.run}`,
      scripts: ['log-stream.js'],
      body: html`${renderBanner(runStates[run.state], SENTENCES[run.state], renderReasons(run))}
      ${renderInputs(run, run.pusher === null ? 'nobody known' : await nameOf(run.pusher))}
      ${renderCancel(run, mayCancel)} ${renderSection('Jobs', html`${run.jobs.map(renderJob)}`)}
      ${renderSection('What came out', renderOutputs(run))}`,
    };
  });

  site.form('/builds/:run/cancel', async ({ caller, params }) => {
    await build.cancelRun(caller, params['run'] ?? '');
    return buildPath(params['run'] ?? '');
  });
}

/** A state without its reason helps nobody: what it waits for, or what went wrong first. */
function renderReasons(run: Run): SafeHtml {
  const reasons = run.jobs.filter((job) => job.reason !== null && job.reason !== '');
  if (reasons.length > 0) return html`${reasons.map((job) => html`<p dir="auto">${job.name}: ${job.reason}</p>`)}`;
  const failed = run.jobs.flatMap((job) =>
    job.steps.filter((step) => step.outcome === 'failure').map((step) => ({ job, step })),
  );
  const [first] = failed;
  if (first) {
    const status = first.step.exitCode === null ? '' : ` with exit status ${first.step.exitCode}`;
    return html`<p dir="auto">Step “${first.step.name}” of ${first.job.name} failed${status}.</p>`;
  }
  return run.state === 'queued' ? html`<p>It starts as soon as a runner that proved its sandbox is free.</p>` : nothing;
}

function renderInputs(run: Run, pusher: string): SafeHtml {
  return renderFields([
    ['Repository', run.repository],
    ['Commit', renderCopy(run.commit, run.commit.slice(0, 12))],
    ['Ref', html`<code dir="auto">${run.ref}</code>`],
    ['Push', html`${renderLink(pushPath(run.push), run.push)} by ${pusher}`],
    ['Workflow', html`<code dir="auto">${run.workflow.path}</code>`],
    ['Workflow digest', renderCopy(run.workflow.digest, `${run.workflow.digest.slice(0, 19)}…`)],
    ['Queued', renderTime(run.queuedAt)],
    ['Finished', run.finishedAt === null ? 'not yet' : renderTime(run.finishedAt)],
    ['Recorded from', renderLink(factPath(run.fact), `fact ${run.fact}`)],
    [
      'Provenance',
      run.provenance === null
        ? html`<span class="none">none signed</span>`
        : renderLink(path`/api/v1/bundles/${run.provenance}`, `${run.provenance.slice(0, 19)}…`),
    ],
  ]);
}

function renderCancel(run: Run, mayCancel: boolean): SafeHtml {
  if (run.state !== 'queued' && run.state !== 'running') return nothing;
  if (!mayCancel) return html`<p class="soft">Your roles do not include build:run, so you cannot cancel it.</p>`;
  return html`<form method="post" action="${buildPath(run.run)}/cancel">
    <button type="submit" class="quiet">Cancel this build</button>
  </form>`;
}

/** Folded when green, open when there is something to look at. */
function renderJob(job: JobView): SafeHtml {
  const heading = html`${renderBadge(job.state, runStates[job.state])}
    <strong dir="auto">${job.name}</strong>
    ${job.attempt > 1 ? html`<span class="soft">attempt ${job.attempt}</span>` : nothing}`;
  const body = html`${renderSteps(job)} ${renderSandbox(job)} ${renderLog(job)}`;
  return job.state === 'success' || job.state === 'skipped'
    ? html`<details>
        <summary>${heading}</summary>
        ${body}
      </details>`
    : html`<details open>
        <summary>${heading}</summary>
        ${body}
      </details>`;
}

function renderSteps(job: JobView): SafeHtml {
  return renderTable(
    `Steps of ${job.name}`,
    job.steps,
    [
      { title: 'Step', cell: (step) => html`<span dir="auto">${step.name}</span>` },
      { title: 'Result', cell: (step) => renderBadge(step.outcome, runStates[step.outcome]) },
      { title: 'Exit status', cell: (step) => step.exitCode ?? '–' },
      { title: 'Took', cell: (step) => `${(step.durationMs / 1000).toFixed(1)} s` },
    ],
    job.state === 'queued' ? 'No step has run yet.' : 'The results of the steps come when the job ends.',
  );
}

function renderSandbox({ runner, sandbox }: JobView): SafeHtml {
  if (!sandbox) return nothing;
  const { selfTest } = sandbox;
  const test = selfTest.ok ? `passed, ${selfTest.checks} checks` : `failed: ${selfTest.failed.join(', ')}`;
  return html`<details>
    <summary>Where it ran</summary>
    ${renderFields([
      ['Runner', runner],
      ['Sandbox', sandbox.bubblewrap],
      ['Self-test at start', test],
      ['Kernel', sandbox.kernel],
      ['Tools', sandbox.toolchain.map((tool) => `${tool.name} ${tool.version}`).join(', ')],
    ])}
  </details>`;
}

function renderLog(job: JobView): SafeHtml {
  if (job.state === 'skipped') return nothing;
  return html`<log-stream
    data-src="${path`/api/v1/jobs/${job.job}/log/events`}"
    data-job="${job.job}"
    data-name="${job.name}"
  >
    <a href="${path`/api/v1/jobs/${job.job}/log`}">The whole log as text</a>
  </log-stream>`;
}

function renderOutputs({ outputs, state }: Run): SafeHtml {
  const published = state === 'success';
  return renderTable(
    'Outputs',
    outputs,
    [
      { title: 'Output', cell: (one) => html`<span dir="auto">${one.name}</span>` },
      { title: 'File', cell: (one) => html`<span dir="auto">${one.file}</span>` },
      { title: 'Size', cell: (one) => renderSize(one.size) },
      {
        title: 'Digest',
        cell: (one) =>
          published
            ? renderLink(artifactPath(one.digest), `${one.digest.slice(0, 19)}…`)
            : renderCopy(one.digest, `${one.digest.slice(0, 19)}…`),
      },
    ],
    published ? 'It published nothing.' : 'Outputs count only once the whole run has succeeded.',
  );
}

/** For the pages that list builds. */
export function renderRuns(runs: readonly RunView[], empty: SafeHtml): SafeHtml {
  return renderTable(
    'Builds',
    runs,
    [
      { title: 'State', cell: (run) => renderBadge(run.state, runStates[run.state]) },
      {
        title: 'Build',
        cell: (run) => html`<a href="${buildPath(run.run)}" dir="auto">${run.workflow.name} #${run.number}</a>`,
      },
      { title: 'Repository', cell: (run) => run.repository },
      { title: 'Commit', cell: (run) => html`<code>${run.commit.slice(0, 12)}</code>` },
      { title: 'Queued', cell: (run) => renderTime(run.queuedAt) },
    ],
    empty,
  );
}

/** Workflow files that cannot be run, with the place of every problem. */
export function renderRefusals(refusals: readonly RefusalView[]): SafeHtml {
  const problems = refusals.flatMap((refusal) => refusal.problems.map((problem) => ({ refusal, problem })));
  return renderTable(
    'Problems in workflow files',
    problems,
    [
      {
        title: 'Place',
        cell: ({ problem }) => html`<code dir="auto">${problem.path}:${problem.line}:${problem.column}</code>`,
      },
      { title: 'Problem', cell: ({ problem }) => html`<span dir="auto">${problem.message}</span>` },
      { title: 'Fix', cell: ({ problem }) => html`<span dir="auto">${problem.hint}</span>` },
      { title: 'Push', cell: ({ refusal }) => renderLink(pushPath(refusal.push), refusal.commit.slice(0, 12)) },
    ],
    'None.',
  );
}
