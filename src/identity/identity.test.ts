import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Clock, Problem } from '#base';
import { createJournal } from '#journal';
import { openDatabase } from '#storage';
import { decide } from './decision.ts';
import {
  type Caller,
  consoleActor,
  createIdentity,
  generateToken,
  hasTokenShape,
  type Identity,
  identityModule,
  parseNetworks,
  permissions,
  roleNames,
  roles,
  systemCaller,
} from './index.ts';

const origin = { kind: 'http' as const, address: '127.0.0.1' };
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1nWTBcCF2g1ku6SxTRkRbGpLvDnNHKpOaKi0KHXVtZ dev@example.org';

async function withIdentity(
  run: (identity: Identity, clock: { ms: number }, owner: Caller) => Promise<void>,
  controls?: { authorization: boolean },
): Promise<void> {
  const db = await openDatabase({ path: ':memory:' });
  const time = { ms: 1_800_000_000_000 };
  const clock: Clock = { now: () => time.ms };
  const journal = await createJournal({ db, clock, modules: [identityModule] });
  const identity = createIdentity({
    journal,
    db,
    clock,
    pepper: Buffer.alloc(32, 7),
    ...(controls ? { controls } : {}),
  });
  try {
    const first = await identity.bootstrapOwner();
    assert.ok(first);
    const { token } = await identity.redeemEnrolment(first.enrolment, origin, 'access');
    const owner = await identity.authenticate(token, origin);
    assert.ok(owner);
    await run(identity, time, owner);
  } finally {
    await journal.close();
    await db.close();
  }
}

async function enrol(identity: Identity, enrolment: string): Promise<Caller> {
  const { token } = await identity.redeemEnrolment(enrolment, origin, 'access');
  const caller = await identity.authenticate(token, origin);
  assert.ok(caller);
  return caller;
}

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

test('a generated token carries a checksum that a look-alike fails', () => {
  const token = generateToken('access');
  assert.match(token, /^wbp_[0-9A-Za-z]{38}$/);
  assert.equal(hasTokenShape(token), true);
  assert.equal(hasTokenShape(token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')), false);
});

test('an enrolment link works once, ends by itself, and does not sign in by itself', async () => {
  await withIdentity(async (identity, time, owner) => {
    const { enrolment } = await identity.invitePerson(owner, { name: 'Kim', emails: ['kim@example.org'], grants: [] });
    assert.equal(await identity.authenticate(enrolment, origin), undefined);
    await identity.redeemEnrolment(enrolment, origin, 'access');
    await assert.rejects(identity.redeemEnrolment(enrolment, origin, 'access'), codeIs('identity.enrolment_invalid'));
    const late = await identity.inviteAgain(owner, 'Kim');
    time.ms += 16 * 60_000;
    await assert.rejects(
      identity.redeemEnrolment(late.enrolment, origin, 'access'),
      codeIs('identity.enrolment_invalid'),
    );
  });
});

test('two people racing for one enrolment link: exactly one gets in', async () => {
  await withIdentity(async (identity, _time, owner) => {
    const { enrolment } = await identity.invitePerson(owner, { name: 'Kim', emails: [], grants: [] });
    const results = await Promise.allSettled(
      [1, 2, 3].map(() => identity.redeemEnrolment(enrolment, origin, 'access')),
    );
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
  });
});

test('the owner is bootstrapped once; an unused first link is replaced, a used one never comes back', async () => {
  await withIdentity(async (identity) => {
    assert.equal(await identity.bootstrapOwner(), undefined);
  });
  const db = await openDatabase({ path: ':memory:' });
  const journal = await createJournal({ db, clock: { now: () => 1 }, modules: [identityModule] });
  const identity = createIdentity({ journal, db, clock: { now: () => 1 }, pepper: Buffer.alloc(32) });
  const first = await identity.bootstrapOwner();
  const second = await identity.bootstrapOwner();
  assert.ok(first && second);
  await assert.rejects(
    identity.redeemEnrolment(first.enrolment, origin, 'access'),
    codeIs('identity.enrolment_invalid'),
  );
  await identity.redeemEnrolment(second.enrolment, origin, 'access');
  await journal.close();
  await db.close();
});

test('a token ends: by time, by revocation, by network', async () => {
  await withIdentity(async (identity, time, owner) => {
    const short = await identity.issueToken(owner, { label: 'short', ttlMs: 60_000 });
    const local = await identity.issueToken(owner, { label: 'local', networks: ['10.0.0.0/8'] });
    const gone = await identity.issueToken(owner, { label: 'gone' });
    assert.ok(await identity.authenticate(short.token, origin));
    assert.equal(await identity.authenticate(local.token, origin), undefined);
    assert.ok(await identity.authenticate(local.token, { ...origin, address: '::ffff:10.1.2.3' }));
    await identity.revokeToken(owner, gone.id, 'lost');
    assert.equal(await identity.authenticate(gone.token, origin), undefined);
    time.ms += 60_001;
    assert.equal(await identity.authenticate(short.token, origin), undefined);
  });
});

test('a token cannot make a wider one', async () => {
  await withIdentity(async (identity, _time, owner) => {
    await identity.createProject(owner, 'acme');
    const narrow = await identity.issueToken(owner, {
      label: 'narrow',
      project: 'acme',
      permissions: ['project:read'],
    });
    const caller = await identity.authenticate(narrow.token, origin);
    assert.ok(caller);
    await assert.rejects(identity.createProject(caller, 'other'), codeIs('identity.forbidden'));
    await assert.rejects(
      identity.issueToken(caller, { label: 'wide', permissions: ['project:create'] }),
      codeIs('identity.token_too_wide'),
    );
  });
});

test('rights stay where they were given: another project is not reached, and an expired grant is none', async () => {
  await withIdentity(async (identity, time, owner) => {
    const acme = await identity.createProject(owner, 'acme');
    const other = await identity.createProject(owner, 'other');
    const expiresAt = time.ms + 1000;
    const { enrolment } = await identity.invitePerson(owner, {
      name: 'Kim',
      emails: [],
      grants: [{ role: 'developer', project: 'acme', expiresAt }],
    });
    const kim = await enrol(identity, enrolment);
    assert.equal((await identity.decide(kim, 'source:push', { project: acme.id })).allowed, true);
    assert.equal((await identity.decide(kim, 'source:push', { project: other.id })).allowed, false);
    assert.equal((await identity.decide(kim, 'source:push-protected', { project: acme.id })).allowed, false);
    time.ms += 1000;
    const late = await identity.decide(kim, 'source:push', { project: acme.id });
    assert.equal(late.allowed, false);
    assert.match(late.reasons.join('\n'), /expired/);
  });
});

test('a group gives its members its rights', async () => {
  await withIdentity(async (identity, _time, owner) => {
    const acme = await identity.createProject(owner, 'acme');
    const { principal, enrolment } = await identity.invitePerson(owner, { name: 'Kim', emails: [], grants: [] });
    const kim = await enrol(identity, enrolment);
    await identity.createGroup(owner, 'builders');
    await identity.grant(owner, { group: 'builders' }, { role: 'developer', project: 'acme' });
    assert.equal((await identity.decide(kim, 'source:push', { project: acme.id })).allowed, false);
    await identity.addMember(owner, 'builders', principal.id);
    assert.equal((await identity.decide(kim, 'source:push', { project: acme.id })).allowed, true);
  });
});

test('what belongs to no project is open to members of any, and to nobody else', async () => {
  await withIdentity(async (identity, _time, owner) => {
    await identity.createProject(owner, 'acme');
    const member = await identity.invitePerson(owner, {
      name: 'Kim',
      emails: [],
      grants: [{ role: 'reader', project: 'acme' }],
    });
    const stranger = await identity.invitePerson(owner, { name: 'Max', emails: [], grants: [] });
    await identity.requireAnywhere(await enrol(identity, member.enrolment), 'ledger:read');
    const max = await enrol(identity, stranger.enrolment);
    await assert.rejects(identity.requireAnywhere(max, 'ledger:read'), codeIs('identity.forbidden'));
  });
});

test('a runner may watch the ledger grow and read nothing of it', async () => {
  await withIdentity(async (identity, _time, owner) => {
    const { token } = await identity.createMachine(owner, { name: 'runner-1', grants: [{ role: 'runner' }] });
    const runner = await identity.authenticate(token, origin);
    assert.ok(runner);
    await identity.requireAnywhere(runner, 'ledger:watch');
    assert.equal((await identity.decide(runner, 'ledger:read')).allowed, false);
  });
});

test('nobody who can sign in may publish to a release repository, and with the engine off anybody could', async () => {
  for (const role of roleNames) assert.equal((roles[role] as readonly string[]).includes('artifact:publish'), false);
  await withIdentity(async (identity, _time, owner) => {
    assert.equal((await identity.decide(owner, 'artifact:publish')).allowed, false);
    assert.equal((await identity.decide(systemCaller('artifact'), 'artifact:publish')).allowed, true);
    assert.equal((await identity.decide(systemCaller('artifact'), 'instance:admin')).allowed, false);
  });
  await withIdentity(
    async (identity, _time, owner) => assert.equal((await identity.decide(owner, 'artifact:publish')).allowed, true),
    { authorization: false },
  );
});

test('a signing key belongs to one person, once, and its revocation is remembered', async () => {
  await withIdentity(async (identity, _time, owner) => {
    const key = await identity.enrolKey(owner, KEY, '');
    assert.equal(key.label, 'dev@example.org');
    await assert.rejects(identity.enrolKey(owner, KEY, ''), codeIs('identity.name_taken'));
    await identity.revokeKey(owner, key.fingerprint, 'lost');
    assert.notEqual((await identity.signingKey(key.fingerprint))?.revokedAt, null);
    for (const bad of ['', 'ssh-dss AAAA', 'ssh-ed25519 !!!!', KEY.replace('ssh-ed25519 ', 'ssh-rsa ')]) {
      await assert.rejects(identity.enrolKey(owner, bad, ''), codeIs('identity.ssh_key_invalid'));
    }
  });
});

test('only the owner invites, and only the owner makes owners', async () => {
  await withIdentity(async (identity, _time, owner) => {
    await identity.createProject(owner, 'acme');
    const { enrolment } = await identity.invitePerson(owner, {
      name: 'Max',
      emails: [],
      grants: [{ role: 'maintainer', project: 'acme' }],
    });
    const max = await enrol(identity, enrolment);
    await assert.rejects(
      identity.invitePerson(max, { name: 'Eve', emails: [], grants: [] }),
      codeIs('identity.forbidden'),
    );
    await identity.grant(max, { principal: max.principal }, { role: 'developer', project: 'acme' });
    await assert.rejects(
      identity.grant(max, { principal: max.principal }, { role: 'owner' }),
      codeIs('identity.forbidden'),
    );
    await assert.rejects(
      identity.grant(max, { principal: max.principal }, { role: 'owner', project: 'acme' }),
      codeIs('identity.forbidden'),
    );
  });
});

test('networks: prefixes, single addresses and mapped addresses match; rubbish is refused', () => {
  const admits = parseNetworks(['127.0.0.0/8', '::1', 'fd00::/8']);
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1', 'fd12::1'])
    assert.equal(admits(address), true, address);
  for (const address of ['128.0.0.1', '::2', 'fe80::1', undefined]) assert.equal(admits(address), false);
  assert.equal(parseNetworks([])('127.0.0.1'), false);
  for (const bad of ['127.0.0.1/33', '127.0.0/8', 'localhost', '::/129', '1.2.3.4/8/8']) {
    assert.throws(() => parseNetworks([bad]), codeIs('identity.network_invalid'));
  }
});

test('property: taking a grant away or narrowing a credential never allows more', () => {
  const grantArbitrary = fc.record({
    id: fc.constant('g'),
    role: fc.constantFrom(...roleNames),
    scope: fc.constantFrom('instance' as const, 'project' as const),
    project: fc.constantFrom('a', 'b', null),
    group: fc.constant(null),
    expiresAt: fc.constantFrom(null, 5, 50),
    networks: fc.constant([]),
  });
  const caller: Caller = {
    ...consoleActor,
    kind: 'person',
    name: 'x',
    credential: { type: 'access token', id: 'x' },
  };
  fc.assert(
    fc.property(
      fc.array(grantArbitrary, { maxLength: 6 }),
      fc.constantFrom(...permissions, 'no:such'),
      fc.constantFrom('a', 'b', undefined),
      fc.nat(5),
      fc.subarray([...permissions]),
      (grants, permission, project, drop, narrow) => {
        const scope = project === undefined ? {} : { project };
        const input = { caller, active: true, permission, scope, grants, now: 10, inNetworks: () => true };
        const full = decide(input).allowed;
        const fewer = decide({ ...input, grants: grants.filter((_grant, index) => index !== drop) }).allowed;
        const limited = { ...caller, credential: { ...caller.credential, limits: { permissions: narrow } } };
        const narrower = decide({ ...input, caller: limited }).allowed;
        const inactive = decide({ ...input, active: false }).allowed;
        return !inactive && (full || (!fewer && !narrower)) && (permission !== 'artifact:publish' || !full);
      },
    ),
    { numRuns: 500 },
  );
});

test('a narrowed token enrols no key, sees and ends no other token, and does not outlive itself in its children', async () => {
  await withIdentity(async (identity, time, owner) => {
    const invited = await identity.invitePerson(owner, { name: 'Kim', emails: [], grants: [] });
    const kim = await enrol(identity, invited.enrolment);
    const made = await identity.issueToken(kim, {
      label: 'ci',
      ttlMs: 60_000,
      permissions: ['artifact:read'],
      networks: ['127.0.0.0/8'],
    });
    const narrow = await identity.authenticate(made.token, origin);
    assert.ok(narrow);
    await assert.rejects(identity.enrolKey(narrow, KEY, 'mine'), codeIs('identity.credential_narrowed'));
    const { fingerprint } = await identity.enrolKey(kim, KEY, 'mine');
    await assert.rejects(identity.revokeKey(narrow, fingerprint, ''), codeIs('identity.forbidden'));
    await assert.rejects(identity.revokeToken(narrow, kim.credential.id, ''), codeIs('identity.forbidden'));
    assert.deepEqual(
      (await identity.listTokens(narrow)).map(({ id }) => id),
      [made.id],
    );
    const wider = { label: 'more', ttlMs: 90 * 24 * 3_600_000 };
    await assert.rejects(
      identity.issueToken(narrow, { ...wider, networks: ['0.0.0.0/0'] }),
      codeIs('identity.token_too_wide'),
    );
    const child = await identity.issueToken(narrow, wider);
    assert.equal(child.expiresAt, made.expiresAt);
    assert.equal(await identity.authenticate(child.token, { ...origin, address: '192.0.2.1' }), undefined);
    await identity.revokeToken(narrow, made.id, 'signed out');
    assert.equal(await identity.authenticate(made.token, origin), undefined);
  });
});

test('a job borrows the name of its runner, and none of what is the runner’s own', async () => {
  await withIdentity(async (identity, _time, owner) => {
    const { principal, token } = await identity.createMachine(owner, { name: 'runner-1', grants: [] });
    const runner = await identity.authenticate(token, origin);
    assert.ok(runner);
    const job: Caller = {
      kind: 'build',
      name: 'job',
      principal: principal.id,
      origin,
      credential: { type: 'job', id: 'job_1.1' },
    };
    assert.deepEqual(await identity.listTokens(job), []);
    await assert.rejects(identity.revokeToken(job, runner.credential.id, ''), codeIs('identity.forbidden'));
  });
});

test('a person’s name is never given a machine’s credential; what is given twice is given once; only what exists is revoked', async () => {
  await withIdentity(async (identity, _time, owner) => {
    const { principal } = await identity.invitePerson(owner, { name: 'local-runner', emails: [], grants: [] });
    await assert.rejects(
      identity.renewMachine(owner, { name: 'local-runner', grants: [] }),
      codeIs('identity.name_taken'),
    );
    await identity.createGroup(owner, 'devs');
    await identity.addMember(owner, 'devs', principal.id);
    await identity.addMember(owner, 'devs', 'local-runner');
    await assert.rejects(identity.revokeGrant(owner, 'grt_unknown'), codeIs('identity.grant_not_found'));
  });
});
