import { canonicalJson, type Check, type Clock, digestOf, failed, newId, parseWith, passed, Problem } from '#base';
import type { Actor, Journal } from '#journal';
import type { Db } from '#storage';
import type { Signer, Vault } from '#vault';
import type { Caller } from './decision.ts';
import type { Engine } from './engine.ts';
import * as facts from './facts.ts';
import * as store from './store.ts';
import { JobClaims, jobSubject } from './oidc/claims.ts';
import { fetchDocument, type FetchDocument } from './oidc/fetch.ts';
import { findKey, type Jwt, parseJwks, parseJwt, publicJwk, signJwt, verifyJwt } from './oidc/jwt.ts';
import { createKeySource } from './issuer-keys.ts';
import { type IssuerKind, judgeRule, requireSafeRule, TrustRule } from './oidc/rule.ts';

/** Our own issuers. `control` has no keys and no tokens: nobody can ask for a certificate in its name. */
export type OwnIssuer = 'people' | 'jobs';
const ownIssuers: readonly OwnIssuer[] = ['people', 'jobs'];

/** What certificates are asked for with; the audience that every Sigstore client uses. */
export const SIGNING_AUDIENCE = 'sigstore';
const TOKEN_MS = 5 * 60_000;
const SKEW_MS = 30_000;
const MAX_AGE_SECONDS_DEFAULT = 15 * 60;

export interface IdentityToken {
  token: string;
  expiresAt: number;
}

/** A token that was believed, and why. */
export interface BelievedToken {
  kind: 'person' | 'job' | 'external';
  issuer: string;
  /** What the outside issuer is; our own are none of these. */
  issuerKind: IssuerKind | undefined;
  subject: string;
  claims: Readonly<Record<string, unknown>>;
  /** SHA-256 of the signed part, hexadecimal: a token is told from every other by it. */
  id: string;
  expiresAt: number;
  rule: { name: string; generation: number } | undefined;
}

export interface TrustedIssuer {
  issuer: string;
  kind: IssuerKind;
  keys: facts.IssuerKeys;
  maxAgeSeconds: number;
}

export interface Issuers {
  /** `https://…/oidc/people`. */
  url(which: OwnIssuer): string;
  /** OpenID Connect Discovery 1.0 §3, and the key set it points to. */
  discovery(which: OwnIssuer): Record<string, unknown>;
  keySet(which: OwnIssuer): { keys: Record<string, unknown>[] };
  /** For a person, with a full credential only: a token made for one purpose must not become its owner's whole identity. */
  issuePersonToken(caller: Caller): Promise<IdentityToken>;
  /** For the build module alone: what the job is, is its word. One fact each, before the token leaves. */
  issueJobToken(actor: Actor, request: { job: string; audience: string; claims: JobClaims }): Promise<IdentityToken>;
  trustIssuer(caller: Caller, issuer: Omit<TrustedIssuer, 'maxAgeSeconds'> & { maxAgeSeconds?: number }): Promise<void>;
  dropIssuer(caller: Caller, issuer: string): Promise<void>;
  listIssuers(caller: Caller): Promise<TrustedIssuer[]>;
  /** Replaces the whole rule; gives its generation. `identity.rule_unsafe`. */
  setRule(caller: Caller, rule: TrustRule): Promise<number>;
  dropRule(caller: Caller, name: string): Promise<void>;
  listRules(caller: Caller): Promise<(TrustRule & { generation: number })[]>;
  /** Which check and which condition a token fails, for whoever writes rules. Nothing is recorded or used up. */
  explain(caller: Caller, token: string): Promise<{ ok: boolean; checks: Check[] }>;
  /** `identity.token_refused` and what it fails; nothing is used up. */
  believe(token: string): Promise<BelievedToken>;
  /** Issuers whose tokens may be believed, for clients that ask. */
  accepted(): Promise<{ issuer: string; audience: string; kind: IssuerKind | OwnIssuer }[]>;
}

export async function createIssuers(options: {
  journal: Journal;
  db: Db;
  vault: Vault;
  clock: Clock;
  publicUrl: string;
  engine: Engine;
  fetch?: FetchDocument;
}): Promise<Issuers> {
  const { journal, db, vault, clock, publicUrl, engine } = options;
  const ours = (name: string) => `${publicUrl}/oidc/${name}`;
  const signers = await openSigners(vault);
  const keySets = {
    people: { keys: [renderJwk(signers.people)] },
    jobs: { keys: [renderJwk(signers.jobs)] },
  };
  const external = createKeySource(options.fetch ?? fetchDocument, clock);

  async function sign(which: OwnIssuer, claims: Record<string, unknown>): Promise<IdentityToken & { jti: string }> {
    const now = clock.now();
    const issuedAt = Math.floor(now / 1000);
    const jti = newId('jti');
    const expiry = issuedAt + TOKEN_MS / 1000;
    const all = { ...claims, iss: ours(which), iat: issuedAt, nbf: issuedAt, exp: expiry, jti };
    const key = {
      keyId: publicJwk(signers[which].publicKey).kid,
      sign: (bytes: Uint8Array) => signers[which].sign(bytes),
    };
    return { token: await signJwt(all, key), expiresAt: expiry * 1000, jti };
  }

  /** Every check in its order; the first that fails ends it. */
  async function judge(text: string): Promise<{ checks: Check[]; believed?: BelievedToken }> {
    const checks: Check[] = [];
    const no = (name: string, code: string, expected: string, found: string) => {
      checks.push(failed(name, { code: `identity.${code}`, expected, found }));
      return { checks };
    };
    const jwt = parseJwt(text);
    checks.push(passed('token', `${jwt.algorithm}, key ${jwt.keyId ?? 'not named'}`));
    const { iss, sub } = jwt.claims;
    if (typeof iss !== 'string' || typeof sub !== 'string' || sub === '' || sub.length > 1024) {
      return no('issuer', 'token_claims', 'the claims iss and sub', 'none');
    }
    const own = ownIssuers.find((which) => ours(which) === iss);
    const trusted = own ? undefined : await store.findIssuer(db, iss);
    if (!own && !trusted) return no('issuer', 'issuer_unknown', 'an issuer that is trusted here', iss.slice(0, 300));
    checks.push(passed('issuer', iss));

    const keys = own ? parseJwks(keySets[own]) : undefined;
    const key = keys ? findKey(jwt, keys) : await external.find(trusted!, jwt);
    if (!key) return no('key', 'token_key', 'a key of the issuer', jwt.keyId ?? 'a token that names none');
    if (!verifyJwt(jwt, key)) return no('signature', 'token_signature', 'a signature of that key', 'another');
    checks.push(passed('signature'));

    const late = judgeTimes(jwt, clock.now(), trusted?.maxAgeSeconds ?? MAX_AGE_SECONDS_DEFAULT);
    if (late) return no('times', 'token_times', late.expected, late.found);
    checks.push(passed('times'));
    const base = {
      issuer: iss,
      subject: sub,
      claims: jwt.claims,
      id: jwt.id,
      expiresAt: Number(jwt.claims['exp']) * 1000,
    };

    if (own) {
      if (!isFor(jwt, SIGNING_AUDIENCE)) return no('audience', 'token_audience', SIGNING_AUDIENCE, audienceText(jwt));
      const found = await findIssued(own, jwt);
      if (!found.ok) return no('issued', 'token_not_issued', 'a token this server has issued', found.reason);
      checks.push(passed('audience'), passed('issued'));
      const kind = own === 'people' ? ('person' as const) : ('job' as const);
      return { checks, believed: { ...base, kind, issuerKind: undefined, rule: undefined } };
    }
    return judgeRules(checks, { ...base, kind: 'external', issuerKind: trusted!.kind, rule: undefined }, jwt);
  }

  async function judgeRules(checks: Check[], believed: BelievedToken, jwt: Jwt) {
    const rules = await store.rulesOf(db, believed.issuer);
    const tried: Check[] = [];
    for (const { generation, ...rule } of rules) {
      if (!isFor(jwt, rule.audience)) {
        const found = audienceText(jwt);
        tried.push(
          failed(`${rule.name}: audience`, { code: 'identity.token_audience', expected: rule.audience, found }),
        );
        continue;
      }
      const conditions = judgeRule(rule, jwt.claims);
      // At GitHub this event runs the target's workflow for a stranger's change: never believed, whatever a rule says.
      const unsafe = believed.issuerKind === 'github' && jwt.claims['event_name'] === 'pull_request_target';
      if (!unsafe && conditions.every((check) => check.status === 'passed')) {
        return { checks: [...checks, ...conditions], believed: { ...believed, rule: { name: rule.name, generation } } };
      }
      tried.push(...conditions.filter((check) => check.status !== 'passed'));
      if (unsafe) {
        tried.push(
          failed(`${rule.name}: event_name`, {
            code: 'identity.condition_failed',
            expected: 'an event that runs no code of strangers',
            found: 'pull_request_target',
          }),
        );
      }
    }
    const none = failed('rules', {
      code: 'identity.rule_none',
      expected: 'a trust rule that believes this token',
      found: rules.length === 0 ? 'no rule for its issuer' : `${rules.length} that do not`,
    });
    return { checks: [...checks, ...tried, none] };
  }

  /** Our own tokens have a fact each: a token made with a stolen key has none. */
  async function findIssued(which: OwnIssuer, { claims }: Jwt): Promise<{ ok: boolean; reason: string }> {
    const jti = claims['jti'];
    if (typeof jti !== 'string' || !/^jti_[a-z2-7]{20}$/.test(jti)) return { ok: false, reason: 'one without an id' };
    const type = which === 'people' ? facts.personTokenIssued.type : facts.jobTokenIssued.type;
    const [fact] = await journal.byStream(`oidc/${jti}`);
    if (fact?.type !== type) return { ok: false, reason: 'one that is not on record' };
    if (which === 'jobs') return { ok: true, reason: '' };
    const principal = await store.findPrincipal(db, { id: String(claims['sub']) });
    const alive = principal?.active === true && fact.actor.principal === principal.id;
    return { ok: alive, reason: 'one of somebody who may not act' };
  }

  return {
    url: ours,
    discovery: (which) => ({
      issuer: ours(which),
      jwks_uri: `${ours(which)}/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      scopes_supported: ['openid'],
      claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', ...(which === 'jobs' ? jobClaimNames : [])],
    }),
    keySet: (which) => keySets[which],

    async issuePersonToken(caller) {
      const { limits } = caller.credential;
      if (caller.kind !== 'person' || limits?.project !== undefined || limits?.permissions !== undefined) {
        throw notAPerson(caller.name);
      }
      const { jti, ...issued } = await sign('people', { sub: caller.principal, aud: SIGNING_AUDIENCE });
      await journal.record({
        fact: facts.personTokenIssued,
        stream: `oidc/${jti}`,
        actor: { principal: caller.principal, origin: caller.origin },
        expectSeq: 0,
        payload: { jti, audience: SIGNING_AUDIENCE, credential: caller.credential.id, expiresAt: issued.expiresAt },
      });
      return issued;
    },

    async issueJobToken(actor, { job, audience, claims }) {
      const said = parseWith(JobClaims, claims, 'identity.claims_invalid');
      const subject = jobSubject(said);
      const { jti, ...issued } = await sign('jobs', { ...said, sub: subject, aud: audience });
      await journal.record({
        fact: facts.jobTokenIssued,
        stream: `oidc/${jti}`,
        actor,
        expectSeq: 0,
        payload: {
          jti,
          audience,
          job,
          subject,
          claims: digestOf(canonicalJson(said)),
          expiresAt: issued.expiresAt,
        },
      });
      return issued;
    },

    async trustIssuer(caller, { issuer, kind, keys, maxAgeSeconds = MAX_AGE_SECONDS_DEFAULT }) {
      await engine.require(caller, 'identity:admin');
      requireOutside(issuer, publicUrl);
      // What cannot be read now would refuse every token later, when nobody looks.
      await external.load({ issuer, keys });
      await journal.record({
        fact: facts.issuerTrusted,
        stream: issuerStream(issuer),
        actor: { principal: caller.principal, origin: caller.origin },
        payload: { issuer, kind, keys, maxAgeSeconds },
      });
    },
    async dropIssuer(caller, issuer) {
      await engine.require(caller, 'identity:admin');
      if (!(await store.findIssuer(db, issuer))) throw notHere('issuer', issuer);
      await journal.record({
        fact: facts.issuerDropped,
        stream: issuerStream(issuer),
        actor: { principal: caller.principal, origin: caller.origin },
        payload: { issuer },
      });
    },
    async listIssuers(caller) {
      await engine.require(caller, 'identity:admin');
      return await store.listIssuers(db);
    },
    async setRule(caller, given) {
      await engine.require(caller, 'identity:admin');
      const rule = parseWith(TrustRule, given, 'identity.rule_invalid');
      const trusted = await store.findIssuer(db, rule.issuer);
      if (!trusted) throw notHere('issuer', rule.issuer);
      requireSafeRule(rule, trusted.kind);
      const generation = (await journal.byStream(`rule/${rule.name}`)).length + 1;
      await journal.record({
        fact: facts.ruleSet,
        stream: `rule/${rule.name}`,
        actor: { principal: caller.principal, origin: caller.origin },
        expectSeq: generation - 1,
        payload: { ...rule, generation },
      });
      return generation;
    },
    async dropRule(caller, name) {
      await engine.require(caller, 'identity:admin');
      if (!(await store.findRule(db, name))) throw notHere('rule', name);
      await journal.record({
        fact: facts.ruleDropped,
        stream: `rule/${name}`,
        actor: { principal: caller.principal, origin: caller.origin },
        payload: { name },
      });
    },
    async listRules(caller) {
      await engine.require(caller, 'identity:admin');
      return await store.listRules(db);
    },
    async explain(caller, token) {
      await engine.require(caller, 'identity:admin');
      const { checks, believed } = await judge(token);
      return { ok: believed !== undefined, checks };
    },
    async believe(token) {
      const { checks, believed } = await judge(token);
      if (!believed) throw refused(checks);
      return believed;
    },
    async accepted() {
      const own = ownIssuers.map((which) => ({ issuer: ours(which), audience: SIGNING_AUDIENCE, kind: which }));
      const issuers = new Map((await store.listIssuers(db)).map((one) => [one.issuer, one.kind]));
      const rules = await store.listRules(db);
      const outside = new Map(rules.map(({ issuer, audience }) => [`${issuer} ${audience}`, { issuer, audience }]));
      return [...own, ...[...outside.values()].map((one) => ({ ...one, kind: issuers.get(one.issuer) ?? 'generic' }))];
    },
  };
}

const jobClaimNames = Object.keys(JobClaims.shape);

async function openSigners(vault: Vault): Promise<Record<OwnIssuer, Signer>> {
  const open = async (which: OwnIssuer) => {
    const name = `identity.oidc-${which}`;
    await vault.createKey({ name, algorithm: 'p256', purpose: 'identity-tokens' });
    return await vault.signer(name);
  };
  return { people: await open('people'), jobs: await open('jobs') };
}

const renderJwk = ({ publicKey }: Signer) => ({ ...publicJwk(publicKey), use: 'sig', alg: 'ES256' });

function judgeTimes(
  { claims }: Jwt,
  now: number,
  maxAgeSeconds: number,
): { expected: string; found: string } | undefined {
  const { exp, iat, nbf } = claims;
  const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value > 0;
  if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf))) {
    return { expected: 'the claims exp and iat, in seconds', found: 'none, or something else' };
  }
  const seconds = now / 1000;
  const skew = SKEW_MS / 1000;
  if (exp + skew <= seconds) return { expected: 'a token that has not ended', found: `one that ended at ${exp}` };
  const start = Math.max(iat, nbf ?? 0);
  if (start - skew > seconds) return { expected: 'a token that is valid now', found: `one that begins at ${start}` };
  if (seconds - iat > maxAgeSeconds + skew) {
    return { expected: `a token at most ${maxAgeSeconds} seconds old`, found: `one issued at ${iat}` };
  }
  return undefined;
}

function isFor({ claims }: Jwt, audience: string): boolean {
  const { aud } = claims;
  return Array.isArray(aud) ? aud.length === 1 && aud[0] === audience : aud === audience;
}

const audienceText = ({ claims }: Jwt) => JSON.stringify(claims['aud'] ?? null).slice(0, 200);

const issuerStream = (issuer: string) => `issuer/${digestOf(issuer).slice('sha256:'.length)}`;

/** Nobody outside may speak in our name. */
function requireOutside(issuer: string, publicUrl: string): void {
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  const ours = new URL(publicUrl);
  if (url?.protocol === 'https:' && url.host !== ours.host && url.search === '' && url.hash === '' && !url.username)
    return;
  throw new Problem({
    code: 'identity.issuer_invalid',
    kind: 'invalid',
    message: `${issuer.slice(0, 300)} cannot be an outside issuer.`,
    hint: 'Give the https address that stands in its tokens as iss; addresses of this server are its own.',
  });
}

function refused(checks: readonly Check[]): Problem {
  // The last one: what single rules failed on is for those who write them.
  const last = checks.findLast((check) => check.status === 'failed');
  return new Problem({
    code: last?.code ?? 'identity.token_refused',
    kind: 'unauthenticated',
    message: `This identity token is not believed: ${last?.name ?? 'token'}.`,
    hint: `Have a new one issued for the audience ${SIGNING_AUDIENCE}; an owner sees more with: waybill trust rule check.`,
  });
}

const notAPerson = (name: string) =>
  new Problem({
    code: 'identity.not_a_person',
    kind: 'forbidden',
    message: `${name} cannot have an identity token with this credential.`,
    hint: 'Sign in as a person. A token that was narrowed to a project or to permissions does not speak for its owner.',
  });

const notHere = (what: string, name: string) =>
  new Problem({
    code: `identity.${what}_not_found`,
    kind: 'not_found',
    message: `There is no trusted ${what} ${name.slice(0, 200)}.`,
    hint: `List them with: waybill trust ${what} list.`,
  });
