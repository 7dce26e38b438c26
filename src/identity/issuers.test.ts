import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Clock, Problem } from '#base';
import { createJournal, type Journal, systemActor } from '#journal';
import { type Db, openDatabase } from '#storage';
import { openVault, vaultModule } from '#vault';
import {
  type Caller,
  createIdentity,
  createIssuers,
  type Identity,
  identityModule,
  type Issuers,
  type JobClaims,
  type TrustRule,
} from './index.ts';
import { findKey, parseJwks, parseJwt, plainSignature, verifyJwt } from './oidc/jwt.ts';
import { globFits, judgeRule } from './oidc/rule.ts';

const origin = { kind: 'http' as const, address: '127.0.0.1' };
const PUBLIC_URL = 'https://waybill.example.com';
const GITHUB = 'https://token.actions.githubusercontent.com';
const NOW = 1_800_000_000_000;

let dir: string;
let db: Db;
let journal: Journal;
let identity: Identity;
let issuers: Issuers;
let owner: Caller;
const time = { ms: NOW };
const clock: Clock = { now: () => time.ms };
const served = new Map<string, unknown>();
const asked: string[] = [];

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = (key: KeyObject, more = {}) => ({ ...key.export({ format: 'jwk' }), ...more });

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'waybill-issuers-'));
  db = await openDatabase({ path: ':memory:' });
  journal = await createJournal({ db, clock, modules: [vaultModule, identityModule] });
  const vault = await openVault({ dir, db, journal });
  identity = createIdentity({ journal, db, clock, pepper: Buffer.alloc(32, 7) });
  issuers = await createIssuers({
    journal,
    db,
    vault,
    clock,
    publicUrl: PUBLIC_URL,
    engine: identity,
    fetch: async (url) => {
      asked.push(url);
      const document = served.get(url);
      if (document === undefined) throw new Problem({ code: 'test.gone', kind: 'unavailable', message: '', hint: '' });
      return document;
    },
  });
  const first = await identity.bootstrapOwner();
  const { token } = await identity.redeemEnrolment(first!.enrolment, origin, 'access');
  owner = (await identity.authenticate(token, origin))!;
  served.set(`${GITHUB}/.well-known/openid-configuration`, { issuer: GITHUB, jwks_uri: `${GITHUB}/keys` });
  served.set(`${GITHUB}/keys`, { keys: [jwk(pair.publicKey, { kid: 'one', use: 'sig', alg: 'ES256' })] });
  await issuers.trustIssuer(owner, { issuer: GITHUB, kind: 'github', keys: { from: 'discovery', ca: null } });
  await issuers.setRule(owner, RULE);
});
after(async () => {
  await journal.close();
  await db.close();
  await rm(dir, { recursive: true, force: true });
});

const RULE: TrustRule = {
  name: 'gh-release',
  issuer: GITHUB,
  audience: 'sigstore',
  when: {
    repository_id: { in: ['456789', '456790'] },
    job_workflow_ref: { glob: 'acme/ci/.github/workflows/publish.yml@refs/tags/v*' },
    ref: { equals: 'refs/heads/main' },
    sha: { present: true },
  },
};

const CLAIMS = {
  iss: GITHUB,
  aud: 'sigstore',
  sub: 'repo:acme/web:ref:refs/heads/main',
  repository_id: '456789',
  job_workflow_ref: 'acme/ci/.github/workflows/publish.yml@refs/tags/v3',
  ref: 'refs/heads/main',
  sha: 'c0'.repeat(20),
  event_name: 'push',
};
const times = () => ({ iat: Math.floor(time.ms / 1000) - 5, exp: Math.floor(time.ms / 1000) + 300 });
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function makeToken(claims = {}, header = {}, key = pair.privateKey): string {
  const signed = `${encode({ alg: 'ES256', kid: 'one', ...header })}.${encode({ ...CLAIMS, ...times(), ...claims })}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

const refusedWith = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

describe('our own issuers', () => {
  test('a person gets a token that verifies with the published keys and is believed while they are active', async () => {
    const { token, expiresAt } = await issuers.issuePersonToken(owner);
    const jwt = parseJwt(token);
    const key = findKey(jwt, parseJwks(issuers.keySet('people')));
    assert.ok(key && verifyJwt(jwt, key));
    assert.equal(jwt.claims['iss'], `${PUBLIC_URL}/oidc/people`);
    assert.ok(expiresAt - time.ms <= 300_000);
    const believed = await issuers.believe(token);
    assert.equal(believed.kind, 'person');
    assert.equal(believed.subject, owner.principal);
    assert.doesNotMatch(JSON.stringify(jwt.claims), /@/, 'no e-mail address leaves in a token');
  });

  test('a narrowed credential, a machine and an anonymous caller get none', async () => {
    const narrow = { ...owner, credential: { ...owner.credential, limits: { permissions: ['ledger:read'] } } };
    const machine: Caller = { ...owner, kind: 'machine' };
    const nobody: Caller = { ...owner, kind: 'anonymous' };
    for (const caller of [narrow, machine, nobody]) {
      await assert.rejects(issuers.issuePersonToken(caller), refusedWith('identity.not_a_person'));
    }
  });

  test('discovery names issuer, keys and one algorithm, and there is nothing for the control plane', () => {
    const document = issuers.discovery('jobs');
    assert.equal(document['issuer'], `${PUBLIC_URL}/oidc/jobs`);
    assert.equal(document['jwks_uri'], `${PUBLIC_URL}/oidc/jobs/jwks`);
    assert.ok(!('d' in issuers.keySet('jobs').keys[0]!), 'the private part stays in the vault');
    assert.notEqual(issuers.keySet('jobs').keys[0]!['kid'], issuers.keySet('people').keys[0]!['kid']);
  });

  const job: JobClaims = {
    repository: 'acme/web',
    repository_id: 'rep_1',
    repository_owner: 'acme',
    repository_owner_id: 'prj_1',
    repository_visibility: 'private',
    ref: 'refs/heads/main',
    ref_type: 'branch',
    sha: 'c0'.repeat(20),
    event_name: 'push',
    actor: 'kim',
    actor_id: 'prn_1',
    workflow: 'build',
    workflow_ref: 'acme/web/.github/workflows/build.yml@refs/heads/main',
    workflow_sha: 'c0'.repeat(20),
    job_workflow_ref: 'acme/web/.github/workflows/build.yml@refs/heads/main',
    job_workflow_sha: 'c0'.repeat(20),
    run_id: 'run_1',
    run_attempt: '1',
    runner_environment: 'platform-hosted',
  };

  test('a job token carries ids in its subject and is believed only for the audience of signing', async () => {
    const request = { job: 'job_1', claims: job };
    const ours = await issuers.issueJobToken(systemActor('build'), { ...request, audience: 'sigstore' });
    assert.equal((await issuers.believe(ours.token)).kind, 'job');
    assert.equal(parseJwt(ours.token).claims['sub'], 'repo:acme@prj_1/web@rep_1:ref:refs/heads/main');
    const vault = await issuers.issueJobToken(systemActor('build'), { ...request, audience: 'https://vault' });
    await assert.rejects(issuers.believe(vault.token), refusedWith('identity.token_audience'));
    const more = { ...job, iss: `${PUBLIC_URL}/oidc/control` };
    await assert.rejects(
      issuers.issueJobToken(systemActor('build'), { job: 'job_1', audience: 'sigstore', claims: more }),
      refusedWith('identity.claims_invalid'),
    );
  });

  test('a token signed with the right key but not on record is refused: the key was stolen', async () => {
    const before = (await journal.byStream('oidc/jti_aaaaaaaaaaaaaaaaaaaa')).length;
    assert.equal(before, 0);
    const { token } = await issuers.issuePersonToken(owner);
    const vault = await openVault({ dir, db, journal });
    const signer = await vault.signer('identity.oidc-people');
    const [head, body] = token.split('.') as [string, string];
    const forged = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), jti: 'jti_aaaaaaaaaaaaaaaaaaaa' };
    const signed = `${head}.${encode(forged)}`;
    const signature = plainSignature(await signer.sign(Buffer.from(signed))).toString('base64url');
    await assert.rejects(issuers.believe(`${signed}.${signature}`), refusedWith('identity.token_not_issued'));
  });

  test('tokens end, and are not believed before they begin', async () => {
    const { token } = await issuers.issuePersonToken(owner);
    time.ms += 5 * 60_000 + 31_000;
    await assert.rejects(issuers.believe(token), refusedWith('identity.token_times'));
    time.ms -= 20 * 60_000;
    await assert.rejects(issuers.believe(token), refusedWith('identity.token_times'));
    time.ms = NOW;
  });

  test('ECDSA signatures survive the change from DER whatever their length', () => {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (let count = 0; count < 300; count++) {
      const text = Buffer.from(String(count));
      const plain = plainSignature(sign('sha256', text, key.privateKey));
      const jwt = { ...parseJwt(makeToken()), signed: String(count), signature: plain };
      assert.ok(verifyJwt(jwt, { keyId: undefined, algorithms: ['ES256'], publicKey: key.publicKey }));
    }
  });
});

describe('outside issuers', () => {
  test('a token that a rule believes is believed, with rule and generation', async () => {
    const believed = await issuers.believe(makeToken());
    assert.equal(believed.kind, 'external');
    assert.equal(believed.rule?.name, 'gh-release');
  });

  const refusals: [string, () => string, string][] = [
    ['another issuer', () => makeToken({ iss: 'https://evil.example' }), 'identity.issuer_unknown'],
    ['the issuer with a slash', () => makeToken({ iss: `${GITHUB}/` }), 'identity.issuer_unknown'],
    ['the control issuer', () => makeToken({ iss: `${PUBLIC_URL}/oidc/control` }), 'identity.issuer_unknown'],
    [
      'our people issuer, signed by others',
      () => makeToken({ iss: `${PUBLIC_URL}/oidc/people` }),
      'identity.token_key',
    ],
    ['another key id', () => makeToken({}, { kid: 'two' }), 'identity.token_key'],
    [
      'a foreign key',
      () => makeToken({}, {}, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
      'identity.token_signature',
    ],
    ['an ended token', () => makeToken({ exp: NOW / 1000 - 31 }), 'identity.token_times'],
    ['a token of tomorrow', () => makeToken({ nbf: NOW / 1000 + 86_400 }), 'identity.token_times'],
    ['a token without an end', () => makeToken({ exp: undefined }), 'identity.token_times'],
    ['a token without a beginning', () => makeToken({ iat: undefined }), 'identity.token_times'],
    ['a token issued long ago', () => makeToken({ iat: NOW / 1000 - 3600 }), 'identity.token_times'],
    ['an end that is text', () => makeToken({ exp: String(NOW) }), 'identity.token_times'],
    ['another audience', () => makeToken({ aud: 'https://elsewhere' }), 'identity.rule_none'],
    ['two audiences', () => makeToken({ aud: ['sigstore', 'https://elsewhere'] }), 'identity.rule_none'],
    ['another repository', () => makeToken({ repository_id: '1' }), 'identity.rule_none'],
    ['an id of another type', () => makeToken({ repository_id: 456789 }), 'identity.rule_none'],
    ['another ref', () => makeToken({ ref: 'refs/heads/evil' }), 'identity.rule_none'],
    [
      'a workflow beside the glob',
      () => makeToken({ job_workflow_ref: 'acme/ci/.github/workflows/publish.yml@refs/tags/v1/x' }),
      'identity.rule_none',
    ],
    ['a missing claim', () => makeToken({ sha: '' }), 'identity.rule_none'],
    ['a run for a stranger', () => makeToken({ event_name: 'pull_request_target' }), 'identity.rule_none'],
    ['no subject', () => makeToken({ sub: '' }), 'identity.token_claims'],
    ['no signature', () => makeToken().replace(/[^.]*$/, ''), 'identity.token_malformed'],
    ['alg none', () => makeToken({}, { alg: 'none' }), 'identity.token_algorithm'],
    ['a critical header', () => makeToken({}, { crit: ['exp'] }), 'identity.token_algorithm'],
    ['a token of 17 kB', () => makeToken({ more: 'x'.repeat(16_500) }), 'identity.token_malformed'],
    [
      'one altered byte',
      () => makeToken().replace(/.(?=[^.]*\.[^.]*$)/, (c) => (c === 'A' ? 'B' : 'A')),
      'identity.token_signature',
    ],
  ];
  for (const [what, make, code] of refusals) {
    test(`refused: ${what}`, async () => {
      await assert.rejects(issuers.believe(make()), (error: unknown) => {
        assert.ok(Problem.is(error), String(error));
        // An altered byte may also break the JSON inside.
        assert.ok([code, 'identity.token_malformed'].includes(error.code) || error.code === code, error.code);
        return true;
      });
    });
  }

  test('a public key is no shared secret: HS256 with it is refused', async () => {
    const secret = pair.publicKey.export({ format: 'pem', type: 'spki' });
    const signed = `${encode({ alg: 'HS256', kid: 'one' })}.${encode({ ...CLAIMS, ...times() })}`;
    const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
    await assert.rejects(issuers.believe(token), refusedWith('identity.token_algorithm'));
  });

  test('who may write rules sees which condition failed; nobody else does', async () => {
    const { ok, checks } = await issuers.explain(owner, makeToken({ ref: 'refs/heads/dev' }));
    assert.equal(ok, false);
    const failed = checks.find((check) => check.name === 'gh-release: ref');
    assert.equal(failed?.found, '"refs/heads/dev"');
    await assert.rejects(issuers.believe(makeToken({ ref: 'refs/heads/dev' })), (error: unknown) => {
      return Problem.is(error) && !JSON.stringify(error).includes('refs/heads/main');
    });
    const nobody: Caller = { ...owner, kind: 'anonymous' };
    await assert.rejects(issuers.explain(nobody, makeToken()), refusedWith('identity.unauthenticated'));
  });

  test('new keys are found, and nonsense does not make us ask again and again', async () => {
    const next = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    served.set(`${GITHUB}/keys`, {
      keys: [jwk(pair.publicKey, { kid: 'one' }), jwk(next.publicKey, { kid: 'two' }), { kty: 'oct', k: 'c2VjcmV0' }],
    });
    time.ms += 60_000;
    assert.equal((await issuers.believe(makeToken({}, { kid: 'two' }, next.privateKey))).kind, 'external');
    const count = asked.length;
    for (let tries = 0; tries < 5; tries++) {
      await assert.rejects(issuers.believe(makeToken({}, { kid: `x${tries}` })), refusedWith('identity.token_key'));
    }
    assert.equal(asked.length, count);
    time.ms = NOW;
  });

  test('an issuer that cannot be read, that is another one, or that is ourselves is not taken', async () => {
    const keys = { from: 'discovery' as const, ca: null };
    const trust = (issuer: string) => issuers.trustIssuer(owner, { issuer, kind: 'generic', keys });
    await assert.rejects(trust('https://gone.example'), refusedWith('test.gone'));
    served.set('https://other.example/.well-known/openid-configuration', {
      issuer: GITHUB,
      jwks_uri: `${GITHUB}/keys`,
    });
    await assert.rejects(trust('https://other.example'), refusedWith('identity.issuer_unreachable'));
    for (const issuer of [`${PUBLIC_URL}/oidc/control`, PUBLIC_URL, 'http://plain.example', 'nonsense']) {
      await assert.rejects(trust(issuer), refusedWith('identity.issuer_invalid'));
    }
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    await assert.rejects(
      issuers.trustIssuer(owner, {
        issuer: 'https://w.example',
        kind: 'generic',
        keys: { from: 'inline', keys: [jwk(weak) as never] },
      }),
      refusedWith('identity.keys_malformed'),
    );
  });
});

describe('trust rules', () => {
  const set = (change: Partial<TrustRule>) => issuers.setRule(owner, { ...RULE, name: 'draft', ...change });
  const unsafe: [string, Partial<TrustRule>][] = [
    ['without an immutable id', { when: { repository: { equals: 'acme/web' } } }],
    ['with only a glob on the subject', { when: { sub: { glob: 'repo:acme/*' } } }],
    ['with an immutable id that is only present', { when: { repository_id: { present: true } } }],
    ['with an immutable id that is a glob', { when: { repository_id: { glob: '4*' } } }],
    ['with a bare star', { when: { ...RULE.when, ref: { glob: '*' } } }],
    ['with stars and slashes only', { when: { ...RULE.when, ref: { glob: '*/*' } } }],
    ['with two stars in a row', { when: { ...RULE.when, ref: { glob: 'refs/**' } } }],
    [
      'that believes pull_request_target',
      { when: { ...RULE.when, event_name: { in: ['push', 'pull_request_target'] } } },
    ],
    ['with a condition on the issuer', { when: { ...RULE.when, iss: { equals: GITHUB } } }],
    ['with a condition on the audience', { when: { ...RULE.when, aud: { equals: 'sigstore' } } }],
    ['with no condition', { when: {} }],
  ];
  for (const [what, change] of unsafe) {
    test(`refused: a rule ${what}`, async () => {
      await assert.rejects(set(change), refusedWith('identity.rule_unsafe'));
    });
  }

  test('refused: a rule without an audience, for an unknown issuer, or with an unknown operator', async () => {
    await assert.rejects(set({ audience: '' }), refusedWith('identity.rule_invalid'));
    await assert.rejects(set({ issuer: 'https://unknown.example' }), refusedWith('identity.issuer_not_found'));
    await assert.rejects(set({ when: { ref: { regex: '.*' } } as never }), refusedWith('identity.rule_invalid'));
  });

  test('GitLab rules demand a protected ref, as the string that GitLab sends', async () => {
    const keys = { from: 'inline' as const, keys: [jwk(pair.publicKey) as never] };
    await issuers.trustIssuer(owner, { issuer: 'https://gitlab.example', kind: 'gitlab', keys });
    const rule = { name: 'gl', issuer: 'https://gitlab.example', audience: 'sigstore' };
    const when = { project_id: { equals: '7' } };
    await assert.rejects(issuers.setRule(owner, { ...rule, when }), refusedWith('identity.rule_unsafe'));
    const asBoolean = { ...when, ref_protected: { equals: true } };
    await assert.rejects(issuers.setRule(owner, { ...rule, when: asBoolean }), refusedWith('identity.rule_unsafe'));
    assert.equal(await issuers.setRule(owner, { ...rule, when: { ...when, ref_protected: { equals: 'true' } } }), 1);
  });

  test('a rule is replaced as a whole and dropped, and its generations count on', async () => {
    assert.equal(await set({ when: { repository_id: { equals: '1' }, ref: { equals: 'a' } } }), 1);
    assert.equal(await set({ when: { repository_id: { equals: '1' } } }), 2);
    const [draft] = (await issuers.listRules(owner)).filter(({ name }) => name === 'draft');
    assert.deepEqual(Object.keys(draft!.when), ['repository_id'], 'no stale condition is left');
    await issuers.dropRule(owner, 'draft');
    assert.equal(await set({ when: { repository_id: { equals: '1' } } }), 4);
    await issuers.dropRule(owner, 'draft');
  });

  test('only who administers identities writes rules', async () => {
    const nobody: Caller = { ...owner, kind: 'anonymous' };
    await assert.rejects(issuers.setRule(nobody, RULE), refusedWith('identity.unauthenticated'));
    await assert.rejects(issuers.dropIssuer(nobody, GITHUB), refusedWith('identity.unauthenticated'));
  });

  test('a star takes one or more characters and no slash', () => {
    const cases: [string, string, boolean][] = [
      ['v*', 'v1', true],
      ['v*', 'v', false],
      ['a*/b', 'ax/b', true],
      ['a*/b', 'ax/y/b', false],
      ['a*b*c', 'a1b2c', true],
      ['a*b*c', 'abc', false],
      ['a*a', 'aa', false],
      ['*-x', 'y-x', true],
      ['x', 'x', true],
      ['x', 'xy', false],
    ];
    for (const [glob, text, fits] of cases) assert.equal(globFits(glob, text), fits, `${glob} ${text}`);
  });

  test('a glob says the same as the regular expression it stands for', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.'), maxLength: 8 });
    const glob = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '.'), maxLength: 6 });
    fc.assert(
      fc.property(
        glob.filter((one) => !one.includes('**')),
        text,
        (pattern, value) => {
          const source = pattern
            .split('*')
            .map((part) => part.replaceAll('.', '\\.'))
            .join('[^/]+');
          assert.equal(globFits(pattern, value), new RegExp(`^${source}$`).test(value));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a pointer reaches into claims and never into what every object has', () => {
    const claims = { 'kubernetes.io': { namespace: 'prod', serviceaccount: { uid: 'u1' } } };
    const when = {
      '/kubernetes.io/serviceaccount/uid': { equals: 'u1' },
      '/kubernetes.io/namespace': { in: ['prod'] },
    };
    assert.ok(judgeRule({ ...RULE, when }, claims).every((check) => check.status === 'passed'));
    const reach = { constructor: { present: true as const }, '/__proto__/toString': { present: true as const } };
    assert.ok(judgeRule({ ...RULE, when: reach }, {}).every((check) => check.status === 'failed'));
  });
});

test('no text makes the token parser do anything but refuse', () => {
  const part = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
      try {
        parseJwt(parts.join('.'));
      } catch (error) {
        assert.ok(Problem.is(error), String(error));
      }
    }),
    { numRuns: 500 },
  );
});
