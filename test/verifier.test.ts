// The single-file verifier, built and run where nothing of Waybill is: an empty directory, an empty environment.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { showTrustedRoot } from '#attest';
import { actorOf, systemCaller } from '#identity';
import { startTestServer, type TestServer } from './support/server.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const hasBundler = (() => {
  try {
    return Boolean(process.env['WAYBILL_ESBUILD'] ?? createRequire(import.meta.url).resolve('esbuild'));
  } catch {
    return false;
  }
})();

describe('waybill-verify.mjs', { skip: hasBundler ? false : 'esbuild is not installed' }, () => {
  let server: TestServer;
  let dir: string;
  let san: string;
  const path = (name: string) => join(dir, name);

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waybill-verifier-'));
    execFileSync(process.execPath, ['scripts/build-verifier.ts', path('waybill-verify.mjs')], { cwd: root });
    server = await startTestServer();
    san = `${server.url}/verifier/v1`;
    writeFileSync(path('file'), 'content');
    const sha256 = 'ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73';
    const signed = await server.platform.attest.sign({
      predicateType: 'https://example.com/x',
      predicate: {},
      subjects: [{ name: 'file', digest: { sha256 } }],
      identity: { san },
      actor: actorOf(systemCaller('test')),
    });
    writeFileSync(path('file.sigstore.json'), (await server.platform.attest.requireBundle(signed.bundle)).bytes);
    const { stream } = await server.anonymous.download(showTrustedRoot, {});
    writeFileSync(path('root.json'), Buffer.concat(await stream.toArray()));
    // From here on there is no server.
    await server.stop();
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const run = (...words: string[]) =>
    spawnSync(process.execPath, ['waybill-verify.mjs', ...words], { cwd: dir, env: {}, encoding: 'utf8' });
  const expected = () => ['--trusted-root', 'root.json', '--identity', san, '--issuer', `${server.url}/oidc/control`];

  test('verifies by itself, and refuses an altered file', () => {
    const yes = run('file', ...expected());
    assert.equal(yes.status, 0, yes.stderr + yes.stdout);
    copyFileSync(path('file.sigstore.json'), path('altered.sigstore.json'));
    writeFileSync(path('altered'), 'another content');
    assert.equal(run('altered', ...expected()).status, 3);
    assert.equal(run().status, 2);
  });

  test('holds no part of the server and can be read', () => {
    const text = readFileSync(path('waybill-verify.mjs'), 'utf8');
    for (const word of ['kysely', 'fastify', 'node:sqlite', 'createServer', 'createECDSA'])
      assert.ok(!text.includes(word), word);
    for (const name of ['function verifyBundle', 'function verifyChain', 'function verifyInclusion'])
      assert.ok(text.includes(name), name);
  });
});
