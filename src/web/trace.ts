import { isDigest, Problem } from '#base';
import type { Hop, HopKind, Trace, TraceQuery, Traces } from '#trace';
import { renderSpine, type SpineNode, type SpineStep } from './graph.ts';
import { html, nothing, type SafeHtml } from './html.ts';
import {
  factPath,
  renderBadge,
  renderBanner,
  renderChecks,
  renderFields,
  renderLink,
  renderSection,
  renderTime,
  tracePath,
} from './parts.ts';
import type { Site } from './site.ts';

const TITLES: Readonly<Record<HopKind, string>> = {
  file: 'Running file',
  deployment: 'Deployment',
  promotion: 'Promotion',
  publication: 'Publication',
  object: 'Stored bytes',
  provenance: 'Provenance',
  run: 'Build',
  push: 'Push',
  commit: 'Commit',
};

/** From what runs back to who signed the commit: the verdict, the picture, and every hop with its checks. */
export function registerTrace(site: Site, { traces }: { traces: Traces }): void {
  site.page('/trace', async ({ query, reply }) => {
    if (query['target']) reply.redirect(tracePath(query['target'].trim()), 303);
    return {
      title: 'Trace',
      api: '/api/v1/projects',
      command: 'waybill trace TARGET',
      body: html`<p>
          Walks an artifact back to the signed commit and verifies every hop on the way, now. Give a digest,
          name@version, or the path of a file that an agent placed.
        </p>
        <form class="form" method="get" action="/trace">
          <label for="target">Digest, name@version or path</label>
          <input id="target" name="target" required maxlength="4000" spellcheck="false" autocomplete="off" />
          <div><button type="submit">Trace</button></div>
        </form>`,
    };
  });

  site.page('/trace/:target', async ({ caller, params }) => {
    const target = params['target'] ?? '';
    const query = parseTarget(target);
    const trace = await traces.trace(caller, query);
    return {
      title: trace.name === null ? 'Trace' : `Trace of ${trace.name} ${trace.artifactVersion ?? ''}`,
      trail: [{ href: '/trace', text: 'Trace' }],
      api: `/api/v1/trace?${new URLSearchParams(query as Record<string, string>).toString()}`,
      command: `waybill trace ${target}`,
      body: html`${renderVerdict(trace)} ${renderPicture(trace)}
      ${renderSection('Every hop, newest first', renderChain(trace))}`,
    };
  });
}

/** `sha256:…`, `/a/path`, `name@version`. */
export function parseTarget(target: string): TraceQuery {
  if (isDigest(target)) return { digest: target };
  if (target.startsWith('/')) return { path: target };
  if (/^[^@\s]+@[^@\s]+$/.test(target)) return { name: target };
  throw new Problem({
    code: 'web.target_invalid',
    kind: 'invalid',
    message: 'This is neither a digest, nor name@version, nor an absolute path.',
    hint: 'Write it as sha256:…, acme/hello/program@1-6789b258 or /srv/app/program.',
  });
}

function renderVerdict({ ok, broken, hops, digest, tracedAt }: Trace): SafeHtml {
  const when = html`<p>Checked ${renderTime(tracedAt)} by this server, for <code>${digest}</code>.</p>`;
  if (ok) return renderBanner('yes', `The chain holds: ${hops.length} hops, each verified.`, when);
  const title = broken ? TITLES[broken.hop].toLowerCase() : 'chain';
  const reasons = broken
    ? renderFields([
        ['Check', broken.check],
        ['Expected', broken.expected && html`<code dir="auto">${broken.expected}</code>`],
        ['Found', broken.found && html`<code dir="auto">${broken.found}</code>`],
        ['Fix', broken.fix],
      ])
    : nothing;
  return renderBanner('no', `The chain breaks at the ${title}.`, html`${reasons} ${when}`);
}

function stateOf(hop: Hop): SpineNode['state'] {
  if (hop.ok) return 'yes';
  return hop.checks.some((check) => check.status === 'failed') ? 'no' : 'unknown';
}

const SOURCES: ReadonlySet<HopKind> = new Set(['commit', 'push', 'run']);
const SIDE_LEFT: ReadonlySet<HopKind> = new Set(['provenance', 'object']);

/** Time runs downwards: what was made along the spine, evidence about it on the left, where it runs on the right. */
export function spineOf(hops: readonly Hop[]): SpineStep[] {
  const steps: SpineStep[] = [];
  const oldestFirst = hops.toReversed();
  const node = (hop: Hop, at: number): SpineNode => ({
    id: `${at}-${hop.kind}`,
    title: TITLES[hop.kind],
    detail: hop.id || hop.title,
    state: stateOf(hop),
  });
  const inputs = oldestFirst.map((hop, at) => ({ hop, node: node(hop, at) }));
  for (const { hop, node: box } of inputs) {
    if (SIDE_LEFT.has(hop.kind) || hop.kind === 'file') continue;
    const left = hop.kind === 'publication' ? inputs.filter((one) => SIDE_LEFT.has(one.hop.kind)) : [];
    const right = hop.kind === 'deployment' ? inputs.filter((one) => one.hop.kind === 'file') : [];
    steps.push({ ...box, inputs: left.map((one) => one.node), outputs: right.map((one) => one.node) });
  }
  // A file that nobody deployed has no step to stand beside.
  if (!hops.some((hop) => hop.kind === 'deployment')) {
    const files = inputs.filter((one) => one.hop.kind === 'file');
    steps.push(...files.map((one) => ({ ...one.node, inputs: [], outputs: [] })));
  }
  return steps;
}

function renderPicture({ hops, ok }: Trace): SafeHtml {
  const sources = hops.filter((hop) => SOURCES.has(hop.kind)).length;
  const label = `The chain as a picture, from ${sources > 0 ? 'the commit' : 'its beginning'} down: ${ok ? 'all hops hold' : 'it is broken'}. The list below says the same.`;
  return renderSpine(spineOf(hops), label);
}

function renderChain({ hops, broken }: Trace): SafeHtml {
  const isBroken = (hop: Hop): boolean => broken !== null && hop.kind === broken.hop && hop.id === broken.id;
  return html`<ol class="chain">
    ${hops.map((hop) => (isBroken(hop) ? html`<li class="broken">${renderHop(hop, true)}</li>` : html`<li>${renderHop(hop, false)}</li>`))}
  </ol>`;
}

function renderHop(hop: Hop, open: boolean): SafeHtml {
  const state = stateOf(hop);
  const word = hop.ok ? 'verified' : state === 'no' ? 'broken' : 'cannot tell';
  const checks = html`<summary>${hop.checks.length === 1 ? '1 check' : `${hop.checks.length} checks`}</summary>
    ${renderChecks(hop.checks)}`;
  return html`<h3>${TITLES[hop.kind]} ${renderBadge(word, state)}</h3>
    <p dir="auto">${hop.title}</p>
    ${hop.id === '' ? nothing : html`<p><code dir="auto">${hop.id}</code></p>`}
    <p class="soft">
      ${hop.at === null ? nothing : renderTime(hop.at)}
      ${hop.facts.map((fact) => html`${renderLink(factPath(fact.number), `fact ${fact.number}`)} `)}
    </p>
    ${open ? html`<details open>${checks}</details>` : html`<details>${checks}</details>`}`;
}
