import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '#base';
import { createIdentity, identityModule } from '#identity';
import { createJournal, rebuildAndCompare } from '#journal';
import { createSource, sourceModule } from '#source';
import { openDatabase, openObjects } from '#storage';

const run = promisify(execFile);
const victim = fileURLToPath(new URL('./support/source-victim.ts', import.meta.url));
const git = async (cwd: string, ...args: string[]) =>
  (
    await run('git', args, {
      cwd,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
    })
  ).stdout.trim();

interface Victim {
  data: string;
  repository: string;
  first: string;
  second: string;
}

/** Starts a server that kills itself at the named point of its second push. */
async function killAt(point: string): Promise<Victim> {
  const child = spawn(process.execPath, [victim], {
    env: { PATH: process.env['PATH'], WAYBILL_FAULT_POINT: point, WAYBILL_FAULT_HIT: '2' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', output);
  return JSON.parse(output) as Victim;
}

/** Everything of the source module over the victim's data directory, as after a restart. */
async function restart(data: string) {
  const db = await openDatabase({ path: join(data, 'waybill.db') });
  const modules = [identityModule, sourceModule];
  const journal = await createJournal({ db, clock: systemClock, modules });
  const identity = createIdentity({ journal, db, clock: systemClock, pepper: randomBytes(32) });
  const objects = await openObjects({ dir: join(data, 'objects') });
  const source = await createSource({
    dir: join(data, 'git'),
    publicUrl: 'https://localhost',
    secret: randomBytes(32),
    journal,
    db,
    objects,
    identity,
  });
  return {
    source,
    journal,
    rebuilt: () => rebuildAndCompare({ db, modules }),
    async close() {
      await source.close();
      await journal.close();
      await db.close();
    },
  };
}

const cases: Readonly<Record<string, 'completed' | 'gone'>> = {
  // Before the fact nothing happened; from the fact on everything did.
  'source.before_verdict': 'gone',
  'source.before_recorded': 'gone',
  'source.after_accepted': 'completed',
};

for (const [point, outcome] of Object.entries(cases)) {
  test(`killed at ${point}, the push is ${outcome} after the restart, and disk, tables and facts agree`, async () => {
    const { data, repository, first, second } = await killAt(point);
    const dir = join(data, 'git', `${repository}.git`);
    const again = await restart(data);
    try {
      const expected = outcome === 'completed' ? second : first;
      assert.equal(await git(dir, 'rev-parse', 'refs/heads/main'), expected);
      assert.deepEqual(
        (await again.source.refs(repository)).map(({ target }) => target),
        [expected],
      );
      assert.equal((await again.source.verifyRefs(repository)).ok, true);
      const rebuilt = await again.rebuilt();
      assert.equal(rebuilt.ok, true, JSON.stringify(rebuilt.checks));
      const stored = await git(dir, 'cat-file', '--batch-all-objects', '--batch-check=%(objectname)');
      assert.equal(stored.includes(second), outcome === 'completed');
      assert.deepEqual(
        (await readdir(join(dir, 'objects'))).filter((name) => /incoming|tmp/.test(name)),
        [],
      );
      assert.deepEqual(await readdir(join(dir, 'waybill')), []);
      await git(dir, 'fsck', '--strict');
      if (outcome === 'completed') await again.source.requireCommit(repository, second, 'refs/heads/main');
    } finally {
      await again.close();
      await rm(data, { recursive: true, force: true });
    }
  });
}
