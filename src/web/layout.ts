import type { AssetName, Assets } from './assets.ts';
import { html, type HtmlValue, nothing, type SafeHtml } from './html.ts';
import { renderCommand } from './parts.ts';

/** Nothing from elsewhere, nothing inline, no framing, forms only to ourselves. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

export interface Page {
  title: string;
  body: SafeHtml;
  /** From the overview down to this page's parent. */
  trail?: readonly { href: string; text: string }[];
  /** The API address with the same content. */
  api?: string;
  /** The command that shows the same. */
  command?: string;
  /** Scripts beyond those of every page. */
  scripts?: readonly AssetName[];
  status?: number;
}

export interface Visitor {
  /** Undefined: not signed in. */
  name: string | undefined;
}

const NAVIGATION = [
  { href: '/', text: 'Overview' },
  { href: '/projects', text: 'Projects' },
  { href: '/trace', text: 'Trace' },
  { href: '/ledger', text: 'Ledger' },
] as const;

export function renderPage(page: Page, visitor: Visitor, assets: Assets, here: string): SafeHtml {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${page.title} · Waybill</title>
        <link rel="icon" type="image/svg+xml" href="${assets.pathOf('icon.svg')}" />
        <link rel="stylesheet" href="${assets.pathOf('style.css')}" />
        ${page.api ? html`<link rel="alternate" type="application/json" href="${page.api}" />` : nothing}
        ${(['relative-time.js', 'copy-text.js', ...(page.scripts ?? [])] as const).map(
          (name) => html`<script type="module" src="${assets.pathOf(name)}"></script>`,
        )}
      </head>
      <body>
        <a class="skip" href="#content">Skip to content</a>
        <header class="top">
          <a class="brand" href="/">Waybill</a>
          ${visitor.name === undefined ? nothing : renderNavigation(visitor.name, here)}
        </header>
        <main id="content" tabindex="-1">
          ${renderTrail(page)}
          <h1 dir="auto">${page.title}</h1>
          ${page.body}
        </main>
        ${renderFooter(page)}
      </body>
    </html>`;
}

function renderNavigation(name: string, here: string): SafeHtml {
  const isHere = (href: string): boolean =>
    href === '/' ? here === '/' : here === href || here.startsWith(`${href}/`);
  return html`<nav aria-label="Main">
      <ul>
        ${NAVIGATION.map(({ href, text }) =>
          isHere(href)
            ? html`<li><a href="${href}" aria-current="page">${text}</a></li>`
            : html`<li><a href="${href}">${text}</a></li>`,
        )}
      </ul>
    </nav>
    <form class="who" method="post" action="/sign-out">
      <span dir="auto">${name}</span>
      <button type="submit" class="quiet">Sign out</button>
    </form>`;
}

function renderTrail(page: Page): SafeHtml {
  if (!page.trail || page.trail.length === 0) return nothing;
  return html`<nav class="trail" aria-label="Breadcrumb">
    <ol>
      ${page.trail.map(({ href, text }) => html`<li><a href="${href}" dir="auto">${text}</a></li>`)}
    </ol>
  </nav>`;
}

function renderFooter({ api, command }: Page): SafeHtml {
  const same: HtmlValue[] = [
    ...(command ? [html`<p>The same on the command line:</p>`, renderCommand(command)] : []),
    ...(api ? [html`<p>The same as data: <a href="${api}">${api}</a></p>`] : []),
  ];
  return html`<footer>${same.length > 0 ? same : html`<p>Waybill</p>`}</footer>`;
}
