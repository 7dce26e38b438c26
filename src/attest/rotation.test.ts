import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { type Clock, Problem } from '#base';
import { rebuildAndCompare, systemActor } from '#journal';
import { vaultModule } from '#vault';
import { attestModule, type TrustPart } from './index.ts';
import { isSigned, type Metadata, type RootBody, signMetadata, type TargetsBody, tufKey } from './tuf.ts';
import { type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';
import { verifyBundle } from './verify.ts';

const DAY_MS = 24 * 60 * 60_000;
const START = Date.UTC(2026, 0, 1);
const actor = systemActor('test');
const expect = { issuer: `${PUBLIC_URL}/oidc/control`, san: SAN };
const refusal = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

describe('authorities and logs are rotated one by one', () => {
  let house: House;
  let dir: string;
  const time = { ms: START };
  const clock: Clock = { now: () => time.ms };
  const bundles: { bundle: Buffer; rekor2: Buffer }[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'waybill-rotation-'));
    house = await openHouse(dir, clock);
  });
  after(async () => {
    await house.close();
    await rm(dir, { recursive: true, force: true });
  });

  async function signOne() {
    const { bundle } = await house.attest.sign(provenance());
    const rekor2 = await house.attest.renderRekor2(bundle);
    return { bundle: (await house.attest.requireBundle(bundle)).bytes, rekor2 };
  }

  function assertAllVerify(which = bundles): void {
    const trustedRoot: unknown = JSON.parse(JSON.stringify(house.attest.trustedRoot()));
    const material = toTrustMaterial(TrustedRoot.fromJSON(trustedRoot));
    for (const rendering of which.flatMap(({ bundle, rekor2 }) => [bundle, rekor2])) {
      const verdict = verifyBundle({ bundle: rendering, trustedRoot, expect });
      assert.ok(verdict.ok, JSON.stringify(verdict.checks.filter(({ status }) => status !== 'passed')));
      new Verifier(material).verify(toSignedEntity(bundleFromJSON(JSON.parse(rendering.toString()))));
    }
  }

  const parts: readonly TrustPart[] = ['ca', 'tsa', 'ct', 'log', 'rekor2'];
  for (const part of parts) {
    test(`${part}: half a year apart, what was signed before and after verifies with the newest trusted root`, async () => {
      bundles.push(await signOne());
      time.ms += 180 * DAY_MS;
      const before = house.attest.trust()[part].length;
      const state = await house.attest.rotate(part, { actor, reason: 'once a year' });
      assert.equal(state[part].length, before + 1);
      assert.ok(state[part][0]!.end !== undefined && state[part].at(-1)!.end === undefined);
      time.ms += 1;
      bundles.push(await signOne());
      assertAllVerify(bundles.slice(-2));
    });
  }

  test('the old trusted root does not know what the new ones signed', async () => {
    const old = house.attest.trustedRoot();
    await house.attest.rotate('ca', { actor, reason: 'again' });
    time.ms += 1000;
    const { bundle } = await signOne();
    const verdict = verifyBundle({ bundle, trustedRoot: old, expect });
    assert.ok(verdict.checks.some(({ name, status }) => name === 'certificate chain' && status === 'failed'));
  });

  test('every bundle ever made verifies after a restart, and the tables are those that the facts give', async () => {
    await house.close();
    house = await openHouse(dir, clock);
    assert.equal(house.attest.trust().ca.length, 3);
    bundles.push(await signOne());
    assertAllVerify();
    for (const { tiles } of house.attest.logs()) assert.ok((await tiles.verify()).ok);
    assert.ok((await rebuildAndCompare({ db: house.db, modules: [vaultModule, attestModule] })).ok);
  });

  test('while signatures are being made, a rotation waits for them and they for it', async () => {
    const work = [
      signOne(),
      signOne(),
      house.attest.rotate('log', { actor, reason: 'in between' }),
      signOne(),
      signOne(),
    ];
    const done = await Promise.all(work);
    time.ms += 2000;
    bundles.push(...(done.filter((one) => 'bundle' in one) as typeof bundles));
    assertAllVerify(bundles.slice(-4));
  });

  test('a compromised authority ends at once: what it signs later is not believed', async () => {
    const before = await signOne();
    time.ms += 5000;
    const state = await house.attest.rotate('ca', { actor, reason: 'stolen', compromised: true });
    const ended = state.ca.at(-2)!;
    assert.ok(ended.end! - time.ms < 1000, 'no grace for certificates that are still alive');
    const trustedRoot = house.attest.trustedRoot();
    assert.ok(verifyBundle({ bundle: before.bundle, trustedRoot, expect }).ok, 'what was signed before stays valid');
    const earlier = JSON.parse(JSON.stringify(trustedRoot)) as typeof trustedRoot;
    earlier.certificateAuthorities[state.ca.length - 2]!.validFor.end = new Date(time.ms - 10_000).toISOString();
    const verdict = verifyBundle({ bundle: before.bundle, trustedRoot: earlier, expect });
    assert.ok(
      verdict.checks.some(({ code }) => code === 'attest.authority_not_valid_then'),
      'the end is checked',
    );
  });
});

describe('the TUF repository', () => {
  let house: House;
  let dir: string;
  const time = { ms: START };
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'waybill-tuf-'));
    house = await openHouse(dir, { now: () => time.ms });
    await house.attest.tuf.refresh();
  });
  after(async () => {
    await house.close();
    await rm(dir, { recursive: true, force: true });
  });

  async function read<B>(path: string): Promise<Metadata<B>> {
    const text = await house.attest.tuf.file(path);
    assert.ok(text, `there is no ${path}`);
    return JSON.parse(text) as Metadata<B>;
  }

  /** As a client of TUF §5 does it, from a root it knows. */
  async function follow(from: number): Promise<{ root: RootBody; targets: TargetsBody; trustedRoot: string }> {
    let root = (await read<RootBody>(`${from}.root.json`)).signed;
    for (let version = from + 1; (await house.attest.tuf.file(`${version}.root.json`)) !== undefined; version++) {
      const next = await read<RootBody>(`${version}.root.json`);
      assert.ok(isSigned(next, root, 'root') && isSigned(next, next.signed, 'root'), `root ${version}`);
      root = next.signed;
    }
    const timestamp = await read<{ meta: Record<string, { version: number }>; expires: string }>('timestamp.json');
    assert.ok(isSigned(timestamp, root, 'timestamp') && Date.parse(timestamp.signed.expires) > time.ms);
    const version = timestamp.signed.meta['snapshot.json']!.version;
    const snapshot = await read<{ meta: Record<string, { version: number }>; expires: string }>(
      `${version}.snapshot.json`,
    );
    assert.ok(isSigned(snapshot, root, 'snapshot') && Date.parse(snapshot.signed.expires) > time.ms);
    const targets = await read<TargetsBody>(`${snapshot.signed.meta['targets.json']!.version}.targets.json`);
    assert.ok(isSigned(targets, root, 'targets') && Date.parse(targets.signed.expires) > time.ms);
    const target = targets.signed.targets['trusted_root.json']!;
    const content = await house.attest.tuf.file(`targets/${target.hashes.sha256}.trusted_root.json`);
    assert.equal(createHash('sha256').update(content!).digest('hex'), target.hashes.sha256);
    return { root, targets: targets.signed, trustedRoot: content! };
  }

  test('leads from its first root to the trusted root, with single keys for older clients', async () => {
    const { targets, trustedRoot } = await follow(1);
    assert.deepEqual(JSON.parse(trustedRoot), JSON.parse(JSON.stringify(house.attest.trustedRoot())));
    assert.deepEqual(targets.targets['rekor.pub']?.custom?.sigstore, {
      usage: 'Rekor',
      status: 'Active',
      uri: PUBLIC_URL,
    });
    for (const name of ['ctfe.pub', 'fulcio_v1.crt.pem', 'fulcio_intermediate_v1.crt.pem', 'tsa_leaf.crt.pem'])
      assert.ok(targets.targets[name], name);
  });

  test('is signed anew when a day old, not before, and never ends while it is kept', async () => {
    const before = await read<{ version: number }>('timestamp.json');
    await house.attest.tuf.refresh();
    assert.equal((await read<{ version: number }>('timestamp.json')).signed.version, before.signed.version);
    for (let day = 0; day < 400; day += 100) {
      time.ms += 100 * DAY_MS;
      await house.attest.tuf.refresh();
      await follow(1);
    }
    assert.ok((await read<{ version: number }>('timestamp.json')).signed.version > before.signed.version);
  });

  test('has the next generation as soon as something was rotated, with the old one marked', async () => {
    await house.attest.rotate('log', { actor, reason: 'test' });
    const { targets, trustedRoot } = await follow(1);
    assert.equal((JSON.parse(trustedRoot) as { tlogs: unknown[] }).tlogs.length, 3);
    assert.equal(targets.targets['rekor.pub']?.custom?.sigstore.status, 'Expired');
    assert.equal(targets.targets['rekor_2.pub']?.custom?.sigstore.status, 'Active');
  });

  test('nothing outside of it can be read', async () => {
    for (const path of [
      '',
      '../waybill.db',
      '0.root.json',
      '01.root.json',
      'root.json',
      '1.timestamp.json',
      `targets/${'0'.repeat(64)}.x`,
    ])
      assert.equal(await house.attest.tuf.file(path), undefined, path);
  });

  const offline = generateKeyPairSync('ed25519');
  const signer = {
    key: tufKey(offline.publicKey.export({ format: 'der', type: 'spki' })),
    sign: (bytes: Uint8Array) => sign(null, bytes, offline.privateKey),
  };
  const stranger = generateKeyPairSync('ed25519');
  const strangeSigner = {
    key: tufKey(stranger.publicKey.export({ format: 'der', type: 'spki' })),
    sign: (bytes: Uint8Array) => sign(null, bytes, stranger.privateKey),
  };
  async function signAlso(text: string, by = signer): Promise<string> {
    const metadata = JSON.parse(text) as Metadata;
    const { signatures } = await signMetadata(metadata.signed, [by]);
    return JSON.stringify({ ...metadata, signatures: [...metadata.signatures, ...signatures] });
  }
  const importSigned = (text: string) => house.attest.tuf.importSigned(text, actor);

  test('root and targets move to a key elsewhere; from then on this server cannot sign them', async () => {
    const { tuf } = house.attest;
    const exported = await tuf.exportUnsigned('root', signer.key.keyval.public);
    await assert.rejects(importSigned(exported), refusal('attest.tuf_invalid'), 'the new key has to sign as well');
    await assert.rejects(importSigned(await signAlso(exported, strangeSigner)), refusal('attest.tuf_invalid'));
    await importSigned(await signAlso(exported));
    assert.equal((await tuf.status()).key, 'offline');
    await house.attest.rotate('ct', { actor, reason: 'test' });
    assert.equal((await tuf.status()).pending, true, 'clients see the rotation only with the key elsewhere');
    const targets = await tuf.exportUnsigned('targets');
    await assert.rejects(importSigned(targets), refusal('attest.tuf_invalid'));
    await assert.rejects(importSigned(await signAlso(targets, strangeSigner)), refusal('attest.tuf_invalid'));
    const old = JSON.parse(targets) as Metadata<{ version: number }>;
    const rolledBack = JSON.stringify({ ...old, signed: { ...old.signed, version: 1 } });
    await assert.rejects(importSigned(await signAlso(rolledBack)), refusal('attest.tuf_invalid'));
    await importSigned(await signAlso(targets));
    assert.equal((await tuf.status()).pending, false);
    const { trustedRoot } = await follow(1);
    assert.equal((JSON.parse(trustedRoot) as { ctlogs: unknown[] }).ctlogs.length, 2);
  });

  test('before what only that key can renew ends, there is one alarm', async () => {
    assert.deepEqual(await house.attest.alerts(), []);
    time.ms += 340 * DAY_MS;
    await house.attest.tuf.refresh();
    await house.attest.tuf.refresh();
    const alerts = await house.attest.alerts();
    assert.equal(alerts.length, 1);
    assert.equal(alerts[0]!.code, 'attest.tuf_expires');
    assert.match(alerts[0]!.message, /targets/);
  });

  test('its tables are those that the facts give', async () => {
    assert.ok((await rebuildAndCompare({ db: house.db, modules: [vaultModule, attestModule] })).ok);
  });
});
