import type { FastifyRequest } from 'fastify';
import { Problem } from '#base';
import type { Origin } from '#journal';
import { type Caller, unauthenticated } from '#identity';

/** Token → caller. Several may be given; the first that knows the token answers. */
export type Authenticator = (token: string, origin: Origin) => Promise<Caller | undefined>;

export const SESSION_COOKIE = '__Host-waybill';
const TOKEN_CHARS_MAX = 4096;
/** Wrong credentials from one address, per minute, before it has to wait. */
const FAILURES_MAX = 20;
const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 10_000;

export interface PresentedCredential {
  token: string;
  from: 'bearer' | 'basic' | 'cookie';
}

/** The credential of a request, if it carries one. Basic takes any user name: the token says who it is. */
export function presentedCredential(request: FastifyRequest): PresentedCredential | undefined {
  const header = request.headers.authorization;
  if (header !== undefined) {
    const [scheme = '', value = ''] = header.split(' ', 2);
    if (value.length > TOKEN_CHARS_MAX) throw unauthenticated();
    if (/^bearer$/i.test(scheme)) return { token: value, from: 'bearer' };
    if (/^basic$/i.test(scheme)) {
      const decoded = Buffer.from(value, 'base64').toString('utf8');
      const password = decoded.slice(decoded.indexOf(':') + 1);
      return { token: password, from: 'basic' };
    }
    throw unauthenticated();
  }
  const cookie = (request.headers.cookie ?? '')
    .split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${SESSION_COOKIE}=`));
  return cookie === undefined ? undefined : { token: cookie.slice(SESSION_COOKIE.length + 1), from: 'cookie' };
}

/** A browser sends cookies by itself, so a write it is made to send must come from our own pages. */
export function requireSameOrigin(request: FastifyRequest, publicUrl: string): void {
  if (['GET', 'HEAD', 'OPTIONS'].includes(request.method)) return;
  const site = request.headers['sec-fetch-site'];
  const origin = request.headers.origin;
  const ours = origin === undefined ? site === 'same-origin' : origin === new URL(publicUrl).origin;
  if (ours && (site === undefined || site === 'same-origin')) return;
  throw new Problem({
    code: 'http.cross_site',
    kind: 'forbidden',
    message: 'This request came from another site.',
    hint: 'Open the page on this server and repeat it there, or use a token.',
  });
}

/** Slows down guessing: after too many wrong credentials an address waits for the window to pass. */
export function createFailureLimit(now: () => number) {
  const failures = new Map<string, { count: number; since: number }>();
  return {
    check(address: string): void {
      const entry = failures.get(address);
      if (entry && now() - entry.since < WINDOW_MS && entry.count >= FAILURES_MAX) {
        throw new Problem({
          code: 'http.too_many_failures',
          kind: 'limited',
          message: 'Too many wrong credentials came from this address.',
          hint: 'Wait a minute, then try again with a valid one.',
        });
      }
    },
    note(address: string): void {
      const entry = failures.get(address);
      if (failures.size >= ADDRESSES_MAX) failures.clear();
      if (entry && now() - entry.since < WINDOW_MS) entry.count++;
      else failures.set(address, { count: 1, since: now() });
    },
  };
}
