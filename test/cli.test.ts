import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCli } from '#cli';
import { identityContract } from '#identity';
import { PassThrough, Readable } from 'node:stream';
import { startTestServer, type TestServer } from './support/server.ts';

/** Command lines against a real server, with what they print and how they end. */
let server: TestServer;
let directory: string;
let env: Record<string, string>;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
  server = await startTestServer();
  env = { WAYBILL_HOME: join(directory, 'home') };
  writeFileSync(join(directory, 'ca.pem'), server.ca);
});
after(async () => {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

interface Left {
  status: number;
  stdout: string;
  stderr: string;
}

async function waybill(line: string, stdin = ''): Promise<Left> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const status = await runCli(line.split(' '), {
    terminal: { stdin: Readable.from([stdin]), stdout, stderr, env },
    signal: new AbortController().signal,
    onSignal: () => undefined,
    decided: () => undefined,
  });
  const textOf = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

const json = (left: Left) => JSON.parse(left.stdout) as Record<string, unknown>;

test('a login takes an enrolment link from stdin, once', async () => {
  const { link } = await server.owner.call(identityContract.invitePerson, {
    body: { name: 'ada', emails: [], grants: [{ role: 'owner' }] },
  });
  const first = await waybill(`login --ca ${join(directory, 'ca.pem')}`, `${link}\n`);
  assert.deepEqual(first, { status: 0, stdout: `Logged in to ${server.url} as ada.\n`, stderr: '' });
  const again = await waybill(`login --ca ${join(directory, 'ca.pem')}`, link);
  assert.equal(again.status, 4);
  assert.match(again.stderr, /was used, replaced, or has expired/);
  assert.equal((await waybill('whoami')).status, 0, 'the login before is still good');
});

test('a login without the CA of the server is refused, and nothing is sent', async () => {
  const { link } = await server.owner.call(identityContract.invitePerson, {
    body: { name: 'eve', emails: [], grants: [] },
  });
  const kept = env;
  env = { WAYBILL_HOME: join(directory, 'other') };
  const refused = await waybill('login', link);
  assert.equal(refused.status, 3);
  assert.match(refused.stderr, /cannot be trusted .* Nothing was sent/);
  assert.equal((await waybill(`login --ca ${join(directory, 'ca.pem')}`, link)).status, 0, 'the link was not used up');
  env = kept;
});

test('success is 0, what exists already is 6, what is not there is 5, what is malformed is 2', async () => {
  const created = await waybill('project create acme');
  assert.deepEqual([created.status, created.stderr], [0, '']);
  assert.match(created.stdout, /^Created project acme\./);
  assert.equal((await waybill('project create acme')).status, 6);
  assert.equal((await waybill('project show nothing')).status, 5);
  assert.equal((await waybill('project create Not-A-Slug')).status, 2);
  assert.equal((await waybill('access explain release:approve --project acme')).status, 3);
});

test('lists are tables for people and one document for programs', async () => {
  assert.match((await waybill('project list')).stdout, /^PROJECT +CREATED +ID\nacme +\d{4}-\d\d-\d\d .*prj_/);
  assert.deepEqual(json(await waybill('project list --json=slug')), { items: [{ slug: 'acme' }], next: null });
  const failed = await waybill('project show nothing --json');
  assert.equal(failed.status, 5);
  assert.equal((json(failed)['error'] as { code: string }).code, 'identity.project_not_found');
});

test('the ledger is compared with what was seen here before, and a proof is computed here', async () => {
  assert.match((await waybill('ledger status')).stdout, /First sight of this server/);
  assert.equal((await waybill('project create later')).status, 0);
  assert.match((await waybill('ledger status')).stdout, /It continues the checkpoint of size \d+/);
  assert.equal((await waybill('ledger entry 1')).status, 0);
  const file = join(directory, 'fact.tlog-proof');
  assert.equal((await waybill(`ledger prove 2 --out ${file}`)).status, 0);
  assert.match(readFileSync(file, 'utf8'), /^c2sp\.org\/tlog-proof@v1\nindex 1\n/);
  assert.equal((await waybill('ledger verify')).status, 0);
});

test('a server that shows a shorter ledger than before is refused with status 3', async () => {
  const seen = join(directory, 'home', 'checkpoints.json');
  const kept = readFileSync(seen, 'utf8');
  const size = (json(await waybill('ledger status --json'))['size'] as number) + 1;
  const forged = kept.replace(/\\n\d+\\n/, `\\n${size}\\n`);
  writeFileSync(seen, forged);
  const left = await waybill('ledger status');
  writeFileSync(seen, kept);
  // What was remembered is signed as well: an edited memory does not pass either.
  assert.equal(left.status, 3);
});

test('a machine credential goes into a file, and a token never onto the screen with other words', async () => {
  const file = join(directory, 'runner.token');
  const created = await waybill(`machine create builder --role runner --credential ${file}`);
  assert.equal(created.status, 0, created.stderr);
  assert.ok(!created.stdout.includes(readFileSync(file, 'utf8').trim()));
  const token = await waybill('token create script --for 30m');
  assert.match(token.stdout, /^wbp_[0-9A-Za-z]{38}\n$/);
});

test('an upload to the playground is kept, one to the release repository is refused', async () => {
  const file = join(directory, 'program');
  writeFileSync(file, 'try this');
  await waybill('access grant developer@acme --person ada');
  const kept = await waybill(`artifact push ${file} acme/hello/program@try-1`);
  assert.equal(kept.status, 0, kept.stderr);
  const refused = await waybill(`artifact push ${file} acme/hello/program@1 --repository release`);
  assert.ok([3, 4].includes(refused.status), refused.stderr);
  const out = join(directory, 'pulled');
  assert.equal((await waybill(`artifact pull acme/hello/program@try-1 --out ${out}`)).status, 0);
  assert.equal(readFileSync(out, 'utf8'), 'try this');
  assert.equal((await waybill(`artifact pull acme/hello/program@try-1 --out ${out}`)).status, 6);
  const signed = await waybill(`artifact pull acme/hello/program@try-1 --out ${out}-2 --provenance`);
  assert.equal(signed.status, 5);
  assert.match(signed.stderr, /no signed provenance/);
  assert.equal(existsSync(`${out}-2`), false);
});

test('an artifact that nobody signed is not verified: status 3', async () => {
  const left = await waybill(`artifact verify acme/hello/program@try-1 --identity ${server.url}/x`);
  assert.equal(left.status, 3);
  assert.match(left.stdout, /NOT verified/);
});

test('logging out ends the token on the server', async () => {
  const token = readFileSync(join(directory, 'home', 'token'), 'utf8').trim();
  assert.match((await waybill('logout')).stdout, /ended on the server/);
  await assert.rejects(server.as(token).call(identityContract.whoami), { kind: 'unauthenticated' });
  assert.equal((await waybill('whoami')).status, 4);
  assert.equal(existsSync(join(directory, 'home', 'token')), false);
});

test('the program itself: version, a closed pipe, and an interruption', async () => {
  const bin = join(import.meta.dirname, '..', 'bin', 'waybill');
  const clean = { PATH: process.env['PATH'] ?? '', HOME: directory };
  assert.match(execFileSync(bin, ['version'], { env: clean, encoding: 'utf8' }), /^waybill \d/);
  const piped = execFileSync('sh', ['-c', `"${bin}" help 2>&1 | head -1`], { env: clean, encoding: 'utf8' });
  assert.match(piped, /^waybill: proves/);
  const data = join(directory, 'data');
  const child = spawn(bin, ['server', 'start', '--data', data, '--listen', '127.0.0.1:0'], { env: clean });
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  let said = '';
  for await (const chunk of child.stderr) {
    said += String(chunk);
    if (said.includes('Ctrl-C')) break;
  }
  assert.match(said, /New data directory/);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  const rebuilt = execFileSync(bin, ['server', 'rebuild', '--verify', '--data', data], {
    env: clean,
    encoding: 'utf8',
  });
  assert.match(rebuilt, /All tables are what their \d+ facts give/);
});
