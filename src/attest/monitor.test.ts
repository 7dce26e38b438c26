import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Clock, Problem } from '#base';
import { systemActor } from '#journal';
import { certify } from './draft.ts';
import { type PrecertificateLogged, precertificateLogged } from './facts.ts';
import { findUnusedCertificates, startCertificateMonitor } from './monitor.ts';
import { type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';
import { openTrust } from './trust.ts';

const actor = systemActor('test');
const time = { ms: Date.UTC(2026, 0, 1) };
const clock: Clock = { now: () => time.ms };
const refusal = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

let house: House;
before(async () => {
  house = await openHouse(await mkdtemp(join(tmpdir(), 'waybill-monitor-')), clock);
});
after(async () => {
  await house.close();
  await rm(house.dir, { recursive: true, force: true });
});

/** As an intruder with the keys of the server: a certificate like any other, in the list or not. */
async function forge(issuer: string, san: string, list: Partial<PrecertificateLogged> | undefined) {
  const trust = await openTrust({ ...house, clock, name: 'waybill.example.com', publicUrl: PUBLIC_URL });
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = key.publicKey.export({ format: 'der', type: 'spki' });
  const serials: string[] = [];
  const leaf = await certify(
    { san, issuer, extensions: {}, spki },
    trust.current(),
    time.ms,
    async (pre, serial, sctAt) => {
      serials.push(serial.toString('hex'));
      if (!list) return;
      const payload = {
        request: 'request/none',
        serial: serials[0]!,
        san,
        issuer,
        sctAt,
        precertificate: pre.toString('base64'),
        ...list,
      };
      await house.journal.record({ fact: precertificateLogged, payload, stream: `certificate/${serials[0]}`, actor });
    },
  );
  return { key, leaf, serial: serials[0]! };
}

const codes = async () => (await house.attest.alerts()).map(({ code }) => code);

describe('certificates that nobody asked for', () => {
  test('are found in the list, and those that were asked for are not', async () => {
    const monitor = startCertificateMonitor({ ...house, publicUrl: PUBLIC_URL, clock });
    await house.attest.sign(provenance());
    await house.journal.idle();
    assert.deepEqual(await codes(), []);
    const forged = await forge(`${PUBLIC_URL}/oidc/people`, `${PUBLIC_URL}/people/prn_x`, {});
    const hidden = await forge(`${PUBLIC_URL}/oidc/people`, `${PUBLIC_URL}/people/prn_x`, {
      san: `${PUBLIC_URL}/people/prn_y`,
    });
    const control = await forge(`${PUBLIC_URL}/oidc/control`, SAN, { request: 'request/none' });
    await house.journal.idle();
    const alerts = new Map((await house.attest.alerts()).map(({ serial, code }) => [serial, code]));
    assert.equal(alerts.get(forged.serial), 'attest.certificate_unasked');
    assert.equal(alerts.get(hidden.serial), 'attest.certificate_mislabelled');
    assert.equal(alerts.get(control.serial), 'attest.certificate_unasked');
    await monitor.stop();
  });

  test('are found when they sign: the log takes nothing from a certificate that is not in the list', async () => {
    const { key, leaf, serial } = await forge(`${PUBLIC_URL}/oidc/people`, `${PUBLIC_URL}/people/prn_x`, undefined);
    const digest = createHash('sha256').update('malware').digest();
    const signature = sign('sha256', Buffer.from('malware'), key.privateKey);
    const content = { kind: 'hashedrekord', algorithm: 'sha256', digest, signature } as const;
    const submit = () => house.attest.submitEntry({ form: 'rekor2', content, certificate: leaf, actor });
    await assert.rejects(submit(), refusal('attest.submission_refused'));
    await assert.rejects(submit(), refusal('attest.submission_refused'));
    const alerts = (await house.attest.alerts()).filter((alert) => alert.serial === serial);
    assert.deepEqual(
      alerts.map(({ code }) => code),
      ['attest.certificate_unlisted'],
      'once, however often it is tried',
    );
  });

  test('are found when they sign as the control plane what it did not sign', async () => {
    const { key, leaf, serial } = await forge(`${PUBLIC_URL}/oidc/control`, SAN, { request: 'attestation/att_forged' });
    const digest = createHash('sha256').update('malware').digest();
    const signature = sign('sha256', Buffer.from('malware'), key.privateKey);
    const content = { kind: 'hashedrekord', algorithm: 'sha256', digest, signature } as const;
    const submission = { form: 'rekor1', content, certificate: leaf, actor } as const;
    await assert.rejects(house.attest.submitEntry(submission), refusal('attest.control_reserved'));
    assert.ok(
      (await house.attest.alerts()).some((one) => one.serial === serial && one.code === 'attest.control_misused'),
    );
  });

  test('of the control plane that signed nothing are found a quarter of an hour later', async () => {
    const { serial } = await forge(`${PUBLIC_URL}/oidc/control`, SAN, { request: 'attestation/att_unused' });
    const options = { ...house, publicUrl: PUBLIC_URL, clock };
    await findUnusedCertificates(options);
    assert.ok(
      !(await house.attest.alerts()).some((one) => one.serial === serial && one.code === 'attest.certificate_unused'),
    );
    time.ms += 16 * 60_000;
    await findUnusedCertificates(options);
    const unused = (await house.attest.alerts()).filter(({ code }) => code === 'attest.certificate_unused');
    assert.ok(unused.some((one) => one.serial === serial));
    const signed = await house.journal.read({ types: ['attest.entry_logged'], limit: 10 });
    assert.equal(signed.length, 1);
  });
});
