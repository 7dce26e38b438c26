import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { digestFromHex } from '#base';
import { rebuildAndCompare } from '#journal';
import { vaultModule } from '#vault';
import type { AnyBundleJson, BundleJson } from './bundle.ts';
import { attestModule } from './index.ts';
import { ARTIFACT, type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';
import { verifyBundle } from './verify.ts';

const artifact = digestFromHex(ARTIFACT);
const expect = { issuer: `${PUBLIC_URL}/oidc/control`, san: SAN, predicateType: 'https://slsa.dev/provenance/v1' };

let house: House;
let rekor1: BundleJson;
let rekor2: AnyBundleJson;

const parse = <T>(bytes: Buffer) => JSON.parse(bytes.toString('utf8')) as T;
const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const run = (bundle: unknown) => verifyBundle({ bundle, trustedRoot: house.attest.trustedRoot(), artifact, expect });

function flip(text: string): string {
  const bytes = Buffer.from(text, 'base64');
  bytes[bytes.length - 1]! ^= 1;
  return bytes.toString('base64');
}

before(async () => {
  house = await openHouse(await mkdtemp(join(tmpdir(), 'waybill-rekor2-')));
  for (let count = 0; count < 3; count++) await house.attest.sign(provenance());
  const { bundle } = await house.attest.sign(provenance());
  rekor1 = parse((await house.attest.requireBundle(bundle)).bytes);
  rekor2 = parse(await house.attest.renderRekor2(bundle));
});
after(async () => {
  await house.close();
  await rm(house.dir, { recursive: true, force: true });
});

describe('one signature in two logs', () => {
  test('has one entry in each, and a bundle has one of them', () => {
    assert.deepEqual(rekor1.dsseEnvelope, rekor2.dsseEnvelope);
    assert.deepEqual(rekor1.verificationMaterial.certificate, rekor2.verificationMaterial.certificate);
    const [one] = rekor1.verificationMaterial.tlogEntries;
    const [two] = rekor2.verificationMaterial.tlogEntries;
    assert.equal(rekor2.verificationMaterial.tlogEntries.length, 1);
    assert.deepEqual(one!.kindVersion, { kind: 'dsse', version: '0.0.1' });
    assert.deepEqual(two!.kindVersion, { kind: 'hashedrekord', version: '0.0.2' });
    assert.notEqual(one!.logId.keyId, two!.logId.keyId);
    assert.match(one!.inclusionProof.checkpoint.envelope, /^signatures\.waybill\.example\.com - 4242424242424242\n/);
    assert.match(two!.inclusionProof.checkpoint.envelope, /^rekor2\.waybill\.example\.com\n/);
  });

  test('the form of Rekor v2 verifies with our verifier and with stock sigstore-js', () => {
    const verdict = run(rekor2);
    assert.deepEqual(
      verdict.checks.filter(({ status }) => status !== 'passed'),
      [],
    );
    assert.equal(verdict.signer?.san, SAN);
    const material = toTrustMaterial(TrustedRoot.fromJSON(copy(house.attest.trustedRoot())));
    const signer = new Verifier(material).verify(toSignedEntity(bundleFromJSON(rekor2)));
    assert.equal(signer.identity?.subjectAlternativeName, SAN);
  });

  const alterations: [string, (bundle: AnyBundleJson) => void, string][] = [
    [
      'the body',
      ({ verificationMaterial: { tlogEntries } }) =>
        void (tlogEntries[0]!.canonicalizedBody = Buffer.from(
          Buffer.from(tlogEntries[0]!.canonicalizedBody, 'base64').toString().replace('SHA2_256', 'SHA2_512'),
        ).toString('base64')),
      'log entry',
    ],
    [
      'the signature',
      (bundle) => void (bundle.dsseEnvelope!.signatures[0]!.sig = flip(bundle.dsseEnvelope!.signatures[0]!.sig)),
      'signature',
    ],
    ['the payload', (bundle) => void (bundle.dsseEnvelope!.payload = flip(bundle.dsseEnvelope!.payload)), 'log entry'],
    [
      'the log id',
      (bundle) =>
        void (bundle.verificationMaterial.tlogEntries[0]!.logId.keyId = flip(
          bundle.verificationMaterial.tlogEntries[0]!.logId.keyId,
        )),
      'log',
    ],
    [
      'the root hash',
      (bundle) =>
        void (bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.rootHash = flip(
          bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.rootHash,
        )),
      'log checkpoint',
    ],
    [
      'a hash of the proof',
      (bundle) =>
        void (bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.hashes[0] = flip(
          bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.hashes[0]!,
        )),
      'log inclusion',
    ],
    ['the index', (bundle) => void (bundle.verificationMaterial.tlogEntries[0]!.logIndex = '0'), 'log inclusion'],
    [
      'the checkpoint',
      (bundle) =>
        void (bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.checkpoint.envelope =
          rekor1.verificationMaterial.tlogEntries[0]!.inclusionProof.checkpoint.envelope),
      'log checkpoint',
    ],
    [
      'the kind, to one that promises a time',
      (bundle) => void (bundle.verificationMaterial.tlogEntries[0]!.kindVersion.version = '0.0.1'),
      'bundle',
    ],
    [
      'an invented time',
      (bundle) =>
        void ((bundle.verificationMaterial.tlogEntries[0] as { integratedTime?: string }).integratedTime =
          '1700000000'),
      'bundle',
    ],
    [
      'two entries',
      (bundle) => void bundle.verificationMaterial.tlogEntries.push(rekor1.verificationMaterial.tlogEntries[0]!),
      'bundle',
    ],
    [
      'no timestamp',
      (bundle) => void (bundle.verificationMaterial.timestampVerificationData.rfc3161Timestamps = []),
      'bundle',
    ],
  ];
  for (const [what, alter, failing] of alterations) {
    test(`altered: ${what}`, () => {
      const altered = copy(rekor2);
      alter(altered);
      const verdict = run(altered);
      assert.equal(verdict.ok, false);
      const refused = verdict.checks.filter(({ status }) => status !== 'passed').map(({ name }) => name);
      assert.ok(refused.includes(failing), refused.join(', '));
    });
  }

  test('both logs verify, and the tables are those that the facts give', async () => {
    for (const { tiles } of house.attest.logs()) assert.ok((await tiles.verify()).ok);
    assert.ok((await rebuildAndCompare({ db: house.db, modules: [vaultModule, attestModule] })).ok);
  });
});
