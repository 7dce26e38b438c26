import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { Problem } from '#base';
import { runCli } from '#cli';
import { type Client, createClient, openCheckpointMemory } from '#client';
import { identityContract } from '#identity';
import {
  checkEverything,
  confirmErasure,
  exportFactNow,
  judgeCheckpoint,
  originHash,
  parseForkFile,
  parsePolicy,
  requestErasure,
  showFactProof,
  showLedger,
  showWitnesses,
  verifyForkFile,
} from '#ledger';
import { parseServerOptions, type RunningServer, startServer } from '#server';
import { enrol } from './support/server.ts';

// Two whole servers over TLS that witness each other, set up by the command that an operator types.
interface House {
  host: string;
  data: string;
  url: string;
  caPath: string;
  ca: string;
  token: string;
  owner: Client;
  server: RunningServer;
}

let root: string;
let a: House;
let b: House;

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

const settings = (data: string, url: string) =>
  parseServerOptions({ data, listen: `127.0.0.1:${new URL(url).port}`, publicUrl: url, logLevel: 'error' });

async function openHouse(host: string): Promise<House> {
  const data = join(root, `data-${host}`);
  const server = await startServer(settings(data, `https://${host}:${await freePort()}`));
  const ca = await readFile(server.caPath, 'utf8');
  const { url } = server;
  const token = await enrol(createClient({ url, ca }), server.enrolment?.link);
  return { host, data, url, caPath: server.caPath, ca, token, owner: createClient({ url, ca, token }), server };
}

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'waybill-ledger-'));
  a = await openHouse('localhost');
  b = await openHouse('127.0.0.1');
});
after(async () => {
  for (const house of [a, b]) {
    house?.owner.close();
    await house?.server.close();
  }
  await rm(root, { recursive: true, force: true });
});

/** One command as somebody on a machine of his own types it, logged in to server a. */
async function waybill(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  await writeFile(join(root, 'token-a'), a.token, { mode: 0o600 });
  const env = { WAYBILL_HOME: join(root, 'home'), WAYBILL_TOKEN_FILE: join(root, 'token-a'), NO_COLOR: '1' };
  const [status, out, err] = await Promise.all([
    runCli(argv, {
      terminal: { stdin: new PassThrough(), stdout, stderr, env },
      signal: new AbortController().signal,
      onSignal: () => undefined,
      decided: () => undefined,
    }).finally(() => (stdout.end(), stderr.end())),
    text(stdout),
    text(stderr),
  ]);
  return { status, out, err };
}

const toA = () => ['--server', a.url, '--ca', a.caPath];

test('one command makes two servers witness each other, and what is shown is cosigned', async () => {
  await writeFile(join(root, 'token-b'), b.token, { mode: 0o600 });
  const peer = ['--with', b.url, '--with-ca', b.caPath, '--with-token-file', join(root, 'token-b')];
  const done = await waybill('ledger', 'witness', 'pair', ...peer, '--fail', 'closed', ...toA());
  assert.equal(done.status, 0, done.err);
  assert.match(done.out, /witness each other/);

  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const view = await one.owner.call(showWitnesses);
    assert.equal(view.fail, 'closed');
    assert.deepEqual(
      view.logs.map(({ origin }) => origin),
      [`events.${other.host}.waybill.internal`],
    );
    const [number] = [await one.server.platform.journal.head()];
    const proof = await one.owner.call(showFactProof, { params: { number } });
    const judged = judgeCheckpoint(proof.checkpoint, parsePolicy(view.policy));
    assert.ok(judged.verdict.ok, JSON.stringify(judged.verdict));
  }
});

test('the witness speaks C2SP tlog-witness to anybody: known logs, their monitoring path, and nothing else', async () => {
  const { request } = await import('node:https');
  const ask = (method: string, path: string, body = ''): Promise<{ status: number; type: string; text: string }> =>
    new Promise((resolve, reject) => {
      const sent = request(new URL(path, b.url), { method, ca: b.ca }, (response) => {
        void text(response).then((read) =>
          resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text: read }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  const { checkpoint, origin, size } = await a.owner.call(showLedger);
  const monitored = await ask('GET', `/witness/${originHash(origin)}/checkpoint`);
  assert.equal(monitored.status, 200);
  assert.ok(monitored.text.startsWith(`${origin}\n`));
  assert.equal((await ask('GET', `/witness/${'0'.repeat(64)}/checkpoint`)).status, 404);
  const stale = await ask('POST', '/witness/add-checkpoint', `old ${size + 1000}\n\n${checkpoint}`);
  assert.equal(stale.status, 400);
  const conflict = await ask('POST', '/witness/add-checkpoint', `old 0\n\n${checkpoint}`);
  assert.deepEqual([conflict.status, conflict.type.split(';')[0]], [409, 'text/x.tlog.size']);
  assert.match(conflict.text, /^[1-9]\d*\n$/);
  assert.equal((await ask('POST', '/witness/add-checkpoint', 'nonsense')).status, 400);
  assert.equal(
    (await ask('POST', '/witness/add-checkpoint', `old 0\n\n${checkpoint.replace(origin, 'events.other')}`)).status,
    404,
  );
  assert.equal((await ask('POST', '/witness/add-checkpoint', 'x'.repeat(200_000))).status, 413);
});

test('an exported fact and an exported stream prove themselves offline, under a key or under the policy', async () => {
  const view = await a.owner.call(showWitnesses);
  await writeFile(join(root, 'policy.txt'), view.policy);
  for (const what of ['1', 'log/witnesses']) {
    const file = join(root, 'evidence.json');
    const exported = await waybill('ledger', 'export', what, '--out', file, ...toA());
    assert.equal(exported.status, 0, exported.err);
    for (const trust of [
      ['--key', view.log],
      ['--policy', join(root, 'policy.txt')],
    ]) {
      const checked = await waybill('ledger', 'check', file, ...trust);
      assert.equal(checked.status, 0, checked.out + checked.err);
    }
    const other = await b.owner.call(showWitnesses);
    assert.equal((await waybill('ledger', 'check', file, '--key', other.log)).status, 3, 'another key');
    await writeFile(file, (await readFile(file, 'utf8')).replace(/"leaf": "\{\\"a\\":\\"/, '$&x'));
    assert.equal((await waybill('ledger', 'check', file, '--key', view.log)).status, 3, 'an altered leaf');
  }
});

test('two people erase what a fact says about a person; the fact, its proof and the database stay whole', async () => {
  const invited = await a.owner.call(identityContract.invitePerson, {
    body: { name: 'second', emails: ['second@example.org'], grants: [{ role: 'owner' as const }] },
  });
  const token = await enrol(createClient({ url: a.url, ca: a.ca }), invited.link);
  const second = createClient({ url: a.url, ca: a.ca, token });
  const { journal } = a.server.platform;
  const joined = (await journal.byStream(`principal/${invited.principal.id}`))[0]?.number ?? 0;
  await a.owner.call(requestErasure, { body: { fact: joined, reason: 'left' } });
  await assert.rejects(a.owner.call(confirmErasure, { params: { fact: joined } }), {
    code: 'journal.second_person_needed',
  });
  await second.call(confirmErasure, { params: { fact: joined } });
  second.close();
  const principals = await a.owner.call(identityContract.listPeople);
  assert.ok(!JSON.stringify(principals).includes('second@example.org'));
  const file = await a.owner.call(exportFactNow, { params: { number: joined } });
  assert.deepEqual([file.private, typeof file.erasedBy], [null, 'number']);
  const verdict = await a.owner.call(checkEverything);
  assert.ok(verdict.ok, JSON.stringify(verdict.checks.filter(({ status }) => status !== 'passed')));
});

test('fsck finds a flipped byte in an object that no index would show', async () => {
  const { objects } = a.server.platform;
  const { digest } = await objects.put(Buffer.from('an artifact'));
  assert.equal((await waybill('ledger', 'fsck', ...toA())).status, 0);
  const path = objects.path(digest);
  const { chmod } = await import('node:fs/promises');
  await chmod(path, 0o644);
  await writeFile(path, 'an artefact');
  const found = await waybill('ledger', 'fsck', ...toA());
  assert.equal(found.status, 3);
  assert.match(found.out, new RegExp(digest.slice(0, 20)));
  await writeFile(path, 'an artifact');
});

test('a restored backup: the client refuses and keeps evidence, the witness tells the server, which takes nothing in', async () => {
  const memory = openCheckpointMemory(join(root, 'memory/checkpoints.json'));
  await a.server.close();
  const backup = join(root, 'backup');
  await cp(a.data, backup, { recursive: true });
  a.server = await startServer(settings(a.data, a.url));
  await a.owner.call(identityContract.invitePerson, { body: { name: 'later', emails: [], grants: [] } });
  const { journal, ledger } = a.server.platform;
  await ledger.waitForFact(await journal.head());
  await memory.advance(a.owner);
  await a.server.close();
  await rm(a.data, { recursive: true });
  await cp(backup, a.data, { recursive: true });
  a.server = await startServer(settings(a.data, a.url));

  assert.equal(a.server.platform.ledger.refusal?.code, 'ledger.rolled_back', 'the witness knows more');
  const refused = await memory.advance(a.owner).then(
    () => undefined,
    (error: unknown) => (Problem.is(error) ? error : undefined),
  );
  assert.equal(refused?.code, 'client.ledger_rolled_back');
  const evidence = parseForkFile(await readFile(String(refused?.details?.['evidenceFile']), 'utf8'));
  assert.ok(verifyForkFile(evidence).ok);
  assert.equal(evidence.fork, 'rollback');
  const view = await waybill('ledger', 'witness', ...toA());
  assert.equal(view.status, 3);
  assert.match(view.out, /rollback/);

  // Evidence that somebody removes is missed, although no list of objects shows that it is gone.
  const [fork] = (await a.owner.call(showWitnesses)).forks;
  await rm(a.server.platform.objects.path(fork?.evidence as never), { force: true });
  const named = (await a.owner.call(checkEverything)).checks.find(({ name }) => name === 'objects named by facts');
  assert.equal(named?.code, 'storage.object_missing');
});
