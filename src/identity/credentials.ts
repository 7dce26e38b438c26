import { type Clock, newId, Problem } from '#base';
import type { Actor, Draft, Journal, Origin } from '#journal';
import type { Db } from '#storage';
import { actsInFull, type Caller } from './decision.ts';
import type { Engine, IdentityControls } from './engine.ts';
import * as facts from './facts.ts';
import { parseNetworks } from './network.ts';
import { isPermission, type Permission } from './role.ts';
import * as store from './store.ts';
import { generateToken, hasTokenShape, hashToken, type TokenPurpose } from './token.ts';

/** A token as it may be shown: never the secret itself. */
export interface TokenView {
  id: string;
  purpose: TokenPurpose;
  label: string;
  createdAt: number;
  expiresAt: number;
  lastUsedAt: number | null;
  lastAddress: string | null;
}

export interface IssuedToken {
  /** The secret; shown once, stored nowhere. */
  token: string;
  id: string;
  expiresAt: number;
}

export interface Credentials {
  /** Token → who it is, or undefined if it is unknown, expired, ended, of a disabled principal or used from a foreign network. */
  authenticate(token: string, origin: Origin): Promise<Caller | undefined>;
  /** One use: the enrolment ends, the person gets a short-lived token (`access`) or a browser session (`session`). */
  redeemEnrolment(
    token: string,
    origin: Origin,
    purpose: 'access' | 'session',
  ): Promise<IssuedToken & { principal: string }>;
  /** A narrower token for the caller itself. It never holds more than the caller. */
  issueToken(
    caller: Caller,
    request: {
      label: string;
      ttlMs?: number;
      project?: string;
      permissions?: readonly string[];
      networks?: readonly string[];
    },
  ): Promise<IssuedToken>;
  listTokens(caller: Caller): Promise<TokenView[]>;
  revokeToken(caller: Caller, id: string, reason: string): Promise<void>;
  /** A new one-use link for somebody who exists; earlier open links end. */
  reissueEnrolment(actor: Actor, principal: string): Promise<{ enrolment: string; expiresAt: number }>;
  renewMachineToken(actor: Actor, principal: string, networks: readonly string[]): Promise<IssuedToken>;
  inviteAgain(caller: Caller, principal: string): Promise<{ enrolment: string; expiresAt: number }>;
  hasEverEnrolled(principal: string): Promise<boolean>;
  enrolmentDraft(actor: Actor, principal: string): IssuedToken & { draft: Draft };
  machineDraft(actor: Actor, principal: string, networks: readonly string[]): IssuedToken & { draft: Draft };
}

const HOUR_MS = 3_600_000;
const lifetimes = {
  enrolment: HOUR_MS / 4,
  access: 12 * HOUR_MS,
  session: 12 * HOUR_MS,
  machine: 90 * 24 * HOUR_MS,
} as const;
/** A token a person makes for a script. There is no "never". */
const TOKEN_MS_MAX = 90 * 24 * HOUR_MS;
/** How often the last use of one token is written down; it is scratch and need not be exact. */
const USE_NOTED_EVERY_MS = 60_000;

export function createCredentials({
  journal,
  db,
  clock,
  pepper,
  engine,
  controls,
}: {
  journal: Journal;
  db: Db;
  clock: Clock;
  pepper: Uint8Array;
  engine: Engine;
  controls: IdentityControls;
}): Credentials {
  const noted = new Map<string, number>();

  function draftToken(
    actor: Actor,
    principal: string,
    purpose: 'access' | 'machine' | 'enrolment' | 'session',
    options: {
      label: string;
      ttlMs?: number;
      networks?: readonly string[];
      project?: string | null;
      permissions?: Permission[] | null;
    },
  ): IssuedToken & { draft: Draft } {
    const token = generateToken(purpose);
    const id = newId('tok');
    const expiresAt = clock.now() + (options.ttlMs ?? lifetimes[purpose]);
    const draft: Draft = {
      fact: facts.tokenIssued,
      stream: `token/${id}`,
      actor,
      payload: {
        token: id,
        principal,
        purpose,
        hash: hashToken(pepper, token),
        label: options.label,
        expiresAt,
        networks: [...(options.networks ?? [])],
        limits: { project: options.project ?? null, permissions: options.permissions ?? null },
      },
    };
    return { token, id, expiresAt, draft };
  }

  function noteUse(id: string, address: string | undefined): void {
    const now = clock.now();
    if (now - (noted.get(id) ?? 0) < USE_NOTED_EVERY_MS) return;
    noted.set(id, now);
    // Scratch: losing it changes no verdict, so nobody waits for it.
    store.noteUse(db, id, now, address).catch(() => undefined);
  }

  async function liveRow(token: string): Promise<store.TokenRow | undefined> {
    if (!hasTokenShape(token)) return undefined;
    const row = await store.findToken(db, { hash: hashToken(pepper, token) });
    if (!row) return undefined;
    const isOpen = row.ended_at === null || (row.purpose === 'enrolment' && !controls.enrolmentOnce);
    return isOpen && (row.expires_at > clock.now() || !controls.tokenExpiry) ? row : undefined;
  }

  /** One credential of a purpose at a time: issuing the next ends the ones before, in one transaction. */
  async function replaceTokens(
    actor: Actor,
    principal: string,
    issued: IssuedToken & { draft: Draft },
    purpose: TokenPurpose,
  ): Promise<IssuedToken> {
    const open = (await store.liveTokens(db, principal, clock.now())).filter((row) => row.purpose === purpose);
    const ended = open.map((row): Draft => ({
      fact: facts.tokenRevoked,
      stream: `token/${row.id}`,
      actor,
      payload: { token: row.id, reason: 'replaced by a newer one' },
    }));
    await journal.recordAll([...ended, issued.draft]);
    return { token: issued.token, id: issued.id, expiresAt: issued.expiresAt };
  }

  async function reissueEnrolment(actor: Actor, principal: string) {
    const issued = draftToken(actor, principal, 'enrolment', { label: 'enrolment' });
    const { token, expiresAt } = await replaceTokens(actor, principal, issued, 'enrolment');
    return { enrolment: token, expiresAt };
  }

  return {
    enrolmentDraft: (actor, principal) => draftToken(actor, principal, 'enrolment', { label: 'enrolment' }),
    machineDraft: (actor, principal, networks) =>
      draftToken(actor, principal, 'machine', { label: 'machine credential', networks }),
    reissueEnrolment,
    renewMachineToken: (actor, principal, networks) =>
      replaceTokens(
        actor,
        principal,
        draftToken(actor, principal, 'machine', { label: 'machine credential', networks }),
        'machine',
      ),

    async authenticate(token, origin) {
      const row = await liveRow(token);
      if (!row || row.purpose === 'enrolment' || row.purpose === 'job') return undefined;
      const networks = JSON.parse(row.networks) as string[];
      const isHere = networks.length === 0 || parseNetworks(networks)(origin.address);
      if (!isHere && controls.tokenNetworks) return undefined;
      const principal = await store.findPrincipal(db, { id: row.principal_id });
      if (!principal?.active) return undefined;
      noteUse(row.id, origin.address);
      return {
        principal: principal.id,
        origin,
        kind: principal.kind,
        name: principal.name,
        credential: { type: `${row.purpose} token`, id: row.id, limits: store.limitsOf(row) },
      };
    },

    async redeemEnrolment(token, origin, purpose) {
      const row = await liveRow(token);
      if (row?.purpose !== 'enrolment') throw badEnrolment();
      const principal = await store.findPrincipal(db, { id: row.principal_id });
      if (!principal?.active) throw badEnrolment();
      const actor: Actor = { principal: principal.id, origin };
      const issued = draftToken(actor, principal.id, purpose, { label: purpose === 'session' ? 'browser' : 'sign-in' });
      const redeemed: Draft = {
        fact: facts.enrolmentRedeemed,
        stream: `token/${row.id}`,
        actor,
        payload: { token: row.id, principal: principal.id },
      };
      await journal.recordAll([redeemed, issued.draft], async (tx) => {
        if (controls.enrolmentOnce && !(await store.tokenIsLive(tx, row.id))) throw badEnrolment();
      });
      return { token: issued.token, id: issued.id, expiresAt: issued.expiresAt, principal: principal.id };
    },

    async issueToken(caller, { label, ttlMs, project, permissions, networks }) {
      if (caller.kind !== 'person') await engine.require(caller, 'identity:admin');
      const parent = await store.findToken(db, { id: caller.credential.id });
      const bound = parent === undefined ? [] : (JSON.parse(parent.networks) as string[]);
      if (ttlMs !== undefined && (ttlMs <= 0 || ttlMs > TOKEN_MS_MAX)) throw badLifetime();
      const own = caller.credential.limits;
      const wanted = permissions?.filter(isPermission) ?? own?.permissions?.filter(isPermission) ?? null;
      if (permissions && wanted?.length !== permissions.length) throw unknownPermission(permissions);
      const scope = project === undefined ? own?.project : (await requireProject(project)).id;
      const widened =
        (own?.project !== undefined && scope !== own.project) ||
        (own?.permissions !== undefined && wanted?.some((one) => !own.permissions?.includes(one)) !== false);
      const elsewhere = bound.length > 0 && networks?.every((one) => bound.includes(one)) === false;
      if (widened || elsewhere) throw tooWide();
      // A token that was narrowed does not outlive itself in the ones it makes.
      const narrowed = !actsInFull(caller) || bound.length > 0;
      const left = narrowed && parent ? parent.expires_at - clock.now() : TOKEN_MS_MAX;
      const issued = draftToken({ principal: caller.principal, origin: caller.origin }, caller.principal, 'access', {
        label,
        networks: networks && networks.length > 0 ? networks : bound,
        project: scope ?? null,
        permissions: wanted,
        ttlMs: Math.min(ttlMs ?? lifetimes.access, left),
      });
      await journal.record(issued.draft);
      return { token: issued.token, id: issued.id, expiresAt: issued.expiresAt };
    },

    async listTokens(caller) {
      const uses = await store.lastUses(db);
      const rows = await store.liveTokens(db, caller.principal, clock.now());
      return rows
        .filter(({ id }) => actsInFull(caller) || id === caller.credential.id)
        .map((row) => ({
          id: row.id,
          purpose: row.purpose,
          label: row.label,
          createdAt: row.created_at,
          expiresAt: row.expires_at,
          lastUsedAt: uses.get(row.id)?.at ?? null,
          lastAddress: uses.get(row.id)?.address ?? null,
        }));
    },

    async revokeToken(caller, id, reason) {
      const row = await store.findToken(db, { id });
      const isOwn = row?.principal_id === caller.principal && actsInFull(caller);
      if (!isOwn && id !== caller.credential.id) await engine.require(caller, 'identity:admin');
      if (!row) throw noToken(id);
      if (row.ended_at !== null) return;
      await journal.record({
        fact: facts.tokenRevoked,
        stream: `token/${id}`,
        actor: { principal: caller.principal, origin: caller.origin },
        payload: { token: id, reason },
      });
    },

    async inviteAgain(caller, principal) {
      await engine.require(caller, 'identity:admin');
      const found =
        (await store.findPrincipal(db, { id: principal })) ?? (await store.findPrincipal(db, { name: principal }));
      if (!found || found.kind !== 'person') throw noToken(principal);
      return await reissueEnrolment({ principal: caller.principal, origin: caller.origin }, found.id);
    },

    async hasEverEnrolled(principal) {
      const redeemed = await journal.read({ types: [facts.enrolmentRedeemed.type], principal, limit: 1 });
      return redeemed.length > 0;
    },
  };

  async function requireProject(slug: string): Promise<store.Project> {
    const project = await store.findProject(db, { slug });
    if (!project) throw noToken(slug);
    return project;
  }
}

const badEnrolment = () =>
  new Problem({
    code: 'identity.enrolment_invalid',
    kind: 'unauthenticated',
    message: 'This enrolment link is not valid: it was used, replaced, or has expired.',
    hint: 'Ask an owner for a new link. The first owner gets one with: waybill server recover-access.',
  });

const badLifetime = () =>
  new Problem({
    code: 'identity.lifetime_invalid',
    kind: 'invalid',
    message: 'A token lives at least a moment and at most 90 days.',
    hint: 'Ask for a shorter lifetime. There are no tokens without an end.',
  });

const tooWide = () =>
  new Problem({
    code: 'identity.token_too_wide',
    kind: 'forbidden',
    message: 'A token cannot make one that may do more than itself.',
    hint: 'Sign in again, or ask for fewer permissions.',
  });

const unknownPermission = (asked: readonly string[]) =>
  new Problem({
    code: 'identity.permission_unknown',
    kind: 'invalid',
    message: `Not all of these are permissions: ${asked.join(', ').slice(0, 200)}.`,
    hint: 'See docs/reference/permissions.md for the list.',
  });

const noToken = (id: string) =>
  new Problem({
    code: 'identity.not_found',
    kind: 'not_found',
    message: `There is nothing named ${id.slice(0, 80)} here.`,
    hint: 'Check the spelling.',
  });
