import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '#base';
import { type App, statusFor, toProblem } from '#http';
import type { Caller, Identity } from '#identity';
import { type Assets, loadAssets } from './assets.ts';
import { html, toText } from './html.ts';
import { CONTENT_SECURITY_POLICY, type Page, renderPage } from './layout.ts';
import { renderBanner, renderFields } from './parts.ts';

/** One request for a page, by somebody who is signed in. */
export interface Visit {
  caller: Caller;
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string>>;
  /** Fields of the form that was sent; empty for a GET. */
  form: Readonly<Record<string, string>>;
  request: FastifyRequest;
  reply: FastifyReply;
  /** What a person or machine is called; their id if nobody knows them. */
  nameOf: (principal: string) => Promise<string>;
}

export type PageHandler = (visit: Visit) => Promise<Page>;
/** Does something, and says which page to go to. */
export type FormHandler = (visit: Visit) => Promise<string>;

export interface Site {
  page(url: string, handler: PageHandler): void;
  form(url: string, handler: FormHandler): void;
  /** Pages for those who are not signed in. */
  publicPage(url: string, handler: PageHandler): void;
  publicForm(url: string, handler: FormHandler): void;
}

export const SIGN_IN = '/enrol';
const FORM_BYTES_MAX = 64 * 1024;

/** Everything under one roof: headers, sign-in, forms from our own pages only, and failures shown as pages. */
export function openSite(
  app: App,
  { identity, publicUrl }: { identity: Identity; publicUrl: string },
  register: (site: Site) => void,
): void {
  const assets = loadAssets();
  app.register(async (plain) => {
    const scope = plain as unknown as App;
    assets.register(scope);
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: FORM_BYTES_MAX },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    );
    scope.setErrorHandler((error, request, reply) => sendFailure(reply, assets, toProblem(error, request)));
    const visitOf = (request: FastifyRequest, reply: FastifyReply): Visit => ({
      caller: request.caller,
      params: (request.params ?? {}) as Record<string, string>,
      query: textFields(request.query),
      form: textFields(request.body),
      request,
      reply,
      nameOf: rememberNames(identity),
    });

    const get = (url: string, handler: PageHandler, open: boolean): void => {
      scope.get(url, async (request, reply) => {
        if (!open && request.caller.kind === 'anonymous') return reply.redirect(signInFrom(request.url), 303);
        const page = await handler(visitOf(request, reply));
        if (page.api !== undefined && wantsJson(request)) return reply.redirect(page.api, 303);
        return sendPage(reply, assets, page);
      });
    };
    const post = (url: string, handler: FormHandler, open: boolean): void => {
      scope.post(url, async (request, reply) => {
        requireOwnOrigin(request, publicUrl);
        if (!open && request.caller.kind === 'anonymous') return reply.redirect(SIGN_IN, 303);
        return reply.redirect(localPath(await handler(visitOf(request, reply))), 303);
      });
    };
    // Least specific of all routes: whatever nobody else answers. Programs get the API's own answer.
    scope.get('/*', async (request, reply) => {
      if (!(request.headers.accept ?? '').includes('text/html')) return reply.callNotFound();
      return sendFailure(reply, assets, nothingHere());
    });
    register({
      page: (url, handler) => get(url, handler, false),
      form: (url, handler) => post(url, handler, false),
      publicPage: (url, handler) => get(url, handler, true),
      publicForm: (url, handler) => post(url, handler, true),
    });
  });
}

const nothingHere = () =>
  new Problem({
    code: 'http.not_found',
    kind: 'not_found',
    message: 'There is nothing at this address, or you may not see it.',
    hint: 'Go to the overview and look from there.',
  });

function textFields(value: unknown): Record<string, string> {
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function rememberNames(identity: Identity): Visit['nameOf'] {
  const known = new Map<string, Promise<string>>();
  return (principal) => {
    const name = known.get(principal) ?? identity.findPrincipal(principal).then((found) => found?.name ?? principal);
    known.set(principal, name);
    return name;
  };
}

async function sendPage(reply: FastifyReply, assets: Assets, page: Page): Promise<void> {
  const { caller, url } = reply.request;
  const visitor = { name: caller.kind === 'anonymous' ? undefined : caller.name };
  await reply
    .code(page.status ?? 200)
    .headers({
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'permissions-policy': 'camera=(), geolocation=(), microphone=()',
      vary: 'accept, cookie',
    })
    .type('text/html; charset=utf-8')
    .send(toText(renderPage(page, visitor, assets, url.split('?')[0] ?? '/')));
}

/** Every failure is a page with what to do, in the same words as the API's. */
async function sendFailure(reply: FastifyReply, assets: Assets, problem: Problem): Promise<void> {
  const body = html`${renderBanner('no', problem.message)}
    <p>${problem.hint}</p>
    ${renderFields([
      ['Code', html`<code>${problem.code}</code>`],
      ['Request', html`<code>${reply.request.id}</code>`],
    ])}`;
  await sendPage(reply, assets, { title: 'This did not work', body, status: statusFor(problem) });
}

function wantsJson(request: FastifyRequest): boolean {
  const accept = request.headers.accept ?? '';
  return accept.includes('application/json') && !accept.includes('text/html');
}

function signInFrom(url: string): string {
  return url === '/' ? SIGN_IN : `${SIGN_IN}?next=${encodeURIComponent(localPath(url))}`;
}

/** A path of this site and nothing else: `//host` and `/\host` would leave it. */
export function localPath(text: string | undefined): string {
  // oxlint-disable-next-line no-control-regex
  return text !== undefined && /^\/(?![/\\])[^\\\u0000-\u0020]*$/.test(text) ? text : '/';
}

/** Also for visitors without a session: nobody is signed in, or out, by another site. */
function requireOwnOrigin(request: FastifyRequest, publicUrl: string): void {
  const { origin, 'sec-fetch-site': site } = request.headers;
  const own = origin === undefined ? site === 'same-origin' : origin === new URL(publicUrl).origin;
  if (own && (site === undefined || site === 'same-origin')) return;
  throw new Problem({
    code: 'web.cross_site',
    kind: 'forbidden',
    message: 'This form was not sent from a page of this server.',
    hint: `Open ${publicUrl} and repeat it there.`,
  });
}
