import { hexOf, isDigest } from '#base';
import type { Identity } from '#identity';
import type { Push, Source } from '#source';
import { html, nothing, path, type SafeHtml } from './html.ts';
import type { Site } from './site.ts';
import {
  factPath,
  projectPath,
  pushPath,
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

export const pushStates: Readonly<Record<Push['state'], State>> = {
  accepted: 'yes',
  refused: 'no',
  aborted: 'unknown',
};

const SENTENCES: Readonly<Record<Push['state'], string>> = {
  accepted: 'The gate let this push in.',
  refused: 'The gate refused this push. Nothing of it was kept.',
  aborted: 'The gate let this push in, but it was undone before it took effect.',
};

/** The decision on one push: each rule, what it expected, what it found, and how to fix it. */
export function registerSource(site: Site, { identity, source }: { identity: Identity; source: Source }): void {
  site.page('/pushes/:push', async ({ caller, params, nameOf }) => {
    const push = await source.showPush(caller, params['push'] ?? '');
    const repository = await source.requireRepositoryById(push.repository);
    const project = await identity.findProjectById(repository.project);
    const pusher = await nameOf(push.pusher);
    return {
      title: `Push to ${repository.name}`,
      trail: [
        { href: '/projects', text: 'Projects' },
        ...(project ? [{ href: projectPath(project.slug), text: project.slug }] : []),
      ],
      api: path`/api/v1/pushes/${push.id}`,
      command: `waybill push show ${push.id}`,
      body: html`${renderBanner(
        pushStates[push.state],
        SENTENCES[push.state],
        push.reason === null ? nothing : html`<p>${push.reason}</p>`,
      )}
      ${renderFields([
        ['Pushed by', pusher],
        ['When', renderTime(push.at)],
        ['Recorded as', renderLink(factPath(push.fact), `fact ${push.fact}`)],
        ['Push', renderCopy(push.id)],
        ['Push certificate', push.certificate === null ? 'none' : renderCertificate(push.certificate)],
      ])}
      ${renderSection('What it would change', renderUpdates(push))} ${renderSection('Rules', renderChecks(push.checks))}`,
    };
  });
}

function renderCertificate(certificate: string): SafeHtml {
  return renderCopy(certificate, isDigest(certificate) ? `${hexOf(certificate).slice(0, 12)}…` : certificate);
}

const NO_COMMIT = /^0+$/;

function renderUpdates(push: Push): SafeHtml {
  const commit = (id: string): SafeHtml =>
    NO_COMMIT.test(id) ? html`<span class="none">nothing</span>` : renderCopy(id, id.slice(0, 12));
  return renderTable(
    'Refs that the push would move',
    push.updates,
    [
      { title: 'Ref', cell: (update) => html`<code dir="auto">${update.ref}</code>` },
      { title: 'From', cell: (update) => commit(update.old) },
      { title: 'To', cell: (update) => commit(update.new) },
    ],
    'It moves no ref.',
  );
}

/** For the pages that list pushes. */
export function renderPushes(pushes: readonly Push[], names: ReadonlyMap<string, string>, empty: SafeHtml): SafeHtml {
  return renderTable(
    'Pushes',
    pushes,
    [
      { title: 'Decision', cell: (push) => renderBadge(push.state, pushStates[push.state]) },
      { title: 'Push', cell: (push) => html`<a href="${pushPath(push.id)}">${summaryOf(push)}</a>` },
      { title: 'By', cell: (push) => names.get(push.pusher) ?? push.pusher },
      { title: 'When', cell: (push) => renderTime(push.at) },
    ],
    empty,
  );
}

function summaryOf(push: Push): string {
  const failed = push.checks.find((check) => check.status === 'failed');
  const refs = push.updates.map((update) => update.ref.replace('refs/heads/', '')).join(', ');
  return failed ? `${refs}: ${failed.name.replaceAll(/[._-]/g, ' ')}` : refs || push.id;
}
