import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BundleJson } from './bundle.ts';
import { createAuthorities, draftLeaf, finishLeaf, type LeafDraft } from './ca.ts';
import { organizationOf, parseCertificate, toPem } from './certificate.ts';
import { Refused } from './check.ts';
import { integer, oid, readDer, readOid, readSmallInteger, readTime, time } from './der.ts';
import { type CertificateSigner, extension, issueCertificate } from './issue.ts';
import { signSct } from './sct.ts';
import { type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';
import type { TrustedAuthority, TrustedLog } from './trusted-root.ts';
import { verifyChain, verifyPurpose, verifyScts, verifyValidity } from './verify-certificate.ts';

interface TestKey extends CertificateSigner {
  publicKey: KeyObject;
}

function testKey(algorithm: 'p256' | 'p384'): TestKey {
  const curve = algorithm === 'p256' ? 'P-256' : 'P-384';
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return {
    algorithm,
    publicKey,
    spki,
    sign: async (bytes) => sign(algorithm === 'p256' ? 'sha256' : 'sha384', bytes, privateKey),
  };
}

const refused = (code: string) => (error: unknown) => error instanceof Refused && error.refusal.code === code;
const keys = {
  root: testKey('p384'),
  intermediate: testKey('p384'),
  timestampRoot: testKey('p384'),
  timestamp: testKey('p256'),
};
const log = testKey('p256');
const now = Date.parse('2026-11-21T12:00:00Z');
let authority: TrustedAuthority;
let logs: readonly TrustedLog[];
let certificates: Awaited<ReturnType<typeof createAuthorities>>;
let draft: LeafDraft;

before(async () => {
  certificates = await createAuthorities('waybill.example.com', keys, now);
  const chain = [certificates.intermediate, certificates.root].map(parseCertificate);
  authority = { chain, validFor: { start: now } };
  const { logId } = await signSct({ issuerSpki: keys.intermediate.spki, tbs: Buffer.of(1) }, now, log);
  logs = [{ hostname: 'certificates.waybill.example.com', logId, publicKey: log.publicKey, validFor: { start: now } }];
  draft = await draftLeaf(
    { san: SAN, issuer: `${PUBLIC_URL}/oidc/control`, extensions: {}, spki: testKey('p256').spki, now },
    certificates.intermediate,
    keys.intermediate,
  );
});

const goodSct = () => signSct({ issuerSpki: keys.intermediate.spki, tbs: draft.tbs }, now, log);

describe('a leaf certificate', () => {
  test('has an empty subject, one critical name, one purpose, ten minutes, and chains to the root', async () => {
    const leaf = parseCertificate(await finishLeaf(draft, await goodSct(), keys.intermediate));
    assert.equal(verifyChain(leaf, [authority]), authority);
    verifyPurpose(leaf, 'codeSigning');
    assert.equal(verifyScts(leaf, authority, logs), 1);
    assert.equal(leaf.subject.toString('hex'), '3000');
    assert.equal(leaf.extensions.get('2.5.29.17')?.critical, true);
    assert.equal(leaf.notAfter - leaf.notBefore, 600_000);
    assert.equal(leaf.serial.length, 20);
    const read = new X509Certificate(leaf.der);
    assert.equal(read.subjectAltName, `URI:${SAN}`);
    assert.deepEqual(read.keyUsage, ['1.3.6.1.5.5.7.3.3']);
    assert.ok(read.verify(new X509Certificate(certificates.intermediate).publicKey));
  });

  test('is valid in its ten minutes and not a second longer', async () => {
    const leaf = parseCertificate(await finishLeaf(draft, await goodSct(), keys.intermediate));
    verifyValidity(leaf, authority, [now, now + 600_000]);
    for (const at of [now - 1000, now + 601_000]) {
      assert.throws(() => verifyValidity(leaf, authority, [now, at]), refused('attest.certificate_not_valid_then'));
    }
  });

  test('with a certificate timestamp that was changed, that is for another certificate, or that is missing is refused', async () => {
    const good = await goodSct();
    const broken = { ...good, signature: Buffer.from(good.signature) };
    broken.signature[12]! ^= 1;
    for (const sct of [
      broken,
      { ...good, at: good.at + 1 },
      await signSct({ issuerSpki: keys.root.spki, tbs: draft.tbs }, now, log),
    ]) {
      const leaf = parseCertificate(await finishLeaf(draft, sct, keys.intermediate));
      assert.equal(verifyChain(leaf, [authority]), authority);
      assert.throws(() => verifyScts(leaf, authority, logs), refused('attest.sct_invalid'));
    }
    const untrusted = parseCertificate(
      await finishLeaf(draft, { ...good, logId: Buffer.alloc(32) }, keys.intermediate),
    );
    assert.throws(() => verifyScts(untrusted, authority, logs), refused('attest.sct_untrusted'));
    const bare = parseCertificate(await issueCertificate(draft.fields, keys.intermediate));
    assert.throws(() => verifyScts(bare, authority, logs), refused('attest.sct_missing'));
  });

  test('is not made from a precertificate: its poison refuses it', () => {
    const precertificate = parseCertificate(draft.precertificate);
    assert.throws(() => verifyChain(precertificate, [authority]), refused('attest.extension_unknown'));
  });

  test('of another purpose, or that is an authority, is refused', async () => {
    const others = draft.fields.extensions.filter(({ oid: id }) => id !== '2.5.29.37');
    const made = async (...extra: ReturnType<typeof extension.poison>[]) =>
      parseCertificate(
        await issueCertificate({ ...draft.fields, extensions: [...others, ...extra] }, keys.intermediate),
      );
    const purpose = extension.extendedKeyUsage('codeSigning');
    verifyPurpose(await made(purpose), 'codeSigning');
    for (const leaf of [
      await made(),
      await made(extension.extendedKeyUsage('timeStamping')),
      await made(purpose, extension.basicConstraints({})),
    ]) {
      assert.throws(() => verifyPurpose(leaf, 'codeSigning'), refused('attest.purpose_wrong'));
    }
    // A timestamp signer has its purpose critical, so this one is none.
    const stamper = await made(extension.extendedKeyUsage('timeStamping'));
    assert.throws(() => verifyPurpose(stamper, 'timeStamping'), refused('attest.purpose_wrong'));
  });

  test('issued by a leaf, or below an intermediate that may have none below it, is refused', async () => {
    const leafKey = testKey('p256');
    const leaf = parseCertificate(await issueCertificate({ ...draft.fields, spki: leafKey.spki }, keys.intermediate));
    const below = parseCertificate(await issueCertificate({ ...draft.fields, issuer: leaf.subject }, leafKey));
    assert.throws(
      () => verifyChain(below, [{ ...authority, chain: [leaf, ...authority.chain] }]),
      refused('attest.chain_untrusted'),
    );
    const deep = parseCertificate(
      await issueCertificate(
        {
          ...draft.fields,
          spki: leafKey.spki,
          extensions: [extension.keyUsage('certificateSigning'), extension.basicConstraints({})],
        },
        keys.intermediate,
      ),
    );
    const deeper = parseCertificate(await issueCertificate({ ...draft.fields, issuer: deep.subject }, leafKey));
    assert.throws(
      () => verifyChain(deeper, [{ ...authority, chain: [deep, ...authority.chain] }]),
      refused('attest.chain_untrusted'),
    );
  });
});

describe('the authorities', () => {
  test('of signing share their organization, and the intermediate signs code and no further authority', () => {
    const [intermediate, root] = authority.chain;
    assert.equal(organizationOf(intermediate!.subject), organizationOf(root!.subject));
    const read = new X509Certificate(certificates.intermediate);
    assert.ok(read.ca);
    assert.deepEqual(read.keyUsage, ['1.3.6.1.5.5.7.3.3']);
    assert.equal(new X509Certificate(certificates.root).keyUsage, undefined);
    assert.ok(new X509Certificate(certificates.root).checkIssued(new X509Certificate(certificates.root)));
  });
});

describe('openssl', () => {
  let house: House;
  let bundle: BundleJson;
  let dir: string;
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) =>
    spawnSync('openssl', args, { encoding: 'utf8', env: { PATH: process.env['PATH'] } });

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'waybill-attest-'));
    house = await openHouse(dir);
    const { bundle: digest } = await house.attest.sign(provenance());
    bundle = JSON.parse((await house.attest.requireBundle(digest)).bytes.toString());
    const root = house.attest.trustedRoot();
    const bytes = (text: string) => Buffer.from(text, 'base64');
    const pems = (of: (typeof root)['certificateAuthorities']) =>
      of[0]!.certChain.certificates.map(({ rawBytes }) => toPem(bytes(rawBytes)));
    const [intermediate, signingRoot] = pems(root.certificateAuthorities);
    const [, timestampRoot] = pems(root.timestampAuthorities);
    const material = bundle.verificationMaterial;
    await writeFile(file('intermediate.pem'), intermediate!);
    await writeFile(file('root.pem'), signingRoot!);
    await writeFile(file('timestamp-root.pem'), timestampRoot!);
    await writeFile(file('leaf.pem'), toPem(bytes(material.certificate.rawBytes)));
    await writeFile(file('stamp.tsr'), bytes(material.timestampVerificationData.rfc3161Timestamps[0]!.signedTimestamp));
    await writeFile(file('signature'), bytes(bundle.dsseEnvelope.signatures[0]!.sig));
  });
  after(async () => {
    await house.close();
    await rm(dir, { recursive: true, force: true });
  });

  test('accepts the chain in its strictest mode', () => {
    const done = openssl(
      'verify',
      '-x509_strict',
      '-CAfile',
      file('root.pem'),
      '-untrusted',
      file('intermediate.pem'),
      file('leaf.pem'),
    );
    assert.equal(done.status, 0, done.stdout + done.stderr);
  });

  test('does not accept the leaf under the timestamp root', () => {
    const done = openssl(
      'verify',
      '-CAfile',
      file('timestamp-root.pem'),
      '-untrusted',
      file('intermediate.pem'),
      file('leaf.pem'),
    );
    assert.notEqual(done.status, 0);
  });

  test('accepts the timestamp of the signature, and of nothing else', () => {
    const verify = (data: string) =>
      openssl('ts', '-verify', '-in', file('stamp.tsr'), '-data', file(data), '-CAfile', file('timestamp-root.pem'));
    const done = verify('signature');
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.notEqual(verify('leaf.pem').status, 0);
  });
});

describe('DER', () => {
  test('round-trips numbers, object identifiers and times', () => {
    for (const value of [0, 1, 127, 128, 255, 256, 65_535, 2 ** 31])
      assert.equal(readSmallInteger(readDer(integer(value))), value);
    for (const id of ['1.2.840.10045.4.3.2', '2.16.840.1.101.3.4.2.1', '1.3.6.1.4.1.57264.1.8', '2.5.29.37']) {
      assert.equal(readOid(readDer(oid(id))), id);
    }
    for (const text of ['2026-11-21T18:33:53Z', '2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z']) {
      assert.equal(readTime(readDer(time(Date.parse(text)))), Date.parse(text));
    }
  });

  test('is refused when it is not the one shortest spelling, or has anything after it', () => {
    for (const hex of ['30810100', '3080', '3001', '040200', '0500ff', '3f0100', '0484000000010a']) {
      assert.throws(() => readDer(Buffer.from(hex, 'hex')), { code: 'attest.der_invalid' }, hex);
    }
  });
});
