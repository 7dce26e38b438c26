import { Problem, toIso } from '#base';
import { SESSION_COOKIE } from '#http';
import type { Identity, IssuedToken } from '#identity';
import { hasTokenShape, tokenPrefixes, unauthenticated } from '#identity';
import { html } from './html.ts';
import { localPath, type Site, SIGN_IN, type Visit } from './site.ts';
import { renderCommand } from './parts.ts';

const SESSION_MS = 12 * 3_600_000;

/** Enrolment links end here. What identifies the visitor stands behind the # and never in an address that is logged. */
export function registerSignIn(site: Site, { identity }: { identity: Identity }): void {
  site.publicPage(SIGN_IN, async ({ caller, query }) => ({
    title: 'Sign in',
    scripts: ['sign-in.js'],
    body: html`${
        caller.kind === 'anonymous'
          ? html`<p>Waybill has no passwords. Open your one-time enrolment link, or paste it, or a token, here.</p>`
          : html`<p>You are signed in as ${caller.name}. A new enrolment link signs you in as somebody else.</p>`
      }
      <form class="form" method="post" action="${SIGN_IN}" data-sign-in="">
        <label for="credential">Enrolment link or token</label>
        <input
          id="credential"
          name="credential"
          type="password"
          autocomplete="off"
          spellcheck="false"
          required
          maxlength="400"
        />
        <input type="hidden" name="next" value="${localPath(query['next'])}" />
        <div><button type="submit">Sign in</button></div>
      </form>
      <p>No link? An owner makes one for you:</p>
      ${renderCommand('waybill person reinvite NAME')}`,
  }));

  site.publicForm(SIGN_IN, async (visit) => {
    const session = await openSession(identity, visit, parseCredential(visit.form['credential'] ?? ''));
    setSession(visit, session.token, session.expiresAt);
    return localPath(visit.form['next']);
  });

  site.publicForm('/sign-out', async (visit) => {
    const { caller } = visit;
    if (caller.kind !== 'anonymous') await identity.revokeToken(caller, caller.credential.id, 'signed out');
    setSession(visit, '', 0);
    return SIGN_IN;
  });
}

/** A link, or what stands behind its #, or a token. */
function parseCredential(text: string): string {
  const trimmed = text.trim();
  const token = trimmed.includes('#') ? trimmed.slice(trimmed.indexOf('#') + 1) : trimmed;
  if (hasTokenShape(token)) return token;
  throw new Problem({
    code: 'web.credential_malformed',
    kind: 'invalid',
    message: 'This is neither an enrolment link nor a token.',
    hint: 'Go back and paste the whole link, with what follows the # sign.',
  });
}

/** A pasted token makes a session of its own, so that signing out does not end the token. */
async function openSession(identity: Identity, { request }: Visit, token: string): Promise<IssuedToken> {
  if (token.startsWith(tokenPrefixes.enrolment)) {
    return await identity.redeemEnrolment(token, request.origin, 'session');
  }
  const caller = await identity.authenticate(token, request.origin);
  if (caller?.kind !== 'person') throw unauthenticated();
  return await identity.issueToken(caller, { label: `browser, ${toIso(Date.now())}`, ttlMs: SESSION_MS });
}

function setSession({ reply }: Visit, token: string, expiresAt: number): void {
  const seconds = Math.max(0, Math.floor((expiresAt - Date.now()) / 1000));
  const attributes = ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax', `Max-Age=${seconds}`];
  reply.header('set-cookie', `${SESSION_COOKIE}=${token}; ${attributes.join('; ')}`);
}
