import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Problem } from '#base';
import { type Protection, protections } from '../src/sandbox/profile.ts';
import { findProcesses, openSandbox, type Sandbox, type SandboxCommand } from '#sandbox';

let dir: string;
let sandbox: Sandbox;
let workspace: string;
let home: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'waybill-sandbox-'));
  await chmod(dir, 0o711);
  sandbox = await openSandbox({ dir: join(dir, 'sandbox') });
  [workspace, home] = [join(dir, 'ws'), join(dir, 'home')];
  await sandbox.createDirectory(workspace);
  await sandbox.createDirectory(home);
});

after(() => rm(dir, { recursive: true, force: true }));

async function run(
  script: string,
  more: Partial<SandboxCommand> = {},
): Promise<{ text: string; exitCode: number | null; outcome: string }> {
  let text = '';
  const ending = await sandbox.run({
    argv: ['/bin/bash', '-c', script],
    env: { PATH: '/usr/bin:/bin', HOME: '/home/build' },
    mounts: { workspace, home },
    onOutput: (bytes) => {
      text += bytes.toString();
    },
    ...more,
  });
  return { text, exitCode: ending.exitCode, outcome: ending.outcome };
}

describe('sandbox', () => {
  test('the self-test of the real profile passes every check', async () => {
    const { verdict } = await sandbox.selfTest();
    assert.deepEqual(
      verdict.checks.filter((check) => check.status !== 'passed'),
      [],
    );
    assert.ok(verdict.ok && verdict.checks.length > 70);
  });

  const expectedFailure: Readonly<Record<Protection, string>> = {
    seccomp: 'system call keyctl',
    network: 'unreachable: loopback of the host',
    processes: 'only its own processes are visible',
    capabilities: 'no capabilities: CapEff',
    limits: 'limit: address space',
    'empty-environment': 'environment of pid 1 is empty',
    'read-only-root': 'read-only: /dev',
    'own-files': 'runner’s files are absent',
    'kill-tree': 'no process survives a step that was killed',
    'fixed-mount-points': 'mount points cannot be redirected',
    'closed-descriptors': 'only descriptors 0, 1, 2',
    'unprivileged-user': 'user is not root',
  };
  for (const without of protections) {
    test(`without ${without} the self-test finds the hole`, async (t) => {
      const weak = await openSandbox({ dir: join(dir, `weak-${without}`), without });
      const { verdict, observations } = await weak.selfTest();
      const name = expectedFailure[without];
      if (without === 'fixed-mount-points' && !observations.followsPlantedSymlinks) {
        t.skip('this bubblewrap refuses planted symlinks by itself');
        return;
      }
      assert.equal(verdict.ok, false);
      assert.equal(verdict.checks.find((check) => check.name === name)?.status, 'failed');
      assert.notEqual(weak.profileDigest, sandbox.profileDigest);
    });
  }

  test('stdout and stderr keep the order in which the program wrote them, and can be re-opened', async () => {
    const { text } = await run('for i in 1 2 3; do echo out $i; echo err $i >&2; done; echo again > /dev/stdout');
    assert.equal(text, 'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nagain\n');
  });

  test('the exit code is the command’s, and a signal is told as 128 plus its number', async () => {
    assert.equal((await run('exit 7')).exitCode, 7);
    assert.equal((await run('kill -SEGV $$')).exitCode, 139);
  });

  test('a sandbox that cannot start is a problem, not an exit code', async () => {
    await assert.rejects(
      run('true', { mounts: { workspace: join(dir, 'absent'), home } }),
      (error) => Problem.is(error) && error.code === 'sandbox.start_failed',
    );
  });

  test('time-out kills everything, daemons included', async () => {
    const marker = `86398.${process.pid}`;
    const { outcome, exitCode } = await run(`trap '' TERM; setsid sleep ${marker} & sleep ${marker}`, {
      limits: { wallClockMs: 300 },
    });
    assert.deepEqual([outcome, exitCode], ['timed_out', null]);
    assert.deepEqual(await findProcesses(marker), []);
  });

  test('cancellation by signal ends the command at once', async () => {
    const abort = new AbortController();
    const { outcome } = await run('echo up; sleep 60', { signal: abort.signal, onOutput: () => abort.abort() });
    assert.equal(outcome, 'cancelled');
  });

  test('a fork bomb stops at the process limit', async () => {
    const { text } = await run('for i in $(seq 100); do sleep 5 & done; echo alive; kill -9 -1', {
      limits: { processes: 30, wallClockMs: 20_000 },
    });
    assert.match(text, /Resource temporarily unavailable/);
  });

  test('memory and file size stop at their limits', async () => {
    const GIB = 1024 ** 3;
    const { text } = await run(
      'perl -e \'my $x = "a" x (2**30); print "got it"\'; head -c 2M /dev/zero > big; ls -s big',
      {
        limits: { addressSpaceBytes: GIB / 2, fileBytes: 1024 ** 2 },
      },
    );
    assert.doesNotMatch(text, /got it/);
    assert.match(text, /^1024 big$/m);
  });

  test('a full /tmp is an error of the build, not of the host', async () => {
    const { text } = await run('head -c 8M /dev/zero > /tmp/x || echo full', {
      limits: { temporaryBytes: 4 * 1024 ** 2 },
    });
    assert.match(text, /No space left on device[\s\S]*full/);
  });

  test('files of another directory of the same uid are out of reach', async () => {
    const other = join(dir, 'other-build');
    await sandbox.createDirectory(other);
    await writeFile(join(other, 'secret'), 'theirs');
    const { text } = await run(
      `cat ${join(other, 'secret')}; cat /proc/1/root${join(other, 'secret')}; ls /proc/1/cwd/tmp`,
    );
    assert.doesNotMatch(text, /theirs/);
  });

  test('C and Java compilers work inside, and what they make is the runner’s to read', async () => {
    const { text, exitCode } = await run(
      `printf 'int main(void){return 3;}' > a.c && gcc -static -o a a.c; ./a; echo c $?; java -version 2>&1 | head -1; id -un; date +%Z`,
    );
    assert.match(text, /c 3\nopenjdk version/);
    assert.match(text, /build\nUTC/);
    assert.equal(exitCode, 0);
    assert.equal((await readFile(join(workspace, 'a'))).subarray(1, 4).toString(), 'ELF');
  });

  test('a set-uid file cannot be made', async () => {
    const { text } = await run(
      'cp /usr/bin/true t && chmod 4755 t; install -m 2755 t u; perl -e \'mkdir "d"; chmod 06755, "t" or print "no\\n"\'; stat -c %a t',
    );
    assert.match(text, /no\n755\n$/);
  });

  test('the environment is exactly the declared one', async () => {
    const { text } = await run('env', { env: { PATH: '/usr/bin:/bin', A: 'line\nbreak' } });
    const names = text.split('\n').map((line) => line.split('=')[0] ?? '');
    assert.deepEqual(new Set(names), new Set(['A', 'break', 'PATH', 'PWD', 'SHLVL', '_', ''])); // bash adds SHLVL and _
  });

  test('no mount point lies at or below what a build can write', async () => {
    const { text } = await run('cat /proc/self/mountinfo');
    const points = text
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '');
    const writable = ['/ws', '/home/build', '/ci'];
    assert.ok(points.includes('/ws'));
    assert.deepEqual(
      points.filter((point) => writable.some((path) => point.startsWith(`${path}/`))),
      [],
    );
  });
});
