import { type Clock, Problem } from '#base';
import type { IssuerKeys } from './facts.ts';
import type { FetchDocument } from './oidc/fetch.ts';
import { findKey, type Jwt, parseJwks, type VerifyingKey } from './oidc/jwt.ts';

/** Keys of outside issuers: inline, at a pinned address, or where discovery says. Kept for a while, asked for again at most every 30 s. */

const FRESH_MS = 15 * 60_000;
const REFETCH_MS = 30_000;

export interface KeyedIssuer {
  issuer: string;
  keys: IssuerKeys;
}

export interface KeySource {
  find(issuer: KeyedIssuer, jwt: Jwt): Promise<VerifyingKey | undefined>;
  /** Reads the keys now; throws when they cannot be had. */
  load(issuer: KeyedIssuer): Promise<VerifyingKey[]>;
}

export function createKeySource(fetch: FetchDocument, clock: Clock): KeySource {
  /** By issuer and where its keys are, so that a changed configuration does not find old keys. */
  const known = new Map<string, { keys: VerifyingKey[]; at: number }>();
  const running = new Map<string, Promise<VerifyingKey[]>>();

  async function read({ issuer, keys }: KeyedIssuer): Promise<VerifyingKey[]> {
    if (keys.from === 'inline') return parseJwks({ keys: keys.keys });
    if (keys.from === 'address') return parseJwks(await fetch(keys.url, keys.ca));
    const document = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, keys.ca);
    const { issuer: named, jwks_uri: address } = document as { issuer?: unknown; jwks_uri?: unknown };
    if (named !== issuer || typeof address !== 'string') throw otherIssuer(issuer);
    return parseJwks(await fetch(address, keys.ca));
  }

  async function load(issuer: KeyedIssuer): Promise<VerifyingKey[]> {
    const name = JSON.stringify([issuer.issuer, issuer.keys]);
    const before = running.get(name);
    if (before) return await before;
    const work = read(issuer).finally(() => running.delete(name));
    running.set(name, work);
    const keys = await work;
    known.set(name, { keys, at: clock.now() });
    return keys;
  }

  return {
    load,
    async find(issuer, jwt) {
      const name = JSON.stringify([issuer.issuer, issuer.keys]);
      const cached = known.get(name);
      const age = cached ? clock.now() - cached.at : Infinity;
      const found = cached && age < FRESH_MS ? findKey(jwt, cached.keys) : undefined;
      // A key we do not know may be a new one; who sends nonsense must not make us ask all the time.
      if (found || age < REFETCH_MS) return found;
      return findKey(jwt, await load(issuer));
    },
  };
}

const otherIssuer = (issuer: string) =>
  new Problem({
    code: 'identity.issuer_unreachable',
    kind: 'unavailable',
    message: `The discovery document of ${issuer.slice(0, 300)} is not its own.`,
    hint: 'Give the issuer exactly as it stands in its tokens; a slash at the end counts.',
  });
