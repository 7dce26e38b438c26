// Stock Sigstore clients sign here and verify what comes back; whatever cannot be verified is not logged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { identityContract, systemCaller } from '#identity';
import { actorOf } from '#identity';
import { preAuthEncoding, rotateTrust, showTrust, showTrustedRoot, verifyBundle } from '#attest';
import { digestFromHex, digestOf, hexOf } from '#base';
import { ask } from './support/raw.ts';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
let dir: string;
before(async () => {
  server = await startTestServer();
  dir = mkdtempSync(join(tmpdir(), 'waybill-sigstore-'));
});
after(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest();
const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'spki' }).toString();

async function identityToken(): Promise<string> {
  return (await server.owner.call(identityContract.issueIdentityToken)).token;
}

const subjectOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sub: string }).sub;

function signingRequest(
  token: string,
  key: { publicKey: KeyObject; privateKey: KeyObject },
  challenge = subjectOf(token),
) {
  return {
    credentials: { oidcIdentityToken: token },
    publicKeyRequest: {
      publicKey: { algorithm: 'ECDSA', content: pem(key.publicKey) },
      proofOfPossession: base64(sign('sha256', Buffer.from(challenge), key.privateKey)),
    },
  };
}

const askForCertificate = (json: unknown, headers = {}) => ask(server, '/api/v2/signingCert', { json, headers });

interface CertificateAnswer {
  signedCertificateEmbeddedSct: { chain: { certificates: string[] } };
}

async function certifiedKey() {
  const key = newKey();
  const answer = await askForCertificate(signingRequest(await identityToken(), key));
  assert.equal(answer.status, 200, answer.body.toString());
  const { certificates } = answer.json<CertificateAnswer>().signedCertificateEmbeddedSct.chain;
  return { ...key, certificates, leaf: certificates[0]! };
}

const derOf = (text: string) => Buffer.from(text.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');

/** How many facts there are: a refusal that should leave no trace is seen by it. */
const logSizes = async () => {
  await server.platform.journal.idle();
  return (await server.platform.journal.read({ types: ['attest.entry_submitted', 'attest.entry_logged'], limit: 1000 }))
    .length;
};

const statementText = (digest = 'a1'.repeat(32)) =>
  JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'thing', digest: { sha256: digest } }],
    predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
    predicate: { result: 'PASSED', configuration: [] },
  });

function envelopeOf(key: KeyObject, text = statementText()) {
  const payload = Buffer.from(text);
  const sig = base64(sign('sha256', preAuthEncoding(PAYLOAD_TYPE, payload), key));
  return { payload: base64(payload), payloadType: PAYLOAD_TYPE, signatures: [{ sig, keyid: '' }] };
}

const dsseEntry = (envelope: unknown, certificate: string) => ({
  kind: 'dsse',
  apiVersion: '0.0.1',
  spec: { proposedContent: { envelope: JSON.stringify(envelope), verifiers: [base64(certificate)] } },
});

async function stampOf(signature: Buffer): Promise<Buffer> {
  const json = { artifactHash: base64(sha256(signature)), hashAlgorithm: 'sha256', certificates: true };
  const answer = await ask(server, '/api/v1/timestamp', { json });
  assert.equal(answer.status, 201, answer.body.toString());
  return answer.body;
}

async function trustedRoot(): Promise<unknown> {
  const { stream } = await server.anonymous.download(showTrustedRoot, {});
  return JSON.parse(Buffer.concat(await stream.toArray()).toString());
}

interface Rekor1Entry {
  body: string;
  integratedTime: number;
  logID: string;
  logIndex: number;
  verification: {
    signedEntryTimestamp: string;
    inclusionProof: { checkpoint: string; hashes: string[]; logIndex: number; rootHash: string; treeSize: number };
  };
}

function tlogEntryOf(entry: Rekor1Entry, kind: string) {
  const { inclusionProof: proof, signedEntryTimestamp } = entry.verification;
  const fromHex = (text: string) => Buffer.from(text, 'hex').toString('base64');
  return {
    logIndex: String(entry.logIndex),
    logId: { keyId: fromHex(entry.logID) },
    kindVersion: { kind, version: '0.0.1' },
    integratedTime: String(entry.integratedTime),
    inclusionPromise: { signedEntryTimestamp },
    inclusionProof: {
      logIndex: String(proof.logIndex),
      rootHash: fromHex(proof.rootHash),
      treeSize: String(proof.treeSize),
      hashes: proof.hashes.map(fromHex),
      checkpoint: { envelope: proof.checkpoint },
    },
    canonicalizedBody: entry.body,
  };
}

const material = (leaf: string, entry: unknown, stamp: Buffer) => ({
  certificate: { rawBytes: base64(derOf(leaf)) },
  tlogEntries: [entry],
  timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(stamp) }] },
});
const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

async function expectSelf() {
  const me = await server.owner.call(identityContract.whoami);
  return { issuer: `${server.url}/oidc/people`, san: `${server.url}/people/${me.principal}` };
}

describe('signing as a person, step by step as a stock client does it', () => {
  test('the issuer is discoverable, and its token verifies with the published key', async () => {
    const discovery = (await ask(server, '/oidc/people/.well-known/openid-configuration')).json<
      Record<string, string>
    >();
    assert.equal(discovery['issuer'], `${server.url}/oidc/people`);
    const keys = (await ask(server, new URL(discovery['jwks_uri']!).pathname)).json<{ keys: object[] }>();
    const { createPublicKey } = await import('node:crypto');
    const token = await identityToken();
    const [head, body, signature] = token.split('.') as [string, string, string];
    const key = createPublicKey({ key: keys.keys[0] as never, format: 'jwk' });
    const signed = Buffer.from(`${head}.${body}`);
    assert.ok(verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
    assert.equal((await ask(server, '/oidc/control/jwks')).status, 404, 'the control plane has no tokens');
  });

  test('certificate, timestamp and Rekor v1 entry make a bundle that our verifier and sigstore-js accept', async () => {
    const { privateKey, leaf, certificates } = await certifiedKey();
    assert.equal(certificates.length, 3);
    const envelope = envelopeOf(privateKey);
    const answer = await ask(server, '/api/v1/log/entries', { json: dsseEntry(envelope, leaf) });
    assert.equal(answer.status, 201, answer.body.toString());
    const [[uuid, entry] = []] = Object.entries(answer.json<Record<string, Rekor1Entry>>());
    assert.equal(answer.headers['etag'], uuid);
    assert.equal(answer.headers['location'], `/api/v1/log/entries/${uuid}`);
    const stamp = await stampOf(Buffer.from(envelope.signatures[0]!.sig, 'base64'));
    const bundle = {
      mediaType: MEDIA_TYPE,
      verificationMaterial: material(leaf, tlogEntryOf(entry!, 'dsse'), stamp),
      dsseEnvelope: envelope,
    };
    const verdict = verifyBundle({
      bundle,
      trustedRoot: await trustedRoot(),
      artifact: digestFromHex('a1'.repeat(32)),
      expect: await expectSelf(),
    });
    assert.deepEqual(
      verdict.checks.filter(({ status }) => status !== 'passed'),
      [],
    );
    const byUuid = await ask(server, `/api/v1/log/entries/${uuid}`);
    assert.equal(byUuid.json<Record<string, Rekor1Entry>>()[uuid!]?.body, entry!.body);
    const again = await ask(server, '/api/v1/log/entries', { json: dsseEntry(envelope, leaf) });
    assert.equal(again.status, 201);
    assert.equal(again.headers['etag'], uuid, 'the same entry again is the entry there is');
  });

  test('a Rekor v2 entry of an artifact makes a bundle that our verifier and sigstore-js accept', async () => {
    const { privateKey, leaf } = await certifiedKey();
    const artifact = Buffer.from('the artifact');
    const signature = sign('sha256', artifact, privateKey);
    const verifier = { x509_certificate: { raw_bytes: base64(derOf(leaf)) }, key_details: 'PKIX_ECDSA_P256_SHA_256' };
    const answer = await ask(server, '/api/v2/log/entries', {
      json: {
        hashed_rekord_request_v002: {
          digest: base64(sha256(artifact)),
          signature: { content: base64(signature), verifier },
        },
      },
    });
    assert.equal(answer.status, 201, answer.body.toString());
    const bundle = {
      mediaType: MEDIA_TYPE,
      verificationMaterial: material(leaf, answer.json(), await stampOf(signature)),
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_256', digest: base64(sha256(artifact)) },
        signature: base64(signature),
      },
    };
    const request = {
      bundle,
      trustedRoot: await trustedRoot(),
      artifact: digestOf(artifact),
      expect: await expectSelf(),
    };
    const verdict = verifyBundle({ ...request, accept: 'message', artifactBytes: artifact });
    assert.deepEqual(
      verdict.checks.filter(({ status }) => status !== 'passed'),
      [],
    );
    assert.equal(verdict.checks.at(-1)?.name, 'sigstore-js agrees');
    assert.equal(verifyBundle(request).ok, false, 'whoever needs a statement is not given a bare signature');
    assert.equal(verifyBundle({ ...request, accept: 'message', artifact: digestOf('another') }).ok, false);
    assert.equal(verifyBundle({ ...request, accept: 'message', artifactBytes: Buffer.from('another') }).ok, false);
  });

  test('hashedrekord 0.0.1 and the removed dsseRequestV002 are taken', async () => {
    const { privateKey, leaf } = await certifiedKey();
    const artifact = Buffer.from('v1 artifact');
    const signature = base64(sign('sha256', artifact, privateKey));
    const hashed = await ask(server, '/api/v1/log/entries', {
      json: {
        kind: 'hashedrekord',
        apiVersion: '0.0.1',
        spec: {
          data: { hash: { algorithm: 'sha256', value: sha256(artifact).toString('hex') } },
          signature: { content: signature, publicKey: { content: base64(leaf) } },
        },
      },
    });
    assert.equal(hashed.status, 201, hashed.body.toString());
    const envelope = envelopeOf(privateKey, statementText('b2'.repeat(32)));
    const verifiers = [{ x509Certificate: { rawBytes: base64(derOf(leaf)) }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' }];
    const dsse = await ask(server, '/api/v2/log/entries', { json: { dsseRequestV002: { envelope, verifiers } } });
    assert.equal(dsse.status, 201, dsse.body.toString());
    const logged = dsse.json<{ kindVersion: object; canonicalizedBody: string }>();
    assert.deepEqual(logged.kindVersion, { kind: 'hashedrekord', version: '0.0.2' });
    const pae = preAuthEncoding(PAYLOAD_TYPE, Buffer.from(envelope.payload, 'base64'));
    assert.ok(Buffer.from(logged.canonicalizedBody, 'base64').includes(base64(sha256(pae))));
  });

  test('a certificate request of PKCS #10 proves the key as well, with the token in the header', async () => {
    const key = newKey();
    writeFileSync(join(dir, 'key.pem'), key.privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const csr = execFileSync('openssl', ['req', '-new', '-key', join(dir, 'key.pem'), '-subj', '/CN=root']);
    const json = { certificateSigningRequest: base64(csr) };
    const token = await identityToken();
    const answer = await askForCertificate(json, { authorization: `Bearer ${token}` });
    assert.equal(answer.status, 200, answer.body.toString());
    const [leaf, intermediate, root] = answer.json<CertificateAnswer>().signedCertificateEmbeddedSct.chain.certificates;
    writeFileSync(join(dir, 'leaf.pem'), leaf!);
    writeFileSync(join(dir, 'chain.pem'), intermediate!);
    writeFileSync(join(dir, 'root.pem'), root!);
    const text = execFileSync('openssl', ['x509', '-in', join(dir, 'leaf.pem'), '-noout', '-subject', '-pubkey'], {
      encoding: 'utf8',
    });
    assert.match(text, /subject=\s*\n/, 'what the request asks to be called counts for nothing');
    assert.ok(text.includes(pem(key.publicKey)));
    execFileSync('openssl', [
      'verify',
      '-purpose',
      'any',
      '-CAfile',
      join(dir, 'root.pem'),
      '-untrusted',
      join(dir, 'chain.pem'),
      join(dir, 'leaf.pem'),
    ]);
  });

  test('openssl makes a query, gets a stamp and accepts it', async () => {
    writeFileSync(join(dir, 'file'), 'stamp me');
    execFileSync('openssl', [
      'ts',
      '-query',
      '-data',
      join(dir, 'file'),
      '-sha256',
      '-cert',
      '-out',
      join(dir, 'query'),
    ]);
    const headers = { 'content-type': 'application/timestamp-query' };
    const answer = await ask(server, '/api/v1/timestamp', { body: readFileSync(join(dir, 'query')), headers });
    assert.equal(answer.headers['content-type'], 'application/timestamp-reply');
    writeFileSync(join(dir, 'reply'), answer.body);
    writeFileSync(join(dir, 'tsa.pem'), (await ask(server, '/api/v1/timestamp/certchain')).body);
    const files = ['-queryfile', join(dir, 'query'), '-in', join(dir, 'reply'), '-CAfile', join(dir, 'tsa.pem')];
    // Its exit status is its verdict.
    execFileSync('openssl', ['ts', '-verify', ...files], { stdio: 'pipe' });
  });

  test('trust bundle, configuration, log state, checkpoint and tiles answer', async () => {
    const bundle = (await ask(server, '/api/v2/trustBundle')).json<{ chains: { certificates: string[] }[] }>();
    assert.equal(bundle.chains[0]?.certificates.length, 2);
    const { issuers } = (await ask(server, '/api/v2/configuration')).json<{ issuers: { issuerUrl: string }[] }>();
    assert.deepEqual(
      issuers.map(({ issuerUrl }) => issuerUrl),
      [`${server.url}/oidc/people`, `${server.url}/oidc/jobs`],
    );
    const log = (await ask(server, '/api/v1/log')).json<{ treeSize: number; treeID: string }>();
    assert.equal(log.treeID, '4242424242424242');
    assert.match((await ask(server, '/api/v2/checkpoint')).body.toString(), /^rekor2\.localhost\.waybill\.internal\n/);
    const headers = { authorization: `Bearer ${server.ownerToken}` };
    assert.equal((await ask(server, '/api/v2/tile/entries/000.p/1', { headers })).status, 200);
    assert.equal(
      (await ask(server, '/api/v2/tile/entries/000.p/1')).status,
      401,
      'who counts through the log needs a right',
    );
    assert.equal((await ask(server, '/api/v1/log/entries?logIndex=0', { headers })).status, 200);
    assert.equal((await ask(server, '/api/v1/log/entries?logIndex=0')).status, 401);
  });
});

describe('certificates that are not given out', () => {
  test('without a token, with a made-up one, with an API token', async () => {
    const key = newKey();
    const good = signingRequest(await identityToken(), key);
    const cases: [unknown, Record<string, string>][] = [
      [{ publicKeyRequest: good.publicKeyRequest }, {}],
      [{ ...good, credentials: { oidcIdentityToken: 'a.b.c' } }, {}],
      [{ publicKeyRequest: good.publicKeyRequest }, { authorization: `Bearer ${server.ownerToken}` }],
      [{ publicKeyRequest: good.publicKeyRequest }, { authorization: 'Basic eDp5' }],
    ];
    for (const [body, headers] of cases) {
      const answer = await askForCertificate(body, headers);
      assert.equal(answer.status, 401, answer.body.toString());
      assert.equal(answer.json<{ code: number }>().code, 16);
    }
  });

  test('for a key that the asker does not hold, or of another kind', async () => {
    const token = await identityToken();
    const wrong = signingRequest(token, newKey(), 'somebody else');
    const edwards = generateKeyPairSync('ed25519');
    const other = {
      ...wrong,
      publicKeyRequest: { publicKey: { content: pem(edwards.publicKey) }, proofOfPossession: 'AAAA' },
    };
    const hidden = newKey().privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    const privateKey = { ...wrong, publicKeyRequest: { publicKey: { content: hidden }, proofOfPossession: 'AAAA' } };
    const both = { ...wrong, certificateSigningRequest: 'AAAA' };
    for (const body of [wrong, other, privateKey, both, {}, [], 'text', { ...wrong, publicKeyRequest: null }]) {
      const answer = await askForCertificate(body);
      assert.equal(answer.status, 400, `${JSON.stringify(body).slice(0, 60)} ${answer.body.toString()}`);
    }
    const requested = await server.platform.journal.read({ types: ['attest.certificate_requested'], limit: 1000 });
    const { createHash: hash } = await import('node:crypto');
    const id = hash('sha256')
      .update(token.slice(0, token.lastIndexOf('.')))
      .digest('hex');
    assert.ok(!requested.some((fact) => fact.stream === `request/${id}`), 'a refusal uses no token up');
  });

  test('twice for one token with two keys; a retry with the same key is answered', async () => {
    const token = await identityToken();
    const key = newKey();
    assert.equal((await askForCertificate(signingRequest(token, key))).status, 200);
    assert.equal((await askForCertificate(signingRequest(token, key))).status, 200);
    const stolen = await askForCertificate(signingRequest(token, newKey()));
    assert.equal(stolen.status, 409);
    assert.equal(stolen.json<{ problem: string }>().problem, 'attest.token_reused');
  });

  test('to a job that says it is the control plane: the issuer stays that of jobs', async () => {
    const claims = {
      repository: 'acme/web',
      repository_id: 'rep_1',
      repository_owner: 'acme',
      repository_owner_id: 'prj_1',
      repository_visibility: 'private' as const,
      ref: 'refs/heads/main',
      ref_type: 'branch' as const,
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
      runner_environment: 'platform-hosted' as const,
    };
    const actor = actorOf(systemCaller('build'));
    const { token } = await server.platform.issuers.issueJobToken(actor, {
      job: 'job_1',
      audience: 'sigstore',
      claims,
    });
    const answer = await askForCertificate(signingRequest(token, newKey()));
    assert.equal(answer.status, 200, answer.body.toString());
    writeFileSync(
      join(dir, 'job.pem'),
      answer.json<CertificateAnswer>().signedCertificateEmbeddedSct.chain.certificates[0]!,
    );
    const text = execFileSync('openssl', ['x509', '-in', join(dir, 'job.pem'), '-noout', '-text'], {
      encoding: 'utf8',
    });
    assert.ok(text.includes(`${server.url}/oidc/jobs`));
    assert.ok(!text.includes('/oidc/control'));
    assert.ok(text.includes(`URI:${server.url}/acme/web/.github/workflows/build.yml@refs/heads/main`));
  });

  test('with a body that is too large, truncated or of another type', async () => {
    const headers = { 'content-type': 'application/json' };
    const large = await ask(server, '/api/v2/signingCert', {
      body: JSON.stringify({ x: 'y'.repeat(70_000) }),
      headers,
    });
    assert.equal(large.status, 413);
    const cut = await ask(server, '/api/v2/signingCert', { body: '{"credentials":', headers });
    assert.equal(cut.status, 400);
    const xml = await ask(server, '/api/v2/signingCert', { body: '<x/>', headers: { 'content-type': 'text/xml' } });
    assert.equal(xml.status, 400);
    for (const answer of [large, cut, xml]) assert.equal(typeof answer.json<{ message: string }>().message, 'string');
    assert.equal((await ask(server, '/api/v2/signingCert', { method: 'GET' })).status, 404);
  });
});

describe('entries that are not logged', () => {
  test('whatever does not verify, on either API, and the log stays as it was', async () => {
    const { privateKey, leaf } = await certifiedKey();
    const other = await certifiedKey();
    const envelope = envelopeOf(privateKey);
    const hashed = (change: object = {}) => {
      const artifact = Buffer.from('x');
      const verifier = { x509Certificate: { rawBytes: base64(derOf(leaf)) } };
      const content = base64(sign('sha256', artifact, privateKey));
      return {
        hashedRekordRequestV002: { digest: base64(sha256(artifact)), signature: { content, verifier }, ...change },
      };
    };
    const foreign = execFileSync('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        join(dir, 'f.pem'),
      ],
      ...['-subj', '/CN=x', '-addext', `subjectAltName=URI:${server.url}/people/x`, '-days', '1'],
    ]).toString();
    const v1: [string, unknown][] = [
      ['another key', dsseEntry(envelope, other.leaf)],
      ['another payload', dsseEntry({ ...envelope, payload: base64('other') }, leaf)],
      ['another type', dsseEntry({ ...envelope, payloadType: 'text/plain' }, leaf)],
      ['no signature', dsseEntry({ ...envelope, signatures: [] }, leaf)],
      [
        'two signatures',
        dsseEntry({ ...envelope, signatures: [...envelope.signatures, ...envelope.signatures] }, leaf),
      ],
      ['a foreign certificate', dsseEntry(envelope, foreign)],
      ['our own intermediate as the signer', dsseEntry(envelope, other.certificates[1]!)],
      ['a bare key', dsseEntry(envelope, pem(newKey().publicKey))],
      ['a certificate cut short', dsseEntry(envelope, leaf.slice(0, 200))],
      [
        'an envelope that is no JSON',
        { ...dsseEntry(envelope, leaf), spec: { proposedContent: { envelope: '{', verifiers: [base64(leaf)] } } },
      ],
      ['another kind', { ...dsseEntry(envelope, leaf), kind: 'intoto' }],
      ['another version', { ...dsseEntry(envelope, leaf), apiVersion: '0.0.2' }],
      ['nothing', {}],
      ['a list', []],
    ];
    const v2: [string, unknown][] = [
      ['another digest', hashed({ digest: base64(sha256('other')) })],
      ['a short digest', hashed({ digest: base64('short') })],
      ['an unknown field', hashed({ extra: 1 })],
      [
        'another kind of key',
        hashed({
          signature: {
            ...hashed().hashedRekordRequestV002.signature,
            verifier: { x509Certificate: { rawBytes: base64(derOf(leaf)) }, keyDetails: 'PKIX_ED25519' },
          },
        }),
      ],
      ['a bare key', hashed({ signature: { content: 'AAAA', verifier: { publicKey: { rawBytes: 'AAAA' } } } })],
      ['no verifier', hashed({ signature: { content: 'AAAA' } })],
      [
        'an altered signature',
        hashed({
          signature: {
            ...hashed().hashedRekordRequestV002.signature,
            content: base64(sign('sha256', Buffer.from('y'), privateKey)),
          },
        }),
      ],
      ['nothing', {}],
    ];
    const before = await logSizes();
    for (const [path, cases] of [
      ['/api/v1/log/entries', v1],
      ['/api/v2/log/entries', v2],
    ] as const) {
      for (const [what, json] of cases) {
        const answer = await ask(server, path, { json });
        assert.equal(answer.status, 400, `${path} ${what}: ${answer.status} ${answer.body.toString()}`);
        assert.equal(typeof answer.json<{ message: string }>().message, 'string');
      }
      const headers = { 'content-type': 'application/json' };
      assert.equal((await ask(server, path, { body: 'x'.repeat(1024 * 1024 + 1), headers })).status, 413);
      assert.equal((await ask(server, path, { body: '{"a"', headers })).status, 400);
    }
    assert.equal(await logSizes(), before, 'nothing was logged');
    assert.equal((await ask(server, `/api/v1/log/entries/${'0'.repeat(64)}`)).status, 404);
    assert.equal((await ask(server, '/api/v1/log/entries/..%2f..')).status, 404);
  });

  test('what the control plane signed, sent by somebody else in its other spelling, is refused without an alarm', async () => {
    const signed = await server.platform.attest.sign({
      predicateType: 'https://example.com/x',
      predicate: {},
      subjects: [{ name: 'x', digest: { sha256: 'cc'.repeat(32) } }],
      identity: { san: `${server.url}/verifier/v1` },
      actor: actorOf(systemCaller('test')),
    });
    const { bytes } = await server.platform.attest.requireBundle(signed.bundle);
    const bundle = JSON.parse(bytes.toString()) as {
      verificationMaterial: { certificate: { rawBytes: string } };
      dsseEnvelope: { payload: string; signatures: { sig: string }[] };
    };
    const { payload, signatures } = bundle.dsseEnvelope;
    const certificate = `-----BEGIN CERTIFICATE-----\n${bundle.verificationMaterial.certificate.rawBytes}\n-----END CERTIFICATE-----\n`;
    const before = await logSizes();
    const same = await ask(server, '/api/v1/log/entries', { json: dsseEntry(bundle.dsseEnvelope, certificate) });
    assert.equal(same.status, 201, 'the very entry is found');
    const sig = base64(mirrored(Buffer.from(signatures[0]!.sig, 'base64')));
    const other = { payload, payloadType: PAYLOAD_TYPE, signatures: [{ sig }] };
    const mirror = await ask(server, '/api/v1/log/entries', { json: dsseEntry(other, certificate) });
    assert.equal(mirror.status, 403, mirror.body.toString());
    assert.equal(await logSizes(), before);
    assert.deepEqual(await server.platform.attest.alerts(), []);
  });

  test('timestamps are not given for nonsense, and the answer is in the words that were asked in', async () => {
    const binary = { 'content-type': 'application/timestamp-query' };
    for (const body of [
      Buffer.alloc(0),
      Buffer.from('3003020101', 'hex'),
      Buffer.from('nonsense'),
      Buffer.alloc(5000, 0x30),
    ]) {
      const answer = await ask(server, '/api/v1/timestamp', { body, headers: binary });
      assert.equal(answer.status, 400);
      if (body.length > 0) assert.equal(answer.body.toString('hex'), '30053003020102');
    }
    const jsons = [
      {},
      { artifactHash: 'AAAA' },
      { artifactHash: base64(sha256('x')), hashAlgorithm: 'sha1' },
      { artifactHash: base64(sha256('x')), nonce: -1 },
    ];
    for (const json of jsons) assert.equal((await ask(server, '/api/v1/timestamp', { json })).status, 400);
    assert.equal((await ask(server, '/api/v1/timestamp', { body: Buffer.alloc(9000), headers: binary })).status, 413);
    assert.equal(
      (await ask(server, '/api/v1/timestamp', { body: 'x', headers: { 'content-type': 'text/plain' } })).status,
      400,
    );
  });
});

/** The other signature of ECDSA over the same: (r, n − s). */
function mirrored(der: Buffer): Buffer {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const rLength = der[3]!;
  const s = BigInt(`0x${der.subarray(6 + rLength).toString('hex')}`);
  let hex = (n - s).toString(16);
  hex = hex.padStart(hex.length + (hex.length % 2), '0');
  if (Number.parseInt(hex.slice(0, 2), 16) >= 0x80) hex = `00${hex}`;
  const number = Buffer.concat([Buffer.of(2, hex.length / 2), Buffer.from(hex, 'hex')]);
  const body = Buffer.concat([der.subarray(2, 4 + rLength), number]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

test('rotation needs the right, and what was signed before stays valid', async () => {
  await assert.rejects(server.anonymous.call(rotateTrust, { body: { part: 'ca', reason: 'x' } }));
  const { privateKey, leaf } = await certifiedKey();
  const artifact = Buffer.from('before the rotation');
  const signature = sign('sha256', artifact, privateKey);
  const verifier = { x509Certificate: { rawBytes: base64(derOf(leaf)) } };
  const digest = base64(sha256(artifact));
  const entry = await ask(server, '/api/v2/log/entries', {
    json: { hashedRekordRequestV002: { digest, signature: { content: base64(signature), verifier } } },
  });
  const bundle = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: material(leaf, entry.json(), await stampOf(signature)),
    messageSignature: { messageDigest: { algorithm: 'SHA2_256', digest }, signature: base64(signature) },
  };
  for (const part of ['ca', 'tsa', 'ct', 'log', 'rekor2'] as const) {
    const rotated = await server.owner.call(rotateTrust, { body: { part, reason: 'test' } });
    assert.equal(rotated.generation, 2);
  }
  const shown = await server.owner.call(showTrust);
  assert.ok(
    Object.values(shown.parts).every((generations) => generations.length === 2 && generations[0]!.endsAt !== null),
  );
  const request = { trustedRoot: await trustedRoot(), artifact: digestOf(artifact), expect: await expectSelf() };
  const old = verifyBundle({ ...request, bundle, accept: 'message', artifactBytes: artifact });
  assert.ok(old.ok, JSON.stringify(old.checks));
  const next = await certifiedKey();
  const envelope = envelopeOf(next.privateKey);
  const logged = await ask(server, '/api/v1/log/entries', { json: dsseEntry(envelope, next.leaf) });
  assert.equal(logged.status, 201, logged.body.toString());
  assert.ok((logged.headers['etag'] as string).startsWith(4242424242424243n.toString(16).padStart(16, '0')));
  const state = (await ask(server, '/api/v1/log')).json<{ inactiveShards: unknown[]; treeSize: number }>();
  assert.equal(state.inactiveShards.length, 1);
  assert.equal(state.treeSize, 1);
  assert.equal(hexOf(digestOf(artifact)).length, 64);
});

test('of all these certificates, each was asked for, and the monitor agrees', async () => {
  await server.platform.journal.idle();
  const made = await server.platform.journal.read({ types: ['attest.precertificate_logged'], limit: 100 });
  assert.ok(made.length > 5);
  assert.deepEqual(await server.platform.attest.alerts(), []);
});

describe('what stands behind the addresses in statements', () => {
  test('pages answer without script or style, and the schemas of our own predicates', async () => {
    const pages = ['/builders/hosted-sandbox/v1', '/buildtypes/workflow/v1', '/verifier/v1', '/oidc/control'];
    for (const path of [...pages, '/attestations/approval/v1', '/attestations/deployment/v1']) {
      const answer = await ask(server, path);
      assert.equal(answer.status, 200, path);
      assert.match(String(answer.headers['content-type']), /^text\/html/);
      assert.match(String(answer.headers['content-security-policy']), /default-src 'none'/);
      assert.doesNotMatch(answer.body.toString(), /<script|<style|style=/);
    }
    const schema = (await ask(server, '/attestations/approval/v1/schema.json')).json<{ $id: string }>();
    assert.equal(schema.$id, `${server.url}/attestations/approval/v1/schema.json`);
  });

  test('the self-assessment is for auditors', async () => {
    assert.equal((await ask(server, '/assessment')).status, 401);
    const answer = await ask(server, '/assessment', { headers: { authorization: `Bearer ${server.ownerToken}` } });
    assert.equal(answer.status, 200);
    assert.match(answer.body.toString(), /owner \(person\)/);
  });

  test('a verification summary is also a bare envelope under a key that the page gives out', async () => {
    const { attest } = server.platform;
    const request = { identity: { san: `${server.url}/verifier/v1` }, actor: actorOf(systemCaller('test')) };
    const subjects = [{ name: 'x', digest: { sha256: 'dd'.repeat(32) } }];
    const predicate = {
      verifier: { id: `${server.url}/verifier/v1` },
      timeVerified: new Date().toISOString(),
      resourceUri: 'pkg:x',
      policy: { uri: 'https://x' },
      verificationResult: 'PASSED',
      verifiedLevels: ['SLSA_BUILD_LEVEL_3'],
    };
    const summary = { ...request, predicateType: 'https://slsa.dev/verification_summary/v1', predicate, subjects };
    const { bundle } = await attest.sign(summary);
    const bytes = await attest.renderSummary(bundle);
    assert.ok(bytes.equals(await attest.renderSummary(bundle)), 'one summary, one envelope');
    const envelope = JSON.parse(bytes.toString()) as {
      payload: string;
      payloadType: string;
      signatures: { keyid: string; sig: string }[];
    };
    const key = (await ask(server, '/verifier/v1/key.pem')).body.toString();
    const signed = preAuthEncoding(envelope.payloadType, Buffer.from(envelope.payload, 'base64'));
    assert.ok(verify('sha256', signed, key, Buffer.from(envelope.signatures[0]!.sig, 'base64')));
    assert.equal(envelope.signatures[0]!.keyid, '');
    const other = await attest.sign({ ...request, subjects, predicateType: 'https://x.example/y', predicate: {} });
    await assert.rejects(attest.renderSummary(other.bundle), /Only verification summaries/);
  });
});

describe('an issuer elsewhere, found by discovery', () => {
  let other: TestServer;
  before(async () => {
    other = await startTestServer();
  });
  after(() => other.stop());

  const trust = (ca: string | null) =>
    server.owner.call(identityContract.trustIssuer, {
      body: { issuer: `${other.url}/oidc/people`, kind: 'generic', keys: { from: 'discovery', ca } },
    });

  test('is trusted only over a connection to the authority that was pinned', async () => {
    await assert.rejects(trust(null), /cannot be read/);
    await assert.rejects(trust(server.ca), /cannot be read/);
    await trust(other.ca);
  });

  test('lets its people sign here in names below it, once a rule says who', async () => {
    const { token } = await other.owner.call(identityContract.issueIdentityToken);
    const key = newKey();
    assert.equal((await askForCertificate(signingRequest(token, key))).status, 401);
    const body = {
      issuer: `${other.url}/oidc/people`,
      audience: 'sigstore',
      when: { sub: { equals: subjectOf(token) } },
    };
    await server.owner.call(identityContract.setRule, { params: { name: 'neighbours' }, body });
    const answer = await askForCertificate(signingRequest(token, key));
    assert.equal(answer.status, 200, answer.body.toString());
    writeFileSync(
      join(dir, 'other.pem'),
      answer.json<CertificateAnswer>().signedCertificateEmbeddedSct.chain.certificates[0]!,
    );
    const text = execFileSync('openssl', ['x509', '-in', join(dir, 'other.pem'), '-noout', '-text'], {
      encoding: 'utf8',
    });
    assert.ok(text.includes(`URI:${other.url}/oidc/people/subjects/`));
    assert.ok(!text.includes(`URI:${server.url}`));
  });
});

test('one address cannot ask for more than its share', async () => {
  const statuses = new Set<number>();
  for (let count = 0; count < 140; count++) statuses.add((await askForCertificate({})).status);
  assert.deepEqual(
    [...statuses].toSorted((a, b) => a - b),
    [400, 429],
  );
});
