import { type Clock, newId, Problem } from '#base';
import type { Actor, Journal, Origin } from '#journal';
import type { Db } from '#storage';
import { createCredentials, type Credentials } from './credentials.ts';
import { actsInFull, type Caller } from './decision.ts';
import { allIdentityControls, createEngine, type Engine, type IdentityControls } from './engine.ts';
import * as facts from './facts.ts';
import type { Role } from './role.ts';
import { parseSshPublicKey } from './ssh-key.ts';
import * as store from './store.ts';

export interface GrantRequest {
  role: Role;
  /** Project slug; absent: the whole instance. */
  project?: string;
  networks?: readonly string[];
  expiresAt?: number;
  reason?: string;
}

export interface Identity extends Engine, Credentials {
  createProject(caller: Caller, slug: string): Promise<store.Project>;
  /** Without asking the engine: for code that asks about this very project next. `identity.project_not_found`. */
  requireProject(slug: string): Promise<store.Project>;
  findProjectById(id: string): Promise<store.Project | undefined>;
  /** Those the caller may read. */
  listProjects(caller: Caller): Promise<store.Project[]>;
  /** A new person and the one-use link that makes them able to sign in. */
  invitePerson(
    caller: Caller,
    person: { name: string; emails: readonly string[]; grants: readonly GrantRequest[] },
  ): Promise<{ principal: store.Principal; enrolment: string; expiresAt: number }>;
  /** A runner or an agent, with its credential. Shown once. */
  createMachine(
    caller: Caller,
    machine: { name: string; grants: readonly GrantRequest[]; networks?: readonly string[] },
  ): Promise<{ principal: store.Principal; token: string; expiresAt: number }>;
  /** The machine with that name, made if need be, and a fresh credential for it; the ones it had end. */
  renewMachine(
    caller: Caller,
    machine: { name: string; grants: readonly GrantRequest[]; networks?: readonly string[] },
  ): Promise<{ token: string; expiresAt: number }>;
  grant(caller: Caller, subject: { principal: string } | { group: string }, request: GrantRequest): Promise<string>;
  revokeGrant(caller: Caller, grant: string): Promise<void>;
  createGroup(caller: Caller, name: string): Promise<string>;
  addMember(caller: Caller, group: string, principal: string): Promise<void>;
  enrolKey(caller: Caller, publicKey: string, label: string): Promise<store.SigningKey>;
  revokeKey(caller: Caller, fingerprint: string, reason: string): Promise<void>;
  /** The key as enrolled, revoked or not; undefined if it never was. */
  signingKey(fingerprint: string): Promise<store.SigningKey | undefined>;
  keysOf(principal: string): Promise<store.SigningKey[]>;
  findPrincipal(id: string): Promise<store.Principal | undefined>;
  findPrincipalByName(name: string): Promise<store.Principal | undefined>;
  listPrincipals(caller: Caller): Promise<store.Principal[]>;
  /** First start: the owner and a one-use enrolment; afterwards undefined. No other account exists at any moment. */
  bootstrapOwner(): Promise<{ enrolment: string; expiresAt: number } | undefined>;
}

/** The actor behind first start and console recovery: whoever holds the data directory. */
export const consoleActor: Actor = { principal: 'console', origin: { kind: 'system', requestId: 'console' } };

const OWNER_NAME = 'owner';

export function createIdentity({
  journal,
  db,
  clock,
  pepper,
  controls: switched = {},
}: {
  journal: Journal;
  db: Db;
  clock: Clock;
  pepper: Uint8Array;
  controls?: Partial<IdentityControls>;
}): Identity {
  const controls = { ...allIdentityControls, ...switched };
  const engine = createEngine({ db, clock, controls });
  const credentials = createCredentials({ journal, db, clock, pepper, engine, controls });

  async function requireProject(slug: string): Promise<store.Project> {
    const project = await store.findProject(db, { slug });
    if (!project) throw notFound('project', slug);
    return project;
  }

  async function grantDraft(actor: Actor, subject: { kind: 'principal' | 'group'; id: string }, request: GrantRequest) {
    const project = request.project === undefined ? null : (await requireProject(request.project)).id;
    const grant = newId('grt');
    return {
      fact: facts.grantGiven,
      stream: `grant/${grant}`,
      actor,
      payload: {
        grant,
        subject,
        role: request.role,
        scope: project === null ? ('instance' as const) : ('project' as const),
        project,
        networks: [...(request.networks ?? [])],
        expiresAt: request.expiresAt ?? null,
        reason: request.reason ?? '',
      },
    };
  }

  function principalDraft(actor: Actor, kind: 'person' | 'machine', name: string, emails: readonly string[]) {
    const principal = newId('prn');
    return {
      fact: facts.principalCreated,
      stream: `principal/${principal}`,
      actor,
      payload: { principal, kind, name, emails: [...emails] },
    };
  }

  async function requireName(name: string): Promise<void> {
    if (await store.findPrincipal(db, { name })) throw taken('A person or machine', name);
  }

  /** Giving a right on one project needs project:admin there; anything wider needs identity:admin. */
  async function requireToGrant(caller: Caller, requests: readonly GrantRequest[]): Promise<void> {
    for (const request of requests) {
      const local = request.project !== undefined && request.role !== 'owner';
      if (local && request.project !== undefined) {
        const { id } = await requireProject(request.project);
        if ((await engine.decide(caller, 'project:admin', { project: id })).allowed) continue;
      }
      await engine.require(caller, 'identity:admin');
    }
  }

  return {
    ...engine,
    ...credentials,
    requireProject,
    findProjectById: (id) => store.findProject(db, { id }),
    async createProject(caller, slug) {
      await engine.require(caller, 'project:create');
      if (reservedSlugs.has(slug)) throw reserved(slug);
      if (await store.findProject(db, { slug })) throw taken('A project', slug);
      const project = newId('prj');
      await journal.record({
        fact: facts.projectCreated,
        stream: `project/${project}`,
        actor: actorOf(caller),
        payload: { project, slug },
      });
      return await requireProject(slug);
    },
    async listProjects(caller) {
      const visible: store.Project[] = [];
      for (const project of await store.listProjects(db)) {
        if ((await engine.decide(caller, 'project:read', { project: project.id })).allowed) visible.push(project);
      }
      return visible;
    },
    async invitePerson(caller, { name, emails, grants }) {
      await engine.require(caller, 'identity:admin');
      await requireToGrant(caller, grants);
      await requireName(name);
      const actor = actorOf(caller);
      const person = principalDraft(actor, 'person', name, emails);
      const id = person.payload.principal;
      const enrolment = credentials.enrolmentDraft(actor, id);
      const given = await Promise.all(grants.map((one) => grantDraft(actor, { kind: 'principal', id }, one)));
      await journal.recordAll([person, ...given, enrolment.draft]);
      return { principal: await requirePrincipal(db, id), enrolment: enrolment.token, expiresAt: enrolment.expiresAt };
    },
    async createMachine(caller, { name, grants, networks = [] }) {
      await engine.require(caller, 'identity:admin');
      await requireToGrant(caller, grants);
      await requireName(name);
      const actor = actorOf(caller);
      const machine = principalDraft(actor, 'machine', name, []);
      const id = machine.payload.principal;
      const issued = credentials.machineDraft(actor, id, networks);
      const given = await Promise.all(grants.map((one) => grantDraft(actor, { kind: 'principal', id }, one)));
      await journal.recordAll([machine, ...given, issued.draft]);
      return { principal: await requirePrincipal(db, id), token: issued.token, expiresAt: issued.expiresAt };
    },
    async renewMachine(caller, machine) {
      const known = await store.findPrincipal(db, { name: machine.name });
      if (!known) return await this.createMachine(caller, machine);
      await engine.require(caller, 'identity:admin');
      if (known.kind !== 'machine') throw taken('A person', machine.name);
      return await credentials.renewMachineToken(actorOf(caller), known.id, machine.networks ?? []);
    },
    async grant(caller, subject, request) {
      await requireToGrant(caller, [request]);
      const target =
        'principal' in subject
          ? { kind: 'principal' as const, id: (await requirePrincipal(db, subject.principal)).id }
          : { kind: 'group' as const, id: (await requireGroup(subject.group)).id };
      const draft = await grantDraft(actorOf(caller), target, request);
      await journal.record(draft);
      return draft.payload.grant;
    },
    async revokeGrant(caller, grant) {
      await engine.require(caller, 'identity:admin');
      if (!(await store.grantExists(db, grant))) throw notFound('grant', grant);
      await journal.record({
        fact: facts.grantRevoked,
        stream: `grant/${grant}`,
        actor: actorOf(caller),
        payload: { grant },
      });
    },
    async createGroup(caller, name) {
      await engine.require(caller, 'identity:admin');
      if (await store.findGroup(db, name)) throw taken('A group', name);
      const group = newId('grp');
      await journal.record({
        fact: facts.groupCreated,
        stream: `group/${group}`,
        actor: actorOf(caller),
        payload: { group, name },
      });
      return group;
    },
    async addMember(caller, group, principal) {
      await engine.require(caller, 'identity:admin');
      const { id } = await requireGroup(group);
      const member = await requirePrincipal(db, principal);
      if (await store.isMember(db, id, member.id)) return;
      await journal.record({
        fact: facts.memberAdded,
        stream: `group/${id}`,
        actor: actorOf(caller),
        payload: { group: id, principal: member.id },
      });
    },
    async enrolKey(caller, publicKey, label) {
      if (caller.kind !== 'person') await engine.require(caller, 'identity:admin');
      else if (!actsInFull(caller)) throw narrowedCredential(caller.credential.type);
      const key = parseSshPublicKey(publicKey);
      if (await store.findKey(db, key.fingerprint)) throw taken('The key', key.fingerprint);
      await journal.record({
        fact: facts.keyEnrolled,
        stream: `key/${streamSafe(key.fingerprint)}`,
        actor: actorOf(caller),
        expectSeq: 0,
        payload: {
          fingerprint: key.fingerprint,
          principal: caller.principal,
          keyType: key.type,
          publicKey: key.text,
          label: label || key.comment,
        },
      });
      return (await store.findKey(db, key.fingerprint))!;
    },
    async revokeKey(caller, fingerprint, reason) {
      const key = await store.findKey(db, fingerprint);
      if (!key) throw notFound('key', fingerprint);
      const isOwn = key.principal === caller.principal && actsInFull(caller);
      if (!isOwn) await engine.require(caller, 'identity:admin');
      if (key.revokedAt !== null) return;
      await journal.record({
        fact: facts.keyRevoked,
        stream: `key/${streamSafe(fingerprint)}`,
        actor: actorOf(caller),
        payload: { fingerprint, reason },
      });
    },
    signingKey: (fingerprint) => store.findKey(db, fingerprint),
    keysOf: (principal) => store.keysOf(db, principal),
    findPrincipal: (id) => store.findPrincipal(db, { id }),
    findPrincipalByName: (name) => store.findPrincipal(db, { name }),
    async listPrincipals(caller) {
      await engine.require(caller, 'identity:admin');
      return await store.listPrincipals(db);
    },
    async bootstrapOwner() {
      const existing = await store.findPrincipal(db, { name: OWNER_NAME });
      if (!existing && (await store.countOwners(db)) === 0) {
        const owner = principalDraft(consoleActor, 'person', OWNER_NAME, []);
        const id = owner.payload.principal;
        const enrolment = credentials.enrolmentDraft(consoleActor, id);
        const right = await grantDraft(
          consoleActor,
          { kind: 'principal', id },
          { role: 'owner', reason: 'first start' },
        );
        await journal.recordAll([owner, right, enrolment.draft]);
        return { enrolment: enrolment.token, expiresAt: enrolment.expiresAt };
      }
      if (!existing || (await credentials.hasEverEnrolled(existing.id))) return undefined;
      return await credentials.reissueEnrolment(consoleActor, existing.id);
    },
  };

  async function requireGroup(name: string) {
    const group = await store.findGroup(db, name);
    if (!group) throw notFound('group', name);
    return group;
  }
}

/** What of a caller enters a fact. */
export function actorOf(caller: Caller): Actor {
  return { principal: caller.principal, origin: caller.origin };
}

/** The console as a caller: it holds the data directory, so it can let an owner in again. */
export function consoleCaller(): Caller {
  return { ...consoleActor, kind: 'console', name: 'console', credential: { type: 'none', id: 'none' } };
}

/** The control plane as a caller: for workers, which pass through the same engine as everybody. */
export function systemCaller(worker: string): Caller {
  const origin: Origin = { kind: 'worker', requestId: worker };
  return { principal: 'system', kind: 'system', name: worker, origin, credential: { type: 'none', id: 'none' } };
}

async function requirePrincipal(db: Db, id: string): Promise<store.Principal> {
  const principal = (await store.findPrincipal(db, { id })) ?? (await store.findPrincipal(db, { name: id }));
  if (!principal) throw notFound('person or machine', id);
  return principal;
}

/** `SHA256:a+b/c` → characters a stream name may hold. */
export function streamSafe(fingerprint: string): string {
  return fingerprint.replaceAll('+', '-').replaceAll('/', '_');
}

/** First parts of addresses that the server itself answers; a project of that name could not be reached. */
const reservedSlugs: ReadonlySet<string> = new Set(
  (
    'api assessment attestations artifacts assets builders builds buildtypes enrol files healthz ledger logs oidc people ' +
    'problems projects promotions pushes readyz runs sign-in sign-out trace tuf verifier witness'
  ).split(' '),
);

const reserved = (slug: string) =>
  new Problem({
    code: 'identity.name_reserved',
    kind: 'invalid',
    message: `A project cannot be called ${slug}: the server itself answers at that address.`,
    hint: 'Choose another name.',
  });

const notFound = (what: string, name: string) =>
  new Problem({
    code: `identity.${what.split(' ')[0]}_not_found`,
    kind: 'not_found',
    message: `There is no ${what} named ${name.slice(0, 80)}, or you may not see it.`,
    hint: 'Check the spelling, or list what you can see.',
  });

const narrowedCredential = (type: string) =>
  new Problem({
    code: 'identity.credential_narrowed',
    kind: 'forbidden',
    message: `This ${type} was narrowed to a project or to permissions and cannot enrol a key for its owner.`,
    hint: 'Sign in as yourself and repeat it.',
  });

const taken = (what: string, name: string) =>
  new Problem({
    code: 'identity.name_taken',
    kind: 'conflict',
    message: `${what} named ${name.slice(0, 80)} exists already.`,
    hint: 'Choose another name, or use the one that exists.',
  });
