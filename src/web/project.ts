import type { Artifacts } from '#artifact';
import type { Build } from '#build';
import type { Deployment, Deployments } from '#deploy';
import type { Caller, Identity, Project } from '#identity';
import type { Environment, Promotion, Releases } from '#release';
import type { Repository, Source } from '#source';
import { renderArtifacts } from './artifact.ts';
import { renderRefusals, renderRuns } from './build.ts';
import { findReadable, NOT_READABLE, renderDeployments, renderTargets } from './deploy.ts';
import { html, nothing, path, type SafeHtml } from './html.ts';
import {
  artifactPath,
  projectPath,
  renderBanner,
  renderCommand,
  renderCopy,
  renderFields,
  renderLink,
  renderSection,
  renderTable,
  renderTime,
} from './parts.ts';
import { environmentPath, renderPromotions, renderRequestForm } from './release.ts';
import type { Site, Visit } from './site.ts';
import { renderPushes } from './source.ts';

export interface ProjectDeps {
  identity: Identity;
  source: Source;
  build: Build;
  deployments: Deployments;
  artifacts: Artifacts;
  releases: Releases;
  publicUrl: string;
}

const SHOWN = 10;

/** Projects: what is in them, what happened last, and the commands to begin with. */
export function registerProject(site: Site, deps: ProjectDeps): void {
  const { identity } = deps;
  site.page('/projects', async ({ caller }) => {
    const projects = await identity.listProjects(caller);
    return {
      title: 'Projects',
      api: '/api/v1/projects',
      command: 'waybill project list',
      body: renderTable(
        'Projects',
        projects,
        [
          { title: 'Project', cell: (project) => renderLink(projectPath(project.slug), project.slug) },
          { title: 'Created', cell: (project) => renderTime(project.createdAt) },
        ],
        html`<p>There is no project that you may read. Create one:</p>
          ${renderCommand('waybill project create NAME')}`,
      ),
    };
  });

  site.page('/projects/:project', async (visit) => {
    const { caller, params } = visit;
    const project = await identity.requireProject(params['project'] ?? '');
    await identity.require(caller, 'project:read', { project: project.id });
    const { slug } = project;
    return {
      title: slug,
      trail: [{ href: '/projects', text: 'Projects' }],
      api: path`/api/v1/projects/${slug}`,
      command: `waybill project show ${slug}`,
      body: html`${renderSection('Repositories', await renderRepositories(deps, caller, project))}
      ${renderSection('Environments', await renderEnvironments(deps, caller, slug))}
      ${renderSection('Pushes', await renderLastPushes(deps, visit, project))} ${await renderBuilds(deps, caller, slug)}
      ${renderSection('Artifacts', await renderLastArtifacts(deps, caller, slug))}`,
    };
  });
  registerEnvironment(site, deps);
}

async function renderRepositories(
  { source, publicUrl }: ProjectDeps,
  caller: Caller,
  project: Project,
): Promise<SafeHtml> {
  const repositories = await source.listRepositories(caller, project.slug);
  const rows = await Promise.all(repositories.map(async (one) => ({ ...one, refs: await source.refs(one.id) })));
  const branches = (refs: Awaited<ReturnType<Source['refs']>>): SafeHtml =>
    html`${refs.map(({ ref, target }) => html`<div><code dir="auto">${ref.replace('refs/heads/', '')}</code> at <code>${target.slice(0, 12)}</code></div>`)}`;
  return renderTable(
    'Repositories',
    rows,
    [
      { title: 'Repository', cell: (one) => one.name },
      { title: 'Clone', cell: (one) => renderCopy(cloneUrl(publicUrl, one)) },
      { title: 'Refs', cell: (one) => (one.refs.length === 0 ? 'nothing pushed yet' : branches(one.refs)) },
      { title: 'Protected paths', cell: (one) => html`<code dir="auto">${one.protectedPaths.join(' ')}</code>` },
    ],
    html`<p>No repository yet. Create one, then push to it with plain git:</p>
      ${renderCommand(`waybill repository create ${project.slug}/NAME`)}
      ${renderCommand(`git push ${publicUrl}/${project.slug}/NAME.git HEAD:main`)}`,
  );
}

function cloneUrl(publicUrl: string, { name }: Repository): string {
  return `${publicUrl}/${name}.git`;
}

async function renderEnvironments({ releases }: ProjectDeps, caller: Caller, slug: string): Promise<SafeHtml> {
  const environments = await releases.environments(caller, slug);
  const rows = await Promise.all(
    environments.map(async (one) => ({ ...one, desired: await releases.desired(one.id) })),
  );
  return renderTable(
    'Environments, in the order that artifacts pass them',
    rows,
    [
      { title: 'Environment', cell: (one) => renderLink(environmentPath(slug, one.name), one.name) },
      { title: 'Promised to run', cell: (one) => renderPromised(one.desired) },
      { title: 'Rules', cell: (one) => one.policy.rules.length },
    ],
    html`<p>The environments of a new project appear within a second or two.</p>`,
  );
}

function renderPromised(desired: readonly Promotion[]): SafeHtml {
  if (desired.length === 0) return html`<span class="none">nothing yet</span>`;
  return html`${desired.map((one) => html`<div><a href="${artifactPath(one.digest)}" dir="auto">${one.name} ${one.version}</a></div>`)}`;
}

async function renderLastPushes(
  { source }: ProjectDeps,
  { caller, nameOf }: Visit,
  project: Project,
): Promise<SafeHtml> {
  const pushes = await source.listPushes(caller, { project: project.slug, limit: SHOWN });
  const pushers = [...new Set(pushes.map((push) => push.pusher))];
  const names = new Map(await Promise.all(pushers.map(async (one) => [one, await nameOf(one)] as const)));
  return renderPushes(pushes, names, html`<p>Nobody has pushed yet.</p>`);
}

async function renderBuilds({ build }: ProjectDeps, caller: Caller, slug: string): Promise<SafeHtml> {
  const { items } = await build.listRuns(caller, { project: slug, limit: SHOWN });
  const refusals = (await build.listRefusals(caller, slug)).slice(0, SHOWN);
  const empty = html`<p>No build yet: push a commit with a workflow in .github/workflows.</p>`;
  return html`${renderSection('Builds', renderRuns(items, empty))}
  ${refusals.length === 0 ? nothing : renderSection('Workflows that cannot be run', renderRefusals(refusals))}`;
}

async function renderLastArtifacts({ artifacts }: ProjectDeps, caller: Caller, slug: string): Promise<SafeHtml> {
  const { items } = await artifacts.list(caller, { project: slug, limit: SHOWN });
  return renderArtifacts(items, html`<p>No artifact yet: the outputs of the first successful build appear here.</p>`);
}

function registerEnvironment(site: Site, deps: ProjectDeps): void {
  const { identity, releases, deployments } = deps;
  site.page('/projects/:project/environments/:environment', async ({ caller, params, nameOf }) => {
    const slug = params['project'] ?? '';
    const environment = await releases.environment(caller, slug, params['environment'] ?? '');
    const desired = await releases.desired(environment.id);
    const project = await identity.requireProject(slug);
    const running = await findReadable(deps, caller, project, { environment: environment.name });
    const targets = running && (await deployments.targets(caller, slug, environment.name));
    const query = { project: slug, environment: environment.name, limit: SHOWN * 2 };
    const { items } = await releases.promotions(caller, query);
    return {
      title: `${slug} / ${environment.name}`,
      trail: [
        { href: '/projects', text: 'Projects' },
        { href: projectPath(slug), text: slug },
      ],
      api: path`/api/v1/projects/${slug}/environments/${environment.name}`,
      command: `waybill environment show ${slug}/${environment.name}`,
      body: html`${renderAnswer(desired, running)} ${renderSection('Promised', renderPromisedTable(desired))}
      ${renderSection('Running', running === undefined ? NOT_READABLE : renderDeployments(running, html`<p>No agent has reported anything yet.</p>`))}
      ${renderSection('Agents', targets === undefined ? NOT_READABLE : await renderTargets(targets, nameOf))}
      ${renderSection('Promotions', renderPromotions(items, html`<p>Nobody asked for a promotion yet.</p>`))}
      ${renderSection('Request a promotion', renderRequestForm(slug, environment))}
      ${renderSection('Policy', renderPolicy(environment))}`,
    };
  });
}

/** Promised against running: the newest report about each promise decides, and no report is no answer. */
function renderAnswer(desired: readonly Promotion[], running: readonly Deployment[] | undefined): SafeHtml {
  if (desired.length === 0) return renderBanner('unknown', 'Nothing is promised to run here yet.');
  if (running === undefined) return renderBanner('unknown', 'You may not see what runs here.');
  const drifted = running.filter((one) => one.status === 'drifted');
  if (drifted.length > 0)
    return renderBanner('no', `${drifted.map((one) => one.name).join(', ')} is not what was promised.`);
  const live = new Set(running.filter((one) => one.status !== 'stopped').map((one) => one.digest));
  const silent = desired.filter((one) => !live.has(one.digest));
  if (silent.length > 0) {
    return renderBanner('unknown', `Nobody reports that ${silent.map((one) => one.name).join(', ')} runs.`);
  }
  return renderBanner('yes', 'The agents report that everything promised runs unaltered.');
}

function renderPromisedTable(desired: readonly Promotion[]): SafeHtml {
  return renderTable(
    'What it is promised to run',
    desired,
    [
      { title: 'Artifact', cell: (one) => renderPromised([one]) },
      { title: 'Digest', cell: (one) => renderCopy(one.digest, `${one.digest.slice(0, 19)}…`) },
      { title: 'Since', cell: (one) => renderTime(one.decidedAt) },
    ],
    html`<p>An artifact gets here by a promotion that its evidence allows.</p>`,
  );
}

function renderPolicy({ policy, policyDigest, policyVersion }: Environment): SafeHtml {
  return html`<p>Every rule must hold. What cannot be told is a no.</p>
    <ul>
      ${policy.rules.map((rule) => html`<li><strong>${rule.kind.replaceAll('-', ' ')}</strong></li>`)}
    </ul>
    ${renderFields([
      ['Version', policyVersion],
      ['Digest', renderCopy(policyDigest, `${policyDigest.slice(0, 19)}…`)],
    ])}
    <details>
      <summary>The whole policy</summary>
      <pre tabindex="0">${JSON.stringify(policy, null, 2)}</pre>
    </details>`;
}
