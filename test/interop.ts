// Drives stock tools against a server of ours: cosign, sigstore-python, slsa-verifier and gh where they are on the PATH, and the
// Sigstore packages of npm where they are installed. Says which were skipped. Run by: node test/interop.ts
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHash } from 'node:crypto';
import { actorOf, identityContract, systemCaller } from '#identity';
import { ask } from './support/raw.ts';
import { startTestServer, type TestServer } from './support/server.ts';

type Result = { name: string; outcome: 'passed' | 'failed' | 'skipped'; detail?: string };
const results: Result[] = [];

/** Tools get a home of their own and what they need, nothing of whoever runs this. */
let server: TestServer;
let dir: string;
const path = (name: string) => join(dir, name);

function findTool(name: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Async, because the tool talks to the server in this process. */
async function runTool(program: string, words: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(program, words, {
    cwd: dir,
    env: { PATH: process.env['PATH'] ?? '', HOME: dir, SSL_CERT_FILE: server.caPath, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, status] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  return { status, text: Buffer.concat([...out, ...err] as Buffer[]).toString('utf8') };
}

async function check(
  name: string,
  work: () => Promise<{ status: number | null; text: string }>,
  wanted: 'yes' | 'no' = 'yes',
) {
  const { status, text } = await work();
  const isRight = (status === 0) === (wanted === 'yes');
  results.push({
    name,
    outcome: isRight ? 'passed' : 'failed',
    ...(isRight ? {} : { detail: text.trim().slice(-600) }),
  });
}

const skip = (name: string, why: string) => void results.push({ name, outcome: 'skipped', detail: why });
const san = () => `${server.url}/verifier/v1`;
const issuer = () => `${server.url}/oidc/control`;

async function prepare(): Promise<void> {
  writeFileSync(path('artifact'), 'an artifact\n');
  const sha256 = createHash('sha256')
    .update(readFileSync(path('artifact')))
    .digest('hex');
  const { bundle } = await server.platform.attest.sign({
    predicateType: 'https://slsa.dev/verification_summary/v1',
    predicate: {
      verifier: { id: san() },
      timeVerified: new Date().toISOString(),
      resourceUri: 'pkg:generic/artifact',
      policy: { uri: `${server.url}/policy` },
      verificationResult: 'PASSED',
      verifiedLevels: ['SLSA_BUILD_LEVEL_3'],
    },
    subjects: [{ name: 'artifact', digest: { sha256 } }],
    identity: { san: san() },
    actor: actorOf(systemCaller('interop')),
  });
  writeFileSync(path('rekor1.json'), (await server.platform.attest.requireBundle(bundle)).bytes);
  writeFileSync(path('rekor2.json'), await server.platform.attest.renderRekor2(bundle));
  writeFileSync(path('summary.json'), await server.platform.attest.renderSummary(bundle));
  writeFileSync(path('verifier.pem'), server.platform.attest.summaryKey);
  const fetched: [string, string][] = [
    ['root.json', '/api/v1/trust/trusted-root'],
    ['root-without-ctlogs.jsonl', '/api/v1/trust/trusted-root?ctlogs=without'],
    ['signing1.json', '/api/v1/trust/signing-config?rekor=1'],
    ['signing2.json', '/api/v1/trust/signing-config?rekor=2'],
    ['client.json', '/api/v1/trust/client'],
    ['tuf-root.json', '/tuf/1.root.json'],
  ];
  for (const [name, address] of fetched) writeFileSync(path(name), (await ask(server, address)).body);
}

async function tokenFile(): Promise<string> {
  const { token } = await server.owner.call(identityContract.issueIdentityToken);
  const name = path(`token-${Math.random().toString(36).slice(2)}`);
  writeFileSync(name, token);
  return name;
}

async function driveCosign(): Promise<void> {
  const cosign = findTool('cosign');
  if (!cosign) return skip('cosign', 'it is not on the PATH');
  const verify = (bundle: string, artifact: string, identity = san()) =>
    runTool(cosign, [
      ...['verify-blob-attestation', '--bundle', bundle, '--trusted-root', 'root.json', '--type'],
      ...['https://slsa.dev/verification_summary/v1', '--certificate-identity', identity],
      ...['--certificate-oidc-issuer', issuer(), artifact],
    ]);
  await check('cosign verifies the default bundle', () => verify('rekor1.json', 'artifact'));
  await check('cosign verifies the Rekor v2 rendering', () => verify('rekor2.json', 'artifact'));
  await check('cosign refuses another signer', () => verify('rekor1.json', 'artifact', `${san()}x`), 'no');
  await check('cosign refuses another artifact', () => verify('rekor1.json', 'root.json'), 'no');
  for (const version of ['1', '2']) {
    const out = `cosign-${version}.json`;
    const signing = [
      '--signing-config',
      `signing${version}.json`,
      '--trusted-root',
      'root.json',
      '--bundle',
      out,
      '--yes',
    ];
    const token = await tokenFile();
    await check(`cosign signs with Rekor v${version}`, () =>
      runTool(cosign, ['sign-blob', ...signing, '--identity-token', token, 'artifact']),
    );
    const me = await server.owner.call(identityContract.whoami);
    await check(`cosign verifies what it signed with Rekor v${version}`, () =>
      runTool(cosign, [
        ...[
          'verify-blob',
          '--bundle',
          out,
          '--trusted-root',
          'root.json',
          '--certificate-oidc-issuer',
          `${server.url}/oidc/people`,
        ],
        ...['--certificate-identity', `${server.url}/people/${me.principal}`, 'artifact'],
      ]),
    );
  }
}

async function drivePython(): Promise<void> {
  const python = findTool('sigstore');
  if (!python) return skip('sigstore-python', 'sigstore is not on the PATH');
  const words = ['--trust-config', 'client.json', 'verify', 'identity', '--offline', '--cert-oidc-issuer', issuer()];
  for (const bundle of ['rekor1.json', 'rekor2.json']) {
    await check(`sigstore-python verifies ${bundle}`, () =>
      runTool(python, [...words, '--bundle', bundle, '--cert-identity', san(), 'artifact'], {
        REQUESTS_CA_BUNDLE: server.caPath,
      }),
    );
  }
}

async function driveSlsaVerifier(): Promise<void> {
  const verifier = findTool('slsa-verifier');
  if (!verifier) return skip('slsa-verifier', 'it is not on the PATH');
  const digest = createHash('sha256')
    .update(readFileSync(path('artifact')))
    .digest('hex');
  const words = (level: string) => [
    ...[
      'verify-vsa',
      '--subject-digest',
      `sha256:${digest}`,
      '--attestation-path',
      'summary.json',
      '--verifier-id',
      san(),
    ],
    ...['--resource-uri', 'pkg:generic/artifact', '--verified-level', level, '--public-key-path', 'verifier.pem'],
  ];
  await check('slsa-verifier accepts the summary', () => runTool(verifier, words('SLSA_BUILD_LEVEL_3')));
  await check(
    'slsa-verifier refuses a level that was not verified',
    () => runTool(verifier, words('SLSA_SOURCE_LEVEL_3')),
    'no',
  );
}

async function driveGh(): Promise<void> {
  const gh = findTool('gh');
  if (!gh) return skip('gh', 'it is not on the PATH');
  // It demands a source on github.com, which provenance of ours never has; that it reads the root and gets that far is what counts.
  const { text } = await runTool(gh, [
    ...[
      'attestation',
      'verify',
      'artifact',
      '--bundle',
      'rekor1.json',
      '--custom-trusted-root',
      'root-without-ctlogs.jsonl',
    ],
    ...['--owner', 'acme', '--cert-identity', san(), '--cert-oidc-issuer', issuer(), '--format', 'json'],
  ]);
  const gotThere = /owner|source|repository/i.test(text) && !/trusted root|unmarshal|parse/i.test(text);
  results.push({
    name: 'gh reads trusted root and bundle',
    outcome: gotThere ? 'passed' : 'failed',
    detail: text.trim().slice(-300),
  });
}

/** In a process of its own: stock clients trust the CA of a server only through NODE_EXTRA_CA_CERTS. */
const NPM_CLIENT = `
import { readFileSync, writeFileSync } from 'node:fs';
import { DSSEBundleBuilder, FulcioSigner, MessageSignatureBundleBuilder, RekorWitness, TSAWitness } from '@sigstore/sign';
import { bundleToJSON } from '@sigstore/bundle';
import { verify } from 'sigstore';
const [url, version, kind, token, out, cache] = process.argv.slice(2);
const signer = new FulcioSigner({ fulcioBaseURL: url, identityProvider: { getToken: async () => readFileSync(token, 'utf8') } });
const witnesses = [new RekorWitness({ rekorBaseURL: url, majorApiVersion: Number(version) }), new TSAWitness({ tsaBaseURL: url })];
const statement = JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject: [{ name: 'x', digest: { sha256: 'aa'.repeat(32) } }], predicateType: 'https://x.example/y', predicate: {} });
const data = Buffer.from(kind === 'dsse' ? statement : 'hello');
const Builder = kind === 'dsse' ? DSSEBundleBuilder : MessageSignatureBundleBuilder;
const bundle = bundleToJSON(await new Builder({ signer, witnesses }).create({ data, type: kind === 'dsse' ? 'application/vnd.in-toto+json' : undefined }));
writeFileSync(out, JSON.stringify(bundle));
const options = { tufMirrorURL: url + '/tuf', tufRootPath: 'tuf-root.json', tufCachePath: cache, certificateIssuer: url + '/oidc/people' };
await (kind === 'dsse' ? verify(bundle, options) : verify(bundle, data, options));
`;

async function driveNpm(): Promise<void> {
  // Other versions can be tried from a directory with a node_modules of its own.
  const folder = process.env['WAYBILL_INTEROP_PACKAGES'] ?? dirname(fileURLToPath(import.meta.url));
  const require = createRequire(join(folder, 'x.mjs'));
  try {
    for (const name of ['sigstore', '@sigstore/sign', '@sigstore/bundle']) require.resolve(name);
  } catch {
    return skip('sigstore, @sigstore/sign (npm)', 'the packages are not installed');
  }
  const script = join(folder, `.interop-${process.pid}.mjs`);
  writeFileSync(script, NPM_CLIENT);
  try {
    for (const [version, kind] of [
      ['1', 'dsse'],
      ['2', 'dsse'],
      ['1', 'blob'],
    ] as const) {
      const token = await tokenFile();
      await check(
        `@sigstore/sign signs (Rekor v${version}, ${kind}) and sigstore verifies through our TUF repository`,
        () =>
          runTool(
            process.execPath,
            [script, server.url, version, kind, token, path(`npm-${version}-${kind}.json`), path('tuf-cache')],
            {
              NODE_EXTRA_CA_CERTS: server.caPath,
            },
          ),
      );
    }
  } finally {
    rmSync(script, { force: true });
  }
}

function driveOpenssl(): void {
  if (!findTool('openssl')) return skip('openssl', 'it is not on the PATH');
  const [{ intermediate, root } = { intermediate: undefined, root: undefined }] = server.platform.attest.trust().ca;
  const pem = (der: Buffer) =>
    `-----BEGIN CERTIFICATE-----\n${der
      .toString('base64')
      .match(/.{1,64}/g)!
      .join('\n')}\n-----END CERTIFICATE-----\n`;
  writeFileSync(path('ca.pem'), pem(root!.der));
  writeFileSync(path('intermediate.pem'), pem(intermediate!.der));
  const { status, stderr } = spawnSync('openssl', ['verify', '-CAfile', 'ca.pem', 'intermediate.pem'], {
    cwd: dir,
    encoding: 'utf8',
  });
  results.push({ name: 'openssl verifies the chain', outcome: status === 0 ? 'passed' : 'failed', detail: stderr });
  const version = execFileSync('openssl', ['version'], { encoding: 'utf8' }).trim();
  results.at(-1)!.name += ` (${version})`;
}

server = await startTestServer();
dir = mkdtempSync(join(tmpdir(), 'waybill-interop-'));
try {
  await prepare();
  driveOpenssl();
  await driveCosign();
  await drivePython();
  await driveSlsaVerifier();
  await driveGh();
  await driveNpm();
} finally {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
const marks = { passed: '✓', failed: '✗', skipped: '–' };
for (const { name, outcome, detail } of results) {
  console.log(`${marks[outcome]} ${outcome.padEnd(8)} ${name}${outcome === 'passed' || !detail ? '' : `: ${detail}`}`);
}
process.exit(results.some(({ outcome }) => outcome === 'failed') ? 1 : 0);
