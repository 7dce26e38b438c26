import type { Check } from '#base';
import type { Caller, Identity } from '#identity';
import type { Environment, Promotion, Releases } from '#release';
import { html, nothing, path, type SafeHtml } from './html.ts';
import type { Site, Visit } from './site.ts';
import {
  artifactPath,
  factPath,
  projectPath,
  renderBadge,
  renderBanner,
  renderChecks,
  renderCopy,
  renderFields,
  renderLink,
  renderSection,
  renderTable,
  renderTime,
  type State,
} from './parts.ts';

export const promotionStates: Readonly<Record<Promotion['status'], State>> = {
  promoted: 'yes',
  refused: 'no',
  waiting: 'waiting',
};

export interface ReleaseDeps {
  identity: Identity;
  releases: Releases;
}

export const environmentPath = (project: string, environment: string): string =>
  path`/projects/${project}/environments/${environment}`;
export const promotionPath = (promotion: string): string => path`/promotions/${promotion}`;

/** Environments, and decisions on what may enter them. */
export function registerRelease(site: Site, deps: ReleaseDeps): void {
  registerPromotion(site, deps);
  registerApproval(site, deps);
  site.form('/projects/:project/environments/:environment/promotions', async ({ caller, params, form }) => {
    const promotion = await deps.releases.requestPromotion(caller, {
      project: params['project'] ?? '',
      to: params['environment'] ?? '',
      artifact: form['artifact']?.trim() ?? '',
      ...(form['comment'] ? { comment: form['comment'] } : {}),
    });
    return promotionPath(promotion.id);
  });
}

function registerPromotion(site: Site, { identity, releases }: ReleaseDeps): void {
  site.page('/promotions/:promotion', async (visit) => {
    const promotion = await releases.promotion(visit.caller, visit.params['promotion'] ?? '');
    const project = await identity.findProjectById(promotion.project);
    const slug = project?.slug ?? '';
    return {
      title: `${promotion.name} to ${promotion.environmentName}`,
      trail: [
        { href: projectPath(slug), text: slug },
        { href: environmentPath(slug, promotion.environmentName), text: promotion.environmentName },
      ],
      api: path`/api/v1/promotions/${promotion.id}`,
      command: `waybill promote show ${promotion.id}`,
      body: html`${renderDecision(promotion)}
      ${renderFields([
        ['Artifact', renderLink(artifactPath(promotion.digest), `${promotion.name} ${promotion.version}`)],
        ['Digest', renderCopy(promotion.digest, `${promotion.digest.slice(0, 19)}…`)],
        ['Requested', html`${renderTime(promotion.requestedAt)} by ${await visit.nameOf(promotion.requester)}`],
        ['Decided', promotion.decidedAt === null ? 'not yet' : renderTime(promotion.decidedAt)],
        ['Comment', promotion.comment],
        [
          'Recorded as',
          renderLink(
            factPath(promotion.decidedFact ?? promotion.fact),
            `fact ${promotion.decidedFact ?? promotion.fact}`,
          ),
        ],
        [
          'Signed summary',
          promotion.summary === null
            ? 'none yet'
            : renderLink(path`/api/v1/bundles/${promotion.summary}`, `${promotion.summary.slice(0, 19)}…`),
        ],
      ])}
      ${renderSection('Approvals', await renderApprovals(visit, identity, promotion))}
      ${renderSection('Checks', promotion.checks.length === 0 ? html`<p class="empty">Not decided yet: nothing was checked so far.</p>` : renderChecks(promotion.checks as readonly Check[]))}`,
    };
  });
}

function renderDecision(promotion: Promotion): SafeHtml {
  const to = promotion.environmentName;
  if (promotion.status === 'promoted') return renderBanner('yes', `It may run in ${to}.`);
  if (promotion.status === 'refused') return renderBanner('no', `It may not run in ${to}.`);
  return renderBanner(
    'waiting',
    `It waits for ${to}.`,
    html`<p>It is decided as soon as the evidence is complete.</p>`,
  );
}

/** Who has approved, and what stands between the visitor and the button. */
async function renderApprovals(visit: Visit, identity: Identity, promotion: Promotion): Promise<SafeHtml> {
  const approvals = await Promise.all(
    promotion.approvals.map(async (approval) => ({ ...approval, name: await visit.nameOf(approval.principal) })),
  );
  const list = renderTable(
    'Approvals',
    approvals,
    [
      { title: 'Who', cell: (one) => one.name },
      { title: 'When', cell: (one) => renderTime(one.at) },
      { title: 'Comment', cell: (one) => html`<span dir="auto">${one.comment}</span>` },
    ],
    'Nobody has approved it.',
  );
  const obstacle = await obstacleTo(visit.caller, identity, promotion);
  const action = html`<form class="form" method="post" action="${promotionPath(promotion.id)}/approvals">
    <label for="comment">Comment (kept with the approval)</label>
    <input id="comment" name="comment" maxlength="1000" />
    <div>
      ${
        obstacle === undefined
          ? html`<button type="submit">Approve</button>`
          : html`<button type="submit" disabled aria-describedby="obstacle">Approve</button>`
      }
    </div>
    ${obstacle === undefined ? nothing : html`<p id="obstacle">You cannot approve it: ${obstacle}</p>`}
  </form>`;
  return html`${list} ${promotion.status === 'waiting' ? action : nothing}`;
}

/** Asked before the button is shown; the use case asks again when it is pressed. */
async function obstacleTo(caller: Caller, identity: Identity, promotion: Promotion): Promise<string | undefined> {
  if (promotion.requester === caller.principal) return 'you requested it, and somebody else has to look at it.';
  if (promotion.approvals.some((one) => one.principal === caller.principal)) return 'you already have.';
  const decision = await identity.decide(caller, 'release:approve', { project: promotion.project });
  return decision.allowed ? undefined : `${decision.reasons.at(-1) ?? 'your roles do not include it'}.`;
}

function registerApproval(site: Site, { releases }: ReleaseDeps): void {
  site.form('/promotions/:promotion/approvals', async ({ caller, params, form }) => {
    const promotion = await releases.approve(caller, params['promotion'] ?? '', form['comment'] ?? '');
    return promotionPath(promotion.id);
  });
}

/** For the pages that list promotions. */
export function renderPromotions(promotions: readonly Promotion[], empty: SafeHtml): SafeHtml {
  return renderTable(
    'Promotions',
    promotions,
    [
      { title: 'Decision', cell: (one) => renderBadge(one.status, promotionStates[one.status]) },
      {
        title: 'Artifact',
        cell: (one) => html`<a href="${promotionPath(one.id)}" dir="auto">${one.name} ${one.version}</a>`,
      },
      { title: 'To', cell: (one) => one.environmentName },
      { title: 'Requested', cell: (one) => renderTime(one.requestedAt) },
    ],
    empty,
  );
}

export function renderRequestForm(project: string, environment: Environment): SafeHtml {
  return html`<form class="form" method="post" action="${environmentPath(project, environment.name)}/promotions">
    <label for="artifact">Artifact: a digest, or name@version</label>
    <input id="artifact" name="artifact" required maxlength="500" />
    <label for="comment">Comment</label>
    <input id="comment" name="comment" maxlength="1000" />
    <div><button type="submit">Request promotion to ${environment.name}</button></div>
  </form>`;
}
