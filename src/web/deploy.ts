import type { Deployment, Deployments, DeploymentStatus, Target } from '#deploy';
import type { Caller, Identity } from '#identity';
import { html, nothing, type SafeHtml } from './html.ts';
import {
  artifactPath,
  factPath,
  renderBadge,
  renderDigest,
  renderLink,
  renderTable,
  renderTime,
  type State,
} from './parts.ts';

const SHOWN = 50;

export const deploymentStates: Readonly<Record<DeploymentStatus, State>> = {
  running: 'yes',
  placed: 'yes',
  drifted: 'no',
  stopped: 'unknown',
};

const WORDS: Readonly<Record<DeploymentStatus, string>> = {
  running: 'running as promised',
  placed: 'in place as promised',
  drifted: 'drifted',
  stopped: 'stopped',
};

/** What agents last reported, each with the time of that report: it is their word about their host. */
export function renderDeployments(deployments: readonly Deployment[], empty: SafeHtml): SafeHtml {
  return renderTable(
    'Deployments',
    deployments,
    [
      { title: 'State', cell: (one) => renderBadge(WORDS[one.status], deploymentStates[one.status]) },
      {
        title: 'Artifact',
        cell: (one) => html`<a href="${artifactPath(one.digest)}" dir="auto">${one.name} ${one.version}</a>`,
      },
      { title: 'Where', cell: (one) => html`<code dir="auto">${one.path}</code>` },
      { title: 'Verified', cell: (one) => renderTime(one.verifiedAt) },
      { title: 'What happened', cell: renderEvent },
      { title: 'Recorded as', cell: (one) => renderLink(factPath(one.fact), `fact ${one.fact}`) },
    ],
    empty,
  );
}

function renderEvent(deployment: Deployment): SafeHtml {
  const { drift, driftedAt, stopReason, stoppedAt } = deployment;
  if (drift) {
    return html`${drift.kind} changed ${renderTime(driftedAt)}: expected ${renderDigest(drift.expected)}, found
    ${renderDigest(drift.found)}`;
  }
  if (stopReason !== null) return html`${stopReason.replaceAll(/[_-]/g, ' ')} ${renderTime(stoppedAt)}`;
  return nothing;
}

/** An agent that is silent says nothing about its host: the time of its last word stands here. */
export async function renderTargets(
  targets: readonly Target[],
  nameOf: (principal: string) => Promise<string>,
): Promise<SafeHtml> {
  const names = new Map(await Promise.all(targets.map(async (one) => [one.agent, await nameOf(one.agent)] as const)));
  return renderTable(
    'Targets',
    targets,
    [
      { title: 'Target', cell: (one) => one.name },
      { title: 'Agent', cell: (one) => names.get(one.agent) ?? one.agent },
      { title: 'Last heard of', cell: (one) => renderTime(one.seenAt) },
    ],
    html`<p>No agent serves it, so nobody can say what runs. Next: waybill deploy target</p>`,
  );
}

/** What the visitor may see of it; undefined when their roles do not include deploy:read. */
export async function findReadable(
  { identity, deployments }: { identity: Identity; deployments: Deployments },
  caller: Caller,
  project: { id: string; slug: string },
  filter: { environment?: string; digest?: string },
): Promise<Deployment[] | undefined> {
  if (!(await identity.decide(caller, 'deploy:read', { project: project.id })).allowed) return undefined;
  const { items } = await deployments.deployments(caller, { project: project.slug, ...filter, limit: SHOWN });
  return items;
}

export const NOT_READABLE = html`<p class="empty">Your roles do not include deploy:read.</p>`;
