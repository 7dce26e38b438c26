// Signing on the command line: as a person, from another CI with its own issuer, and what is refused.
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { runCli } from '#cli';
import { identityContract } from '#identity';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
let directory: string;
let env: Record<string, string>;
const path = (name: string) => join(directory, name);

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-sign-'));
  server = await startTestServer();
  env = { WAYBILL_HOME: path('home') };
  writeFileSync(path('ca.pem'), server.ca);
  const { link } = await server.owner.call(identityContract.invitePerson, {
    body: { name: 'ada', emails: [], grants: [{ role: 'owner' }] },
  });
  assert.equal((await waybill(['login', '--ca', path('ca.pem')], `${link}\n`)).status, 0);
  assert.equal((await waybill(['trust', 'root', '--out', path('root.json')])).status, 0);
});
after(async () => {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function waybill(words: readonly string[], stdin = '') {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const status = await runCli([...words], {
    terminal: { stdin: Readable.from([stdin]), stdout, stderr, env },
    signal: new AbortController().signal,
    onSignal: () => undefined,
    decided: () => undefined,
  });
  const textOf = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

async function signed(words: readonly string[]) {
  const left = await waybill([...words, '--json']);
  assert.equal(left.status, 0, left.stderr + left.stdout);
  return JSON.parse(left.stdout) as { bundle: string; signer: { san: string; issuer: string } };
}

const verify = (file: string, identity: string, issuer: string, more: readonly string[] = []) =>
  waybill(['verify', file, '--trusted-root', path('root.json'), '--identity', identity, '--issuer', issuer, ...more]);

test('a person signs a file, and anybody verifies it offline by the name of the signer', async () => {
  writeFileSync(path('notes.txt'), 'what I say');
  for (const format of ['rekor1', 'rekor2']) {
    const { signer } = await signed(['sign', path('notes.txt'), '--format', format]);
    assert.equal(signer.issuer, `${server.url}/oidc/people`);
    assert.equal((await verify(path('notes.txt'), signer.san, signer.issuer)).status, 0);
    assert.equal((await verify(path('notes.txt'), `${server.url}/people/eve`, signer.issuer)).status, 3);
    assert.equal((await verify(path('notes.txt'), signer.san, `${server.url}/oidc/control`)).status, 3);
  }
  writeFileSync(path('altered.txt'), 'what I never said');
  const { signer } = await signed(['sign', path('notes.txt')]);
  const bundle = ['--bundle', path('notes.txt.sigstore.json')];
  assert.equal((await verify(path('altered.txt'), signer.san, signer.issuer, bundle)).status, 3);
});

test('a claim about a file is signed, says who made it, and is written to stdout unless told otherwise', async () => {
  writeFileSync(path('results.json'), JSON.stringify({ result: 'PASSED', configuration: [] }));
  const type = 'https://in-toto.io/attestation/test-result/v0.1';
  const words = [
    'attest',
    'create',
    '--predicate',
    path('results.json'),
    '--type',
    type,
    '--subject',
    path('notes.txt'),
  ];
  const { signer } = await signed([...words, '--out', path('test.json')]);
  const bundle = ['--bundle', path('test.json'), '--predicate-type', type];
  assert.equal((await verify(path('notes.txt'), signer.san, signer.issuer, bundle)).status, 0);
  const left = await waybill(words);
  assert.equal(left.status, 0, left.stderr);
  assert.match(left.stdout, /^\{"mediaType":"application\/vnd\.dev\.sigstore\.bundle\.v0\.3\+json"/);
});

test('a job of another CI signs with its own token, below the name that its issuer gives it', async () => {
  const ci = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = 'https://ci.example.org';
  writeFileSync(path('jwks.json'), JSON.stringify({ keys: [{ ...ci.publicKey.export({ format: 'jwk' }), kid: 'a' }] }));
  const added = await waybill(['trust', 'issuer', 'add', issuer, '--kind', 'generic', '--keys', path('jwks.json')]);
  assert.equal(added.status, 0, added.stderr);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const makeToken = (sub: string) => {
    const now = Math.floor(Date.now() / 1000);
    const body = encode({ iss: issuer, aud: 'sigstore', sub, iat: now, exp: now + 300 });
    const text = `${encode({ alg: 'ES256', kid: 'a' })}.${body}`;
    const signature = sign('sha256', Buffer.from(text), { key: ci.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  };
  writeFileSync(path('token'), `${makeToken('job/release')}\n`);
  const words = [
    'sign',
    path('notes.txt'),
    '--server',
    server.url,
    '--ca',
    path('ca.pem'),
    '--identity-token',
    path('token'),
  ];
  const kept = env;
  env = { WAYBILL_HOME: path('nobody') };
  const early = await waybill(words);
  assert.equal(early.status, 4, early.stderr);
  env = kept;

  const rule = { issuer, audience: 'sigstore', when: { sub: { glob: 'job/*' } } };
  writeFileSync(path('rule.json'), JSON.stringify(rule));
  const unsafe = await waybill(['trust', 'rule', 'set', 'ci', '--file', path('rule.json')]);
  assert.equal(unsafe.status, 2);
  assert.match(unsafe.stderr, /no condition pins sub/);
  writeFileSync(path('rule.json'), JSON.stringify({ ...rule, when: { sub: { equals: 'job/release' } } }));
  assert.equal((await waybill(['trust', 'rule', 'set', 'ci', '--file', path('rule.json')])).status, 0);
  assert.equal((await waybill(['trust', 'rule', 'check', '--identity-token', path('token')])).status, 0);

  env = { WAYBILL_HOME: path('nobody') };
  const { signer } = await signed(words);
  assert.deepEqual([signer.san, signer.issuer], [`${issuer}/subjects/job%2Frelease`, issuer]);
  assert.equal((await waybill(words)).status, 6, 'one token, one key');
  writeFileSync(path('token'), makeToken('job/other'));
  assert.equal((await waybill(words)).status, 4);
  env = kept;
  assert.equal((await verify(path('notes.txt'), signer.san, issuer)).status, 0);
  assert.match((await waybill(['trust', 'rule', 'check', '--identity-token', path('token')])).stdout, /"job\/other"/);
});

test('authorities are rotated by one command each, and the root key of TUF moves to a file elsewhere', async () => {
  const { signer } = await signed(['sign', path('notes.txt')]);
  for (const part of ['ca', 'log', 'tsa', 'ct', 'rekor2']) {
    const left = await waybill(['trust', 'rotate', part, '--reason', 'test']);
    assert.equal(left.status, 0, left.stderr);
  }
  assert.equal((await waybill(['trust', 'rotate', 'everything', '--reason', 'x'])).status, 2);
  assert.equal((await waybill(['trust', 'root', '--out', path('root.json')])).status, 0);
  assert.equal((await verify(path('notes.txt'), signer.san, signer.issuer)).status, 0, 'signed before the rotation');
  await signed(['sign', path('notes.txt')]);
  assert.equal((await verify(path('notes.txt'), signer.san, signer.issuer)).status, 0, 'signed after it');
  assert.match((await waybill(['trust', 'show'])).stdout, /ca +2 +/);

  const made = JSON.parse((await waybill(['trust', 'tuf', 'key', path('tuf.key'), '--json'])).stdout) as {
    publicKey: string;
  };
  const unsigned = path('root.unsigned.json');
  const export1 = ['trust', 'tuf', 'export', '--role', 'root', '--new-key', made.publicKey, '--out', unsigned];
  assert.equal((await waybill(export1)).status, 0);
  assert.equal((await waybill(['trust', 'tuf', 'import', unsigned])).status, 2, 'the new key has not signed');
  const ceremony = ['trust', 'tuf', 'sign', unsigned, '--key', path('tuf.key'), '--out', path('root.signed.json')];
  assert.equal((await waybill(ceremony)).status, 0);
  const imported = await waybill(['trust', 'tuf', 'import', path('root.signed.json')]);
  assert.equal(imported.status, 0, imported.stderr);
  assert.match((await waybill(['trust', 'tuf', 'status'])).stdout, /offline/);
  assert.match(readFileSync(path('tuf.key'), 'utf8'), /PRIVATE KEY/);
});

test('provenance of another CI is kept beside the artifact, marked with the level it deserves', async () => {
  assert.equal((await waybill(['project', 'create', 'acme'])).status, 0);
  assert.equal((await waybill(['access', 'grant', 'developer@acme', '--person', 'ada'])).status, 0);
  writeFileSync(path('program'), 'built elsewhere');
  const pushed = await waybill(['artifact', 'push', path('program'), 'acme/hello/program@try-1']);
  assert.equal(pushed.status, 0, pushed.stderr);
  writeFileSync(path('provenance.json'), JSON.stringify({ buildDefinition: {}, runDetails: {} }));
  const type = 'https://slsa.dev/provenance/v1';
  const words = ['attest', 'create', '--predicate', path('provenance.json'), '--type', type, '--upload'];
  const unknown = await waybill([...words, '--subject', path('provenance.json')]);
  assert.equal(unknown.status, 5, 'nothing is kept about what is not here');
  const left = await waybill([...words, '--subject', path('program'), '--json']);
  assert.equal(left.status, 0, left.stderr);
  const { kept, signer } = JSON.parse(left.stdout) as {
    kept: { bundle: string; buildLevel: number };
    signer: { issuer: string };
  };
  assert.equal(kept.buildLevel, 1, 'a person’s word, never level 3');
  assert.equal(signer.issuer, `${server.url}/oidc/people`);
  const { createHash } = await import('node:crypto');
  const digest = `sha256:${createHash('sha256').update('built elsewhere').digest('hex')}` as const;
  const [row, ...more] = await server.platform.attest.bundlesFor(digest);
  assert.deepEqual([row?.bundle, row?.buildLevel, more.length], [kept.bundle, 1, 0]);
  const verdict = await waybill([
    'artifact',
    'verify',
    'acme/hello/program@try-1',
    '--identity',
    `${server.url}/acme/hello/x`,
  ]);
  assert.notEqual(verdict.status, 0, 'it does not pass for what the platform built');
});
