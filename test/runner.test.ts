import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { buildContract } from '#build';
import type { Client } from '#client';
import { identityContract } from '#identity';
import { sourceContract } from '#source';
import { enrol, startTestServer, type TestServer } from './support/server.ts';

const run = promisify(execFile);
const root = dirname(import.meta.dirname);

let dir: string;
let server: TestServer;
let maintainer: Client;
let git: (...args: string[]) => Promise<string>;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'waybill-runner-'));
  await chmod(dir, 0o711);
  server = await startTestServer();
  await server.owner.call(identityContract.createProject, { body: { slug: 'acme' } });
  const grants = [{ role: 'maintainer' as const, project: 'acme' }];
  const { link } = await server.owner.call(identityContract.invitePerson, {
    body: { name: 'mara', emails: ['mara@example.org'], grants },
  });
  const token = await enrol(server.anonymous, link);
  maintainer = server.as(token);
  await maintainer.call(sourceContract.createRepository, { params: { project: 'acme' }, body: { name: 'hello' } });
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'key')]);
  await maintainer.call(identityContract.enrolKey, {
    body: { publicKey: (await readFile(join(dir, 'key.pub'), 'utf8')).trim() },
  });
  git = gitFor(token);
  await git('init', '-q', '--initial-branch=main', '.');
  await git('remote', 'add', 'origin', `${server.url}/acme/hello.git`);
  const machine = await server.owner.call(identityContract.createMachine, {
    body: { name: 'runner-1', grants: [{ role: 'runner' }] },
  });
  await writeFile(join(dir, 'credential'), machine.token, { mode: 0o600 });
  await writeFile(join(dir, 'ca.pem'), server.ca);
});

after(async () => {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

function gitFor(token: string) {
  const config = {
    'user.name': 'Mara',
    'user.email': 'mara@example.org',
    'gpg.format': 'ssh',
    'user.signingKey': join(dir, 'key'),
    'commit.gpgSign': 'true',
    'http.sslCAInfo': join(dir, 'ca.pem'),
    'http.extraHeader': `Authorization: Bearer ${token}`,
  };
  return async (...args: string[]): Promise<string> => {
    const options = Object.entries(config).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    await mkdir(join(dir, 'clone'), { recursive: true });
    const env = { PATH: '/usr/bin:/bin', HOME: dir, GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' };
    return (await run('git', [...options, ...args], { cwd: join(dir, 'clone'), env })).stdout;
  };
}

async function pushWorkflow(steps: string): Promise<string> {
  const path = join(dir, 'clone/.github/workflows/ci.yml');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(
    path,
    `on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n${steps.replaceAll(/^/gm, '      ')}\n`,
  );
  await git('add', '-A');
  await git('commit', '-q', '-m', 'change');
  await git('push', '-q', 'origin', 'main');
  const commit = (await git('rev-parse', 'HEAD')).trim();
  return await poll(async () => {
    const { items } = await maintainer.call(buildContract.listRuns, { query: { project: 'acme' } });
    return items.find((item) => item.commit === commit)?.run;
  });
}

async function poll<T>(look: () => Promise<T | undefined>, forMs = 60_000): Promise<T> {
  const until = Date.now() + forMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const finished = (id: string) =>
  poll(async () => {
    const found = await maintainer.call(buildContract.showRun, { params: { run: id } });
    return found.finishedAt === null ? undefined : found;
  });

function startRunner(env: Record<string, string> = {}): {
  child: ChildProcess;
  lines: string[];
  exited: Promise<string>;
} {
  const flags = [
    '--server',
    server.url,
    '--ca',
    join(dir, 'ca.pem'),
    '--credential',
    join(dir, 'credential'),
    '--work',
    join(dir, 'work'),
  ];
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'runner', 'start', ...flags], {
    env: { PATH: '/usr/bin:/bin', HOME: dir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => lines.push(bytes.toString()));
  const exited = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? String(code))),
  );
  return { child, lines, exited };
}

describe('a runner process, a server and stock git', () => {
  test('a push is built by another process over TLS, its log is seen live, and the runner stops when told', async () => {
    const runner = startRunner();
    const id = await pushWorkflow(`- uses: actions/checkout@v4
- run: |
    for i in 1 2 3; do echo "line $i"; sleep 0.3; done
    git log -1 --format=%H; cp .github/workflows/ci.yml out
- uses: actions/upload-artifact@v4
  with: {name: out, path: out}`);
    const { jobs } = await maintainer.call(buildContract.showRun, { params: { run: id } });
    let text = '';
    const seenAt: number[] = [];
    for await (const event of maintainer.events(buildContract.followLog, { params: { job: jobs[0]!.job } })) {
      text += JSON.parse(event.data) as string;
      seenAt.push(Date.now());
    }
    const result = await finished(id);
    assert.equal(result.state, 'success', text + runner.lines.join(''));
    assert.match(text, /line 1[\s\S]*line 3[\s\S]*Job succeeded\.\n$/);
    assert.ok(text.includes(`Z ${result.commit}\n`));
    assert.ok(seenAt.at(-1)! - seenAt[0]! > 500, 'the log came while the job ran');
    assert.equal(result.outputs[0]!.name, 'out');
    runner.child.kill('SIGTERM');
    assert.equal(await runner.exited, '0', runner.lines.join(''));
  });

  test('a runner killed in the middle of a step: the next one runs the job again, and nothing of the first is left', async () => {
    const first = startRunner({ WAYBILL_FAULT_POINT: 'runner.mid_step' });
    const id = await pushWorkflow(`- run: echo "attempt $GITHUB_RUN_ATTEMPT"
- run: echo second step`);
    assert.equal(await first.exited, 'SIGKILL');
    const second = startRunner();
    const result = await finished(id);
    assert.deepEqual([result.state, result.jobs[0]!.attempt], ['success', 2]);
    second.child.kill('SIGTERM');
    await second.exited;
    assert.deepEqual(await readdir(join(dir, 'work/jobs')), []);
  });
});
