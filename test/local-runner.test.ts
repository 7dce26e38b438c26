import assert from 'node:assert/strict';
import { chown, lstat, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startLocalRunner } from '#server';

const isRoot = process.getuid?.() === 0;

test(
  'a link that the runner left in its directory does not make root give it what lies behind',
  { skip: !isRoot },
  async () => {
    const home = await mkdtemp(join(tmpdir(), 'waybill-local-runner-'));
    const [dir, victim, caPath] = [join(home, 'runner'), join(home, 'victim'), join(home, 'ca.pem')];
    try {
      await mkdir(victim, { mode: 0o700 });
      await mkdir(dir);
      await writeFile(caPath, 'not a certificate');
      await symlink(victim, join(dir, 'jobs'));
      // As the directory was when it belonged to the runner.
      await chown(dir, 61_199, 61_199);
      const options = { url: 'https://localhost:1', caPath, dir, token: 'wbm_none', onLine: () => undefined };
      const runner = await startLocalRunner(options);
      await runner.stop();
      assert.equal((await stat(victim)).uid, 0);
      assert.equal((await stat(dir)).uid, 0);
      const jobs = await lstat(join(dir, 'jobs'));
      assert.ok(jobs.isDirectory());
      assert.notEqual(jobs.uid, 0);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  },
);
