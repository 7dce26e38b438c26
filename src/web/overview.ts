import type { Build } from '#build';
import type { Deployment, Deployments } from '#deploy';
import type { Caller, Identity, Project } from '#identity';
import type { Ledger } from '#ledger';
import type { Promotion, Releases } from '#release';
import type { Push, Source } from '#source';
import { renderRuns } from './build.ts';
import { findReadable, renderDeployments } from './deploy.ts';
import { html, nothing, type SafeHtml } from './html.ts';
import {
  projectPath,
  renderBadge,
  renderCommand,
  renderLink,
  renderSection,
  renderTable,
  renderTime,
} from './parts.ts';
import { promotionPath } from './release.ts';
import type { Site } from './site.ts';
import { renderPushes } from './source.ts';

export interface OverviewDeps {
  identity: Identity;
  ledger: Ledger;
  source: Source;
  build: Build;
  deployments: Deployments;
  releases: Releases;
  publicUrl: string;
}

const PUSHES_COUNTED = 200;
const SHOWN = 10;

/** What happened, and what waits for the visitor. */
export function registerOverview(site: Site, deps: OverviewDeps): void {
  site.page('/', async ({ caller, nameOf }) => {
    const projects = await deps.identity.listProjects(caller);
    const pushes = await pushesOf(deps, caller, projects);
    const waiting = await waitingIn(deps, projects);
    const mine = await approvable(deps, caller, waiting);
    const refused = pushes.filter((push) => push.state === 'refused').length;
    const pushers = [...new Set(pushes.map((push) => push.pusher))];
    const names = new Map(await Promise.all(pushers.map(async (one) => [one, await nameOf(one)] as const)));
    const runs = await deps.build.listRuns(caller, { limit: SHOWN });
    const drifted = await driftedIn(deps, caller, projects);
    const newest = pushes.slice(0, SHOWN);
    return {
      title: 'Overview',
      api: '/api/v1/projects',
      command: 'waybill project list',
      body: html`<ul class="cards">
          ${renderCard(String(projects.length), 'projects', '/projects')}
          ${renderCard(`${pushes.length}${pushes.length >= PUSHES_COUNTED ? '+' : ''}`, `pushes, ${refused} refused`)}
          ${renderCard(String(drifted.length), drifted.length === 1 ? 'deployment drifted' : 'deployments drifted')}
          ${renderCard(String(waiting.length), 'promotions waiting')}
          ${renderCard(String(deps.ledger.events.size()), 'ledger entries', '/ledger')}
        </ul>
        ${drifted.length === 0 ? nothing : renderSection('Not what was promised', renderDeployments(drifted, nothing))}
        ${renderSection('Waits for you', renderWaiting(mine))}
        ${
          projects.length === 0
            ? renderFirstSteps(deps.publicUrl)
            : html`${renderSection('Last builds', renderRuns(runs.items, html`<p>Nothing was built yet.</p>`))}
              ${renderSection('Last pushes', renderPushes(newest, names, html`<p>Nobody has pushed yet.</p>`))}`
        }`,
    };
  });
}

function renderCard(figure: string, words: string, href?: string): SafeHtml {
  const text = html`<strong>${figure}</strong> ${words}`;
  return html`<li class="card">${href === undefined ? text : renderLink(href, text)}</li>`;
}

async function pushesOf(
  { source, identity }: OverviewDeps,
  caller: Caller,
  projects: readonly Project[],
): Promise<Push[]> {
  const readable: Project[] = [];
  for (const project of projects) {
    if ((await identity.decide(caller, 'source:read', { project: project.id })).allowed) readable.push(project);
  }
  const lists = await Promise.all(
    readable.map((project) => source.listPushes(caller, { project: project.slug, limit: PUSHES_COUNTED })),
  );
  return lists.flat().sort((a, b) => b.at - a.at);
}

async function waitingIn({ releases }: OverviewDeps, projects: readonly Project[]): Promise<Promotion[]> {
  const lists = await Promise.all(
    projects.map((project) => releases.findPromotions({ project: project.id, status: 'waiting', limit: 50 })),
  );
  return lists.flat();
}

async function driftedIn(deps: OverviewDeps, caller: Caller, projects: readonly Project[]): Promise<Deployment[]> {
  const lists = await Promise.all(projects.map((project) => findReadable(deps, caller, project, {})));
  return lists.flatMap((list) => (list ?? []).filter((one) => one.status === 'drifted'));
}

async function approvable(
  { identity }: OverviewDeps,
  caller: Caller,
  waiting: readonly Promotion[],
): Promise<Promotion[]> {
  const mine: Promotion[] = [];
  for (const promotion of waiting) {
    if (promotion.requester === caller.principal) continue;
    if (promotion.approvals.some((one) => one.principal === caller.principal)) continue;
    const decision = await identity.decide(caller, 'release:approve', { project: promotion.project });
    if (decision.allowed) mine.push(promotion);
  }
  return mine;
}

function renderWaiting(promotions: readonly Promotion[]): SafeHtml {
  return renderTable(
    'Promotions that wait for your approval',
    promotions,
    [
      { title: 'What', cell: () => renderBadge('approval needed', 'waiting') },
      {
        title: 'Promotion',
        cell: (one) =>
          html`<a href="${promotionPath(one.id)}" dir="auto">${one.name} ${one.version} to ${one.environmentName}</a>`,
      },
      { title: 'Since', cell: (one) => renderTime(one.requestedAt) },
    ],
    html`<p>Nothing.</p>`,
  );
}

function renderFirstSteps(publicUrl: string): SafeHtml {
  return renderSection(
    'First steps',
    html`<p>Create a project and a repository, enrol the key that signs your commits, and push:</p>
      ${renderCommand('waybill project create acme')} ${renderCommand('waybill repository create acme/hello')}
      ${renderCommand('waybill key enrol ~/.ssh/id_ed25519.pub')}
      ${renderCommand(`git push ${publicUrl}/acme/hello.git HEAD:main`)}
      <p>The project is then under <a href="${projectPath('acme')}">acme</a>.</p>`,
  );
}
