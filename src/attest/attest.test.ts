import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestFromHex, Problem } from '#base';
import { rebuildAndCompare } from '#journal';
import { vaultModule } from '#vault';
import { attestModule, parseStatement, verifyBundle } from './index.ts';
import { ARTIFACT, type House, openHouse, provenance, PUBLIC_URL, SAN, withDirectory } from './testhouse.ts';

const refusal = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const artifact = digestFromHex(ARTIFACT);
const expect = { issuer: `${PUBLIC_URL}/oidc/control`, san: SAN, predicateType: 'https://slsa.dev/provenance/v1' };

describe('a signed attestation', () => {
  let house: House;
  before(async () => {
    house = await openHouse(await mkdtemp(join(tmpdir(), 'waybill-attest-')));
  });
  after(async () => {
    await house.close();
    await rm(house.dir, { recursive: true, force: true });
  });

  test('verifies with stock sigstore-js at its defaults, and says who signed', async () => {
    const { bundle } = await house.attest.sign(provenance());
    const { bytes } = await house.attest.requireBundle(bundle);
    const json = JSON.parse(bytes.toString('utf8'));
    const material = toTrustMaterial(TrustedRoot.fromJSON(JSON.parse(JSON.stringify(house.attest.trustedRoot()))));
    const signer = new Verifier(material).verify(toSignedEntity(bundleFromJSON(json)));
    assert.equal(signer.identity?.subjectAlternativeName, SAN);
    assert.equal(signer.identity?.extensions?.issuer, expect.issuer);
  });

  test('verifies with our own verifier, every check passed', async () => {
    const { bundle } = await house.attest.sign(provenance());
    const { bytes } = await house.attest.requireBundle(bundle);
    const verdict = verifyBundle({ bundle: bytes, trustedRoot: house.attest.trustedRoot(), artifact, expect });
    assert.deepEqual(
      verdict.checks.filter((check) => check.status !== 'passed'),
      [],
    );
    assert.ok(verdict.ok);
    assert.equal(verdict.signer?.extensions.runnerEnvironment, 'platform-hosted');
    assert.equal(verdict.statement?.subject[0]?.digest['sha256'], ARTIFACT);
  });

  test('is found by the digest of each of its subjects', async () => {
    const subjects = [
      { name: 'one', digest: { sha256: '11'.repeat(32) } },
      { name: 'two', digest: { sha256: '22'.repeat(32), gitCommit: '33'.repeat(20) } },
    ];
    const { bundle, logIndex } = await house.attest.sign(provenance({ subjects }));
    for (const digest of [
      digestFromHex('11'.repeat(32)),
      digestFromHex('22'.repeat(32)),
      `gitCommit:${'33'.repeat(20)}`,
    ] as const) {
      const rows = await house.attest.bundlesFor(digest);
      assert.deepEqual(
        rows.map((row) => [row.bundle, row.logIndex, row.san]),
        [[bundle, logIndex, SAN]],
      );
    }
    assert.deepEqual(await house.attest.bundlesFor(digestFromHex('ff'.repeat(32))), []);
  });

  test('is an entry of the signatures log, which is whole', async () => {
    const { logIndex } = await house.attest.sign(provenance());
    const entry = JSON.parse((await house.attest.signaturesLog.entry(logIndex)).toString());
    assert.equal(entry.kind, 'dsse');
    assert.ok((await house.attest.signaturesLog.verify()).ok);
  });

  test('is made once for an idempotency key, also when asked for twice at once', async () => {
    const [first, second] = await Promise.all(
      [1, 2].map(() => house.attest.sign(provenance({ idempotencyKey: 'provenance/run_1' }))),
    );
    assert.equal(first?.bundle, second?.bundle);
    const later = await house.attest.sign(
      provenance({ idempotencyKey: 'provenance/run_1', predicate: { later: true } }),
    );
    assert.equal(later.bundle, first?.bundle);
    assert.deepEqual(later.statement, first?.statement);
    const other = provenance({
      idempotencyKey: 'provenance/run_1',
      subjects: [{ name: 'x', digest: { sha256: '99'.repeat(32) } }],
    });
    await assert.rejects(house.attest.sign(other), refusal('attest.key_reused'));
  });

  test('gets a precertificate in the list of certificates for every certificate', async () => {
    const { bundle } = await house.attest.sign(provenance());
    const facts = await house.journal.read({ types: ['attest.precertificate_logged'], limit: 1000 });
    const made = await house.journal.read({ types: ['attest.bundle_made'], limit: 1000 });
    assert.equal(facts.length, made.length);
    assert.ok(made.some((fact) => (fact.payload as { bundle: string }).bundle === bundle));
  });

  test('is signed for names under our own address only', async () => {
    const identity = { san: 'https://other.example.com/acme/hello' };
    await assert.rejects(house.attest.sign(provenance({ identity })), TypeError);
    await assert.rejects(
      house.attest.sign(provenance({ identity: { san: `${PUBLIC_URL}.evil.example.com/x` } })),
      TypeError,
    );
  });

  test('has a statement of in-toto with hexadecimal digests, or is not signed', async () => {
    const subjects = [{ name: 'x', digest: { sha256: 'not hex' } }];
    await assert.rejects(house.attest.sign(provenance({ subjects })), refusal('attest.statement_invalid'));
    await assert.rejects(house.attest.sign(provenance({ subjects: [] })), refusal('attest.statement_invalid'));
    assert.throws(() => parseStatement(Buffer.from('{}')), refusal('attest.statement_invalid'));
  });

  test('has rows that the facts give again', async () => {
    const verdict = await rebuildAndCompare({ db: house.db, modules: [vaultModule, attestModule] });
    assert.ok(verdict.ok, JSON.stringify(verdict.checks));
  });

  test('is not handed out once its bytes have changed on the disk', async () => {
    const { bundle } = await house.attest.sign(provenance());
    const path = house.objects.path(bundle);
    const bytes = await readFile(path);
    bytes[100]! ^= 1;
    await chmod(path, 0o600);
    await writeFile(path, bytes);
    await assert.rejects(house.attest.requireBundle(bundle), refusal('storage.object_damaged'));
  });
});

describe('the authority', () => {
  test('keeps keys, certificates and log over a restart', () =>
    withDirectory(async (dir) => {
      const first = await openHouse(dir);
      const before = await first.attest.sign(provenance({ idempotencyKey: 'k' }));
      const root = first.attest.trustedRoot();
      await first.close();
      const second = await openHouse(dir);
      assert.deepEqual(second.attest.trustedRoot(), root);
      assert.equal((await second.attest.sign(provenance({ idempotencyKey: 'k' }))).bundle, before.bundle);
      assert.equal((await second.attest.sign(provenance())).logIndex, before.logIndex + 1);
      const { bytes } = await second.attest.requireBundle(before.bundle);
      assert.ok(verifyBundle({ bundle: bytes, trustedRoot: root, artifact, expect }).ok);
      await second.close();
    }));

  test('signs nothing with a clock that went back or is past its own end', () =>
    withDirectory(async (dir) => {
      let offsetMs = 0;
      const house = await openHouse(dir, { now: () => Date.now() + offsetMs });
      await house.attest.sign(provenance());
      const facts = await house.journal.head();
      offsetMs = -60_000;
      await assert.rejects(house.attest.sign(provenance()), refusal('attest.clock_wrong'));
      offsetMs = 4 * 365 * 24 * 3_600_000;
      await assert.rejects(house.attest.sign(provenance()), refusal('attest.authority_expired'));
      assert.equal(await house.journal.head(), facts);
      await house.close();
    }));

  test('does not start under another name', () =>
    withDirectory(async (dir) => {
      await (await openHouse(dir)).close();
      await assert.rejects(openHouse(dir, undefined, 'other.example.com'), refusal('attest.name_changed'));
    }));

  test('does not start under a name that cannot stand in a URL', () =>
    withDirectory(async (dir) => {
      for (const name of [
        '127.0.0.1',
        '::1',
        '[::1].waybill.internal',
        'a b',
        'Upper.example.com',
        'x/y',
        '',
        '.x',
        'x:1',
      ]) {
        await assert.rejects(openHouse(dir, undefined, name), refusal('attest.name_invalid'), name);
      }
      await (await openHouse(dir, undefined, 'localhost')).close();
    }));

  test('notices an entry whose row was edited, and signs on to no log that contradicts itself', () =>
    withDirectory(async (dir) => {
      const house = await openHouse(dir);
      await house.attest.sign(provenance());
      await house.db.write(async (tx) => {
        await tx.as<{ attest_entry: { body: string } }>().updateTable('attest_entry').set({ body: '{}' }).execute();
      });
      assert.equal((await house.attest.signaturesLog.verify()).ok, false);
      await house.close();
      await assert.rejects(openHouse(dir), (error) => Problem.is(error) && error.code.startsWith('ledger.'));
    }));

  test('refuses to go on with a draft that was damaged before its bundle was made', () =>
    withDirectory(async (dir) => {
      const house = await openHouse(dir);
      const request = provenance({ idempotencyKey: 'k' });
      // The log cannot be reached, so the entry is recorded and the bundle is not made.
      await house.attest.signaturesLog.close();
      await assert.rejects(house.attest.sign(request), (error) => Problem.is(error));
      await house.attest.close();
      const [fact] = await house.journal.read({ types: ['attest.entry_logged'], limit: 1 });
      const path = house.objects.path((fact?.payload as { draft: never } | undefined)?.draft as never);
      await chmod(path, 0o600);
      await writeFile(path, '{}');
      await house.close();
      const again = await openHouse(dir);
      await assert.rejects(again.attest.sign(request), refusal('storage.object_damaged'));
      await again.close();
    }));
});
