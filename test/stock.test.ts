// Stock Sigstore clients at their defaults, against a server that nobody set up for them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { digestOf } from '#base';
import { consoleActor } from '#identity';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.stop());

interface VerifyLibrary {
  toTrustMaterial(root: unknown): unknown;
  toSignedEntity(bundle: unknown): unknown;
  Verifier: new (trust: unknown) => { verify(entity: unknown): { identity?: { subjectAlternativeName?: string } } };
}

/** Each library with the bundle and format packages of its own generation. */
function load(name: string) {
  const require = createRequire(import.meta.url);
  const inside = createRequire(require.resolve(name));
  const { bundleFromJSON } = inside('@sigstore/bundle') as { bundleFromJSON: (json: unknown) => unknown };
  const { TrustedRoot } = inside('@sigstore/protobuf-specs') as {
    TrustedRoot: { fromJSON: (json: unknown) => unknown };
  };
  return { ...(require(name) as VerifyLibrary), bundleFromJSON, TrustedRoot };
}

for (const name of ['@sigstore/verify', 'sigstore-verify-3']) {
  test(`${name} accepts our default bundle at its defaults, and refuses it once a byte is changed`, async () => {
    const { attest, instance } = server.platform;
    const { bundle } = await attest.sign({
      predicateType: 'https://slsa.dev/provenance/v1',
      predicate: { buildDefinition: {}, runDetails: {} },
      subjects: [{ name: 'program', digest: { sha256: digestOf('program').slice('sha256:'.length) } }],
      identity: { san: `${instance.publicUrl}/acme/hello/.github/workflows/release.yml@refs/tags/v1` },
      actor: consoleActor,
      idempotencyKey: `stock/${name}`,
    });
    const json = JSON.parse((await attest.requireBundle(bundle)).bytes.toString('utf8')) as {
      dsseEnvelope: { payload: string };
    };
    const library = load(name);
    const trust = library.toTrustMaterial(library.TrustedRoot.fromJSON(attest.trustedRoot()));
    const verify = (value: unknown) =>
      new library.Verifier(trust).verify(library.toSignedEntity(library.bundleFromJSON(value)));
    assert.match(verify(json).identity?.subjectAlternativeName ?? '', /release\.yml@refs\/tags\/v1$/);
    const payload = Buffer.from(json.dsseEnvelope.payload, 'base64');
    payload[20] = payload[20]! ^ 1;
    assert.throws(() =>
      verify({ ...json, dsseEnvelope: { ...json.dsseEnvelope, payload: payload.toString('base64') } }),
    );
  });
}

test('stock @sigstore/sign signs against us, and stock sigstore verifies with trust from our TUF repository', () => {
  const ran = spawnSync(process.execPath, ['test/interop.ts'], { encoding: 'utf8' });
  assert.equal(ran.status, 0, `${ran.stdout}\n${ran.stderr}`);
  const passed = ran.stdout.split('\n').filter((line) => /^✓ passed .*@sigstore\/sign signs/.test(line));
  assert.equal(passed.length, 3, ran.stdout);
});
