import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { SigningKey } from '#identity';
import { checkCertificate } from './check-certificate.ts';
import type { SignerDirectory } from './check-signatures.ts';

const dir = mkdtempSync(join(tmpdir(), 'waybill-certificate-'));
after(() => rmSync(dir, { recursive: true, force: true }));
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'key')]);
const [, fingerprint = ''] = execFileSync('ssh-keygen', ['-l', '-f', join(dir, 'key.pub')])
  .toString()
  .split(' ');

const update = { ref: 'refs/heads/main', old: '1'.repeat(40), new: '2'.repeat(40) };
const payload = (pushee: string, nonce: string) =>
  `certificate version 0.1\npusher key <me@example.org> 1700000000 +0000\npushee ${pushee}\nnonce ${nonce}\n\n${update.old} ${update.new} ${update.ref}\n`;
const sign = (text: string) =>
  text +
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'git', '-f', join(dir, 'key')], {
    input: text,
    stdio: ['pipe', 'pipe', 'ignore'],
  }).toString();

const url = 'https://waybill.example/acme/hello.git';
const key: SigningKey = {
  fingerprint,
  principal: 'prn_me',
  keyType: 'ssh-ed25519',
  publicKey: '',
  label: '',
  enrolledAt: 0,
  revokedAt: null,
};
const directory = (found: SigningKey | undefined): SignerDirectory => ({
  signingKey: async (wanted) => (wanted === fingerprint ? found : undefined),
  findPrincipal: async () => undefined,
  decide: async (_caller, permission) => ({ allowed: false, permission, reasons: [] }),
});

const good = {
  policy: 'require' as const,
  certificate: { text: sign(payload(url, 'n1')), nonce: 'n1', nonceStatus: 'OK' },
  updates: [update],
  pusher: 'prn_me',
  cloneUrl: url,
  directory: directory(key),
  isNonceUsed: async () => false,
};
const outcome = async (change: Partial<Parameters<typeof checkCertificate>[0]>) => {
  const [check] = await checkCertificate({ ...good, ...change });
  return check?.code ?? check?.status;
};

test('a good certificate passes, also when the address carries a user name or lacks .git', async () => {
  assert.equal(await outcome({}), 'passed');
  const pushee = 'https://somebody@waybill.example/acme/hello/';
  assert.equal(await outcome({ certificate: { ...good.certificate, text: sign(payload(pushee, 'n1')) } }), 'passed');
});

test('without one, the repository’s rule decides', async () => {
  assert.equal(await outcome({ certificate: null }), 'source.certificate_missing');
  assert.equal(await outcome({ certificate: null, policy: 'ask' }), 'not_checked');
  assert.equal(await outcome({ certificate: null, policy: 'off' }), 'not_checked');
});

test('everything a certificate says is compared: change one thing, and it is refused', async () => {
  const { certificate } = good;
  assert.equal(
    await outcome({ certificate: { ...certificate, text: certificate.text.replace('me@example', 'mo@example') } }),
    'source.certificate_invalid',
  );
  assert.equal(
    await outcome({ certificate: { ...certificate, text: payload(url, 'n1') } }),
    'source.certificate_invalid',
  );
  assert.equal(await outcome({ pusher: 'prn_other' }), 'source.certificate_signer');
  assert.equal(await outcome({ directory: directory(undefined) }), 'source.certificate_signer');
  assert.equal(await outcome({ directory: directory({ ...key, revokedAt: 1 }) }), 'source.certificate_signer');
  assert.equal(await outcome({ updates: [{ ...update, new: '3'.repeat(40) }] }), 'source.certificate_mismatch');
  assert.equal(
    await outcome({ updates: [update, { ...update, ref: 'refs/heads/more' }] }),
    'source.certificate_mismatch',
  );
  assert.equal(await outcome({ cloneUrl: 'https://waybill.example/acme/other.git' }), 'source.certificate_mismatch');
  assert.equal(await outcome({ certificate: { ...certificate, nonceStatus: 'SLOP' } }), 'source.certificate_nonce');
  assert.equal(await outcome({ certificate: { ...certificate, nonce: 'n2' } }), 'source.certificate_nonce');
  assert.equal(await outcome({ isNonceUsed: async (nonce) => nonce === 'n1' }), 'source.certificate_replayed');
});
