import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openCheckpoint, parseVkey } from '#ledger';

const steps = 10;

test('the demo does every step, and leaves an outsider what they need to check; the image is one that skopeo reads', async () => {
  const out = await mkdtemp(join(tmpdir(), 'waybill-demo-test-'));
  try {
    const ran = spawnSync(process.execPath, ['scripts/demo.ts', '--exit', '--json', '--out', out], {
      encoding: 'utf8',
    });
    assert.equal(ran.status, 0, `${ran.stdout}\n${ran.stderr}`);
    const report = JSON.parse(ran.stdout) as { ok: boolean; steps: { name: string; ok: boolean; evidence: object }[] };
    assert.equal(report.ok, true);
    assert.equal(report.steps.length, steps);
    assert.ok(report.steps.every((step) => step.ok && Object.keys(step.evidence).length > 0));

    const names = await readdir(out);
    const artifacts = ['hello', 'hello.tar.gz', 'hello.jar', 'hello.oci.tar'];
    for (const name of [...artifacts, ...artifacts.map((one) => `${one}.sigstore.json`)])
      assert.ok(names.includes(name), name);
    for (const name of ['trace.json', 'trusted_root.json']) JSON.parse(await readFile(join(out, name), 'utf8'));
    const verifier = parseVkey((await readFile(join(out, 'ledger.vkey'), 'utf8')).trim());
    openCheckpoint(await readFile(join(out, 'checkpoint'), 'utf8'), verifier.name, [verifier]);

    const inspected = spawnSync('skopeo', ['inspect', '--config', `oci-archive:${join(out, 'hello.oci.tar')}`], {
      encoding: 'utf8',
    });
    assert.equal(inspected.status, 0, inspected.stderr);
    const { config } = JSON.parse(inspected.stdout) as { config: { Entrypoint: string[] } };
    assert.deepEqual(config.Entrypoint, ['/hello']);
  } finally {
    await rm(out, { recursive: true });
  }
});
