import type { Check, Verdict } from '#base';
import { html, type HtmlValue, nothing, path, type SafeHtml } from './html.ts';

/** The small pieces that all pages are made of. A status is always icon, word and colour together. */
export type State = 'yes' | 'no' | 'unknown' | 'active' | 'waiting';

const ICONS: Readonly<Record<State, string>> = { yes: '✓', no: '✗', unknown: '?', active: '▸', waiting: '…' };

/** Unknown is the default: nothing is shown as good unless somebody looked and says so. */
export function renderBadge(word: string, state: State = 'unknown'): SafeHtml {
  return html`<span class="badge badge-${state}"><span aria-hidden="true">${ICONS[state]}</span> ${word}</span>`;
}

export function stateOf(status: Check['status']): State {
  return status === 'passed' ? 'yes' : status === 'failed' ? 'no' : 'unknown';
}

const WORDS: Readonly<Record<Check['status'], string>> = {
  passed: 'passed',
  failed: 'failed',
  not_checked: 'not checked',
};

/** Every check: what, the result, and for a failure what was expected, what was found and what to do. */
export function renderChecks(checks: readonly Check[]): SafeHtml {
  if (checks.length === 0) return html`<p class="empty">Nothing was checked.</p>`;
  return html`<ul class="checks">
    ${checks.map(
      (check) =>
        html`<li class="check check-${stateOf(check.status)}">
          <div>
            ${renderBadge(WORDS[check.status], stateOf(check.status))} <strong>${humanName(check.name)}</strong>
            ${check.detail ? html`<span class="detail" dir="auto">${check.detail}</span>` : nothing}
          </div>
          ${check.status === 'failed' ? renderFailure(check) : nothing}
        </li>`,
    )}
  </ul>`;
}

function renderFailure(check: Check): SafeHtml {
  const rows = [
    ['Expected', check.expected],
    ['Found', check.found],
    ['Reason', check.code],
    ['Fix', check.fix],
  ] as const;
  const present = rows.filter(([, text]) => text !== undefined && text !== '');
  return present.length === 0
    ? nothing
    : renderFields(present.map(([name, text]) => [name, html`<code dir="auto">${text}</code>`]));
}

export function renderVerdict(verdict: Verdict, yes: string, no: string): SafeHtml {
  return renderBanner(verdict.ok ? 'yes' : 'no', verdict.ok ? yes : no);
}

/** The answer of a page, first and large. */
export function renderBanner(state: State, sentence: HtmlValue, detail: HtmlValue = nothing): SafeHtml {
  return html`<div class="banner banner-${state}">
    <p class="answer"><span aria-hidden="true">${ICONS[state]}</span> ${sentence}</p>
    ${detail}
  </div>`;
}

/** Check names are code words (`commit_signature`); people read words. */
export function humanName(name: string): string {
  return name.replaceAll(/[._-]/g, ' ');
}

export function renderFields(rows: readonly (readonly [string, HtmlValue])[]): SafeHtml {
  const present = rows.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return html`<dl class="fields">
    ${present.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

/** Short in the middle, whole on copy. */
export function renderDigest(digest: string | null | undefined): SafeHtml {
  if (!digest) return html`<span class="none">none</span>`;
  return renderCopy(digest, digest.length > 30 ? `${digest.slice(0, 15)}…${digest.slice(-8)}` : digest);
}

/** Text that is there to be taken elsewhere. Without script it is the whole text, to be selected. */
export function renderCopy(text: string, shown: string = text): SafeHtml {
  return html`<copy-text data-text="${text}"><code title="${text}">${shown}</code></copy-text>`;
}

/** The command line that shows or does the same. */
export function renderCommand(line: string): SafeHtml {
  return html`<div class="command">${renderCopy(line)}</div>`;
}

/** Relative in the browser, exact on focus and without script. */
export function renderTime(iso: string | number | null | undefined): SafeHtml {
  if (iso === null || iso === undefined) return html`<span class="none">never</span>`;
  const exact = new Date(iso).toISOString();
  return html`<relative-time tabindex="0"
    ><time datetime="${exact}">${exact.replace('T', ' ').replace(/\.\d+Z/, ' UTC')}</time></relative-time
  >`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function renderSize(bytes: number): string {
  const unit = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** unit;
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit] ?? 'B'}`;
}

export interface Column<T> {
  title: string;
  cell: (item: T) => HtmlValue;
}

/** A list with a caption for those who hear it; when empty it says what to do next. */
export function renderTable<T>(
  caption: string,
  items: readonly T[],
  columns: readonly Column<T>[],
  empty: HtmlValue,
): SafeHtml {
  if (items.length === 0) return html`<div class="empty">${empty}</div>`;
  return html`<div class="table" role="group" aria-label="${caption}" tabindex="0">
    <table>
      <caption class="hidden">
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col">${column.title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${items.map(
          (item) =>
            html`<tr>
              ${columns.map((column) => html`<td>${column.cell(item)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

export function renderLink(href: string, text: HtmlValue): SafeHtml {
  return html`<a href="${href}">${text}</a>`;
}

export function renderSection(title: string, body: HtmlValue): SafeHtml {
  const id = title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    ${body}
  </section>`;
}

export const artifactPath = (digest: string): string => path`/artifacts/${digest}`;
export const buildPath = (run: string): string => path`/builds/${run}`;
export const pushPath = (push: string): string => path`/pushes/${push}`;
export const projectPath = (project: string): string => path`/projects/${project}`;
export const tracePath = (target: string): string => path`/trace/${target}`;
export const factPath = (fact: number): string => path`/ledger/${fact}`;
