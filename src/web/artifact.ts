import { strict as assert } from 'node:assert';
import { type ArtifactRecord, type Artifacts, provenanceSan, readRun } from '#artifact';
import { type Attest, type BundleVerdict, verifyBundle } from '#attest';
import type { Digest } from '#base';
import type { Deployments } from '#deploy';
import type { Identity } from '#identity';
import type { Journal } from '#journal';
import type { Promotion, Releases } from '#release';
import { findReadable, NOT_READABLE, renderDeployments } from './deploy.ts';
import { html, type HtmlValue, nothing, path, type SafeHtml } from './html.ts';
import type { Site, Visit } from './site.ts';
import {
  artifactPath,
  buildPath,
  factPath,
  projectPath,
  renderBadge,
  renderBanner,
  renderChecks,
  renderCommand,
  renderCopy,
  renderDigest,
  renderFields,
  renderLink,
  renderSection,
  renderSize,
  renderTable,
  renderTime,
  tracePath,
} from './parts.ts';
import { promotionStates } from './release.ts';

export interface ArtifactDeps {
  identity: Identity;
  journal: Journal;
  artifacts: Artifacts;
  attest: Attest;
  releases: Releases;
  deployments: Deployments;
  publicUrl: string;
}

/** One digest: the sentence first, the evidence for it below, then where it went and the commands to check it. */
export function registerArtifact(site: Site, deps: ArtifactDeps): void {
  site.page('/artifacts/:artifact', async (visit) => {
    const records = await deps.artifacts.show(visit.caller, visit.params['artifact'] ?? '');
    const record = records.find((one) => one.kind === 'release') ?? records[0];
    assert(record, 'artifacts.show answers with a record or not at all');
    const project = await deps.identity.findProjectById(record.project);
    const provenance = await verifyProvenance(deps, record);
    const promotions = await deps.releases.findPromotions({
      digest: record.digest,
      project: record.project,
      limit: 50,
    });
    return {
      title: `${record.name} ${record.version}`,
      trail: project ? [{ href: projectPath(project.slug), text: project.slug }] : [],
      api: path`/api/v1/artifacts/${record.digest}`,
      command: `waybill artifact show ${record.digest}`,
      body: html`${await renderOrigin(visit, record, provenance)}
      ${renderFields([
        ['Digest', renderDigest(record.digest)],
        ['File', html`<code dir="auto">${record.file}</code>`],
        ['Size', renderSize(record.size)],
        ['Type', record.mediaType],
        ['Repository', record.repository],
      ])}
      ${renderSection('Take it and check it yourself', renderCommands(deps, record, provenance))}
      ${renderSection('Evidence', renderEvidence(provenance))}
      ${renderSection('Everything signed about it', await renderAttestations(deps, record.digest))}
      ${renderSection('Where it runs', await renderRunning(deps, visit, project, record.digest))}
      ${renderSection('Where it may go', renderPromotions(promotions))}
      ${records.length > 1 ? renderSection('Other records of the same bytes', await renderRecords(visit, records, record)) : nothing}`,
    };
  });
}

async function renderRunning(
  deps: ArtifactDeps,
  { caller }: Visit,
  project: { id: string; slug: string } | undefined,
  digest: Digest,
): Promise<SafeHtml> {
  const found = project && (await findReadable(deps, caller, project, { digest }));
  if (found === undefined) return NOT_READABLE;
  return renderDeployments(found, html`<p>No agent has reported it from anywhere.</p>`);
}

interface Provenance {
  verdict: BundleVerdict;
  expected: { san: string; issuer: string };
  run: string;
  number: number;
  repository: string;
}

/** Checked now, from the bundle and the trusted root, against the workflow that this very run was made from. */
async function verifyProvenance(
  { journal, attest, publicUrl }: ArtifactDeps,
  record: ArtifactRecord,
): Promise<Provenance | undefined> {
  if (record.kind !== 'release' || record.provenance === null || record.run === null) return undefined;
  const facts = await journal.byStream(`run/${record.run}`);
  const signed = facts.find((fact) => fact.type === 'build.provenance_signed');
  const run = signed && readRun(facts, signed.number);
  if (!run) return undefined;
  const expected = { san: provenanceSan(publicUrl, run), issuer: attest.controlIssuer };
  const { bytes } = await attest.requireBundle(record.provenance);
  const trustedRoot = attest.trustedRoot();
  const verdict = verifyBundle({ bundle: bytes, trustedRoot, artifact: record.digest, expect: expected });
  return { verdict, expected, run: record.run, number: run.queued.number, repository: run.queued.name };
}

async function renderOrigin(
  { nameOf }: Visit,
  record: ArtifactRecord,
  provenance: Provenance | undefined,
): Promise<SafeHtml> {
  if (record.kind === 'playground') {
    const sentence = html`${await nameOf(record.principal)} uploaded this to the playground ${renderTime(record.at)}.`;
    const note = html`<p>Nobody knows how it was made, so it can never be promoted.</p>`;
    return renderBanner('unknown', sentence, note);
  }
  if (!provenance) {
    return renderBanner('unknown', 'Nothing signed says how this was made.', html`<p>It cannot be promoted.</p>`);
  }
  const { verdict, run, number, repository } = provenance;
  const sentence = verdict.ok
    ? html`Built by ${renderLink(buildPath(run), `run ${number}`)} of ${repository} from commit
        <code>${(record.commit ?? '').slice(0, 12)}</code>; the signed provenance holds.`
    : 'The provenance of this artifact does not hold.';
  const note = html`<p>
    Checked just now, against the workflow of that run. It says where this comes from, not that it is free of faults.
  </p>`;
  return renderBanner(verdict.ok ? 'yes' : 'no', sentence, note);
}

function renderCommands(
  { publicUrl }: ArtifactDeps,
  record: ArtifactRecord,
  provenance: Provenance | undefined,
): SafeHtml {
  const verify = provenance
    ? renderCommand(`waybill artifact verify ${record.digest} --identity ${provenance.expected.san}`)
    : nothing;
  return html`${renderCommand(`waybill artifact pull ${record.digest} --out ${record.file}`)} ${verify}
    <p>
      <a href="${tracePath(record.digest)}">Trace it back to the signed commit</a> ·
      <a href="${path`/api/v1/artifacts/${record.digest}/content`}" download>Download</a> from ${publicUrl}
    </p>`;
}

function renderEvidence(provenance: Provenance | undefined): SafeHtml {
  if (!provenance) return html`<p class="empty">There is no provenance to check.</p>`;
  const { verdict, expected } = provenance;
  const failures = verdict.checks.filter((check) => check.status !== 'passed');
  return html`${renderFields([
      ['Signer expected', html`<code dir="auto">${expected.san}</code>`],
      ['Vouched for by', html`<code>${expected.issuer}</code>`],
      ['Signer found', verdict.signer ? html`<code dir="auto">${verdict.signer.san}</code>` : 'not established'],
      ['Signed', verdict.signedAt === undefined ? 'not established' : renderTime(verdict.signedAt)],
    ])}
    ${failures.length > 0 ? renderChecks(failures) : nothing}
    <details>
      <summary>All ${verdict.checks.length} checks</summary>
      ${renderChecks(verdict.checks)}
    </details>
    ${
      verdict.statement
        ? html`<details>
            <summary>The signed statement</summary>
            <pre tabindex="0">${JSON.stringify(verdict.statement, null, 2)}</pre>
          </details>`
        : nothing
    }`;
}

async function renderAttestations({ attest }: ArtifactDeps, digest: Digest): Promise<SafeHtml> {
  const bundles = await attest.bundlesFor(digest);
  return renderTable(
    'Signed statements',
    bundles,
    [
      { title: 'Claim', cell: (bundle) => claimOf(bundle.predicateType) },
      { title: 'Signer named', cell: (bundle) => html`<code dir="auto">${bundle.san}</code>` },
      { title: 'Made', cell: (bundle) => renderTime(bundle.madeAt) },
      {
        title: 'Bundle',
        cell: (bundle) => renderLink(path`/api/v1/bundles/${bundle.bundle}`, `${bundle.bundle.slice(0, 19)}…`),
      },
    ],
    'Nothing signed names it.',
  );
}

/** Plain words first; the exact type stands in the title. */
function claimOf(predicateType: string): HtmlValue {
  const words = predicateType.includes('provenance')
    ? 'How it was built'
    : predicateType.includes('verification_summary')
      ? 'Decision on a promotion'
      : 'Claim';
  return html`${words} <code class="soft">${predicateType}</code>`;
}

function renderPromotions(promotions: readonly Promotion[]): SafeHtml {
  return renderTable(
    'Promotions',
    promotions,
    [
      { title: 'Decision', cell: (one) => renderBadge(one.status, promotionStates[one.status]) },
      { title: 'Environment', cell: (one) => renderLink(path`/promotions/${one.id}`, one.environmentName) },
      { title: 'Requested', cell: (one) => renderTime(one.requestedAt) },
    ],
    html`<p>Nobody asked for it to be promoted yet.</p>`,
  );
}

async function renderRecords(
  { nameOf }: Visit,
  records: readonly ArtifactRecord[],
  shown: ArtifactRecord,
): Promise<SafeHtml> {
  const others = records.filter((one) => one.id !== shown.id);
  const names = new Map(await Promise.all(others.map(async (one) => [one.id, await nameOf(one.principal)] as const)));
  return renderTable(
    'Other records',
    others,
    [
      { title: 'Name', cell: (one) => html`<span dir="auto">${one.name} ${one.version}</span>` },
      { title: 'Repository', cell: (one) => one.repository },
      { title: 'By', cell: (one) => names.get(one.id) ?? '' },
      { title: 'Fact', cell: (one) => renderLink(factPath(one.fact), one.fact) },
    ],
    '',
  );
}

/** For the pages that list artifacts. */
export function renderArtifacts(records: readonly ArtifactRecord[], empty: SafeHtml): SafeHtml {
  return renderTable(
    'Artifacts',
    records,
    [
      {
        title: 'Artifact',
        cell: (one) => html`<a href="${artifactPath(one.digest)}" dir="auto">${one.name} ${one.version}</a>`,
      },
      { title: 'File', cell: (one) => html`<span dir="auto">${one.file}</span>` },
      { title: 'Repository', cell: (one) => one.repository },
      { title: 'Size', cell: (one) => renderSize(one.size) },
      { title: 'Published', cell: (one) => renderTime(one.at) },
      { title: 'Digest', cell: (one) => renderCopy(one.digest, `${one.digest.slice(0, 15)}…`) },
    ],
    empty,
  );
}
