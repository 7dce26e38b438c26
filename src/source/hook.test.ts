import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type GateSocket, type HookAnswer, type HookQuestion, installHooks, openGateSocket } from './gate-socket.ts';

let dir: string;
let socket: GateSocket;
let asked: HookQuestion[] = [];
let answer: () => Promise<HookAnswer>;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'waybill-hook-'));
  await installHooks(join(dir, 'hooks'), { lock: true });
  socket = await openGateSocket(dir, async (question) => {
    asked.push(question);
    return await answer();
  });
});
after(async () => {
  await socket.close();
  await rm(dir, { recursive: true });
});

function runHook(
  hook: string,
  env: Record<string, string>,
  args: readonly string[] = [],
): Promise<{ status: number; stderr: string }> {
  asked = [];
  return new Promise((resolve) => {
    const child = execFile(
      join(dir, 'hooks', hook),
      [...args],
      { env: { PATH: '/usr/bin:/bin', ...env } },
      (error, _stdout, stderr) => resolve({ status: error === null ? 0 : Number(error.code), stderr }),
    );
    // A hook that has nothing to ask does not read.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end('input\n');
  });
}

test('the hook asks the server, prints its lines and takes over its verdict', async () => {
  const env = {
    WAYBILL_GATE_SOCKET: socket.path,
    WAYBILL_GATE_SESSION: 's1',
    GIT_QUARANTINE_PATH: '/q',
    SECRET: 'not for the server',
  };
  answer = async () => ({ ok: true, lines: ['fine'] });
  assert.deepEqual(await runHook('pre-receive', env), { status: 0, stderr: 'fine\n' });
  assert.deepEqual(asked, [
    { session: 's1', hook: 'pre-receive', input: 'input\n', env: { GIT_QUARANTINE_PATH: '/q' } },
  ]);
  answer = async () => ({ ok: false, lines: ['not so'] });
  assert.deepEqual(await runHook('pre-receive', env), { status: 1, stderr: 'not so\n' });
  assert.equal((await runHook('reference-transaction', env, ['prepared'])).status, 1);
});

test('no socket, no session, no answer and a failing gate are refusals', async () => {
  answer = async () => ({ ok: true, lines: [] });
  assert.equal((await runHook('pre-receive', {})).status, 1);
  assert.equal((await runHook('reference-transaction', {}, ['prepared'])).status, 1);
  assert.equal(
    (await runHook('pre-receive', { WAYBILL_GATE_SOCKET: join(dir, 'none'), WAYBILL_GATE_SESSION: 's1' })).status,
    1,
  );
  answer = async () => {
    throw new Error('broken');
  };
  const failing = await runHook('pre-receive', { WAYBILL_GATE_SOCKET: socket.path, WAYBILL_GATE_SESSION: 's1' });
  assert.equal(failing.status, 1);
  assert.match(failing.stderr, /the source gate failed/);
});

test('the lock is asked only while a change can still be stopped', async () => {
  answer = async () => ({ ok: false, lines: [] });
  for (const state of ['committed', 'aborted'])
    assert.equal((await runHook('reference-transaction', {}, [state])).status, 0);
});
