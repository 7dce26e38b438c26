import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { defineEndpoint, Problem } from '#base';
import { identityContract } from '#identity';
import { parseServerOptions, startServer } from '#server';
import { z } from 'zod';
import { enrol, startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.stop());

const ready = defineEndpoint({
  name: 'health.ready',
  method: 'GET',
  path: '/readyz',
  summary: 'As a probe asks.',
  auth: 'public',
  response: z.object({ ready: z.literal(true) }),
});
const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const port = () => Number(new URL(server.url).port);

test('the listener speaks TLS 1.3 with a certificate of its own CA, and nothing older', async () => {
  const protocol = (options: object) =>
    new Promise<string | null>((resolve, reject) => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: port(),
        servername: 'localhost',
        ca: server.ca,
        ...options,
      });
      socket.once('secureConnect', () => {
        resolve(socket.getProtocol());
        socket.destroy();
      });
      socket.once('error', reject);
    });
  assert.equal(await protocol({}), 'TLSv1.3');
  await assert.rejects(protocol({ maxVersion: 'TLSv1.2' }));
  await assert.rejects(protocol({ ca: [] }), /certificate/);
});

test('plain HTTP gets no answer', async () => {
  const answer = await new Promise<string>((resolve) => {
    const socket = connectPlain(port(), '127.0.0.1', () => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('close', () => resolve(text));
    socket.on('error', () => resolve(text));
  });
  assert.doesNotMatch(answer, /HTTP\/1\.1 200/);
});

test('without a credential nothing but the public endpoints answers', async () => {
  for (const endpoint of server.app.endpoints) {
    if (endpoint.auth === 'public' || endpoint.path.includes(':') || endpoint.path.includes('*')) continue;
    await assert.rejects(server.anonymous.call(endpoint, {}), codeIs('identity.unauthenticated'), endpoint.name);
  }
});

test('a wrong token is refused, also where anonymous callers are answered; guessing is slowed down', async () => {
  const guess = `${server.ownerToken.slice(0, -1)}${server.ownerToken.endsWith('0') ? '1' : '0'}`;
  const stranger = server.as(guess);
  await assert.rejects(stranger.call(identityContract.whoami, {}), codeIs('identity.unauthenticated'));
  for (let round = 0; round < 25; round++) await stranger.call(identityContract.whoami, {}).catch(() => undefined);
  await assert.rejects(stranger.call(identityContract.whoami, {}), codeIs('http.too_many_failures'));
});

test('an invited developer enrols, has the rights given and no others', async () => {
  const fresh = await startTestServer();
  try {
    await fresh.owner.call(identityContract.createProject, { body: { slug: 'acme' } });
    const invited = await fresh.owner.call(identityContract.invitePerson, {
      body: { name: 'Dana', emails: ['dana@example.org'], grants: [{ role: 'developer', project: 'acme' }] },
    });
    assert.match(invited.link, /^https:\/\/localhost:\d+\/enrol#wbe_/);
    const dana = fresh.as(await enrol(fresh.anonymous, invited.link));
    assert.equal((await dana.call(identityContract.whoami, {})).name, 'Dana');
    const { items } = await dana.call(identityContract.listProjects, {});
    assert.deepEqual(
      items.map((project) => project.slug),
      ['acme'],
    );
    await assert.rejects(
      dana.call(identityContract.createProject, { body: { slug: 'other' } }),
      codeIs('identity.forbidden'),
    );
    await assert.rejects(enrol(fresh.anonymous, invited.link), codeIs('identity.enrolment_invalid'));
  } finally {
    await fresh.stop();
  }
});

test('after a restart on the same data directory tokens and facts are as before', async () => {
  const first = await startTestServer();
  await first.owner.call(identityContract.createProject, { body: { slug: 'kept' } });
  const listen = `127.0.0.1:${new URL(first.url).port}`;
  await first.stop({ keepData: true });
  const { parseServerOptions, startServer } = await import('#server');
  const again = await startServer(parseServerOptions({ data: first.data, listen, publicUrl: first.url }));
  try {
    assert.equal(again.enrolment, undefined);
    const { items } = await first.owner.call(identityContract.listProjects, {});
    assert.equal(items[0]?.slug, 'kept');
    assert.equal((await again.platform.ledger.verify()).ok, true);
  } finally {
    await again.close();
  }
});

test('bad input gets a problem with a pointer, and changes nothing', async () => {
  const head = await server.platform.journal.head();
  await assert.rejects(
    server.owner.call(identityContract.createProject, { body: { slug: 'Not A Slug' } }),
    (error) => Problem.is(error) && error.kind === 'invalid',
  );
  assert.equal(await server.platform.journal.head(), head);
});

/** Sends the head of a request and leaves its body to the test. */
function begin(to: TestServer, method: string, path: string, headers: Record<string, string | number>) {
  const target = { host: '127.0.0.1', port: new URL(to.url).port, servername: 'localhost', ca: to.ca };
  const request = httpsRequest({ ...target, method, path, headers });
  const answer = new Promise<number | string>((resolve) => {
    request.once('response', (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    request.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  return { request, answer };
}

test('a stranger is refused before the body of the request is read', async () => {
  const fresh = await startTestServer();
  const headers = { 'content-type': 'application/json', 'content-length': 1_000_000 };
  const { request, answer } = begin(fresh, 'POST', '/api/v1/projects', headers);
  try {
    request.flushHeaders();
    assert.equal(await answer, 401);
  } finally {
    request.destroy();
    await fresh.stop();
  }
});

test('a server that is asked to stop finishes what is under way, and lets nobody wait who waits for nothing', async () => {
  const fresh = await startTestServer();
  await fresh.owner.call(identityContract.createProject, { body: { slug: 'acme' } });
  const invited = await fresh.owner.call(identityContract.invitePerson, {
    body: { name: 'Dana', emails: [], grants: [{ role: 'developer', project: 'acme' }] },
  });
  const authorization = `Bearer ${await enrol(fresh.anonymous, invited.link)}`;
  const silent = connectTls({
    host: '127.0.0.1',
    port: Number(new URL(fresh.url).port),
    ca: fresh.ca,
    servername: 'localhost',
  });
  silent.on('error', () => undefined);
  await new Promise((resolve) => silent.once('secureConnect', resolve));
  const path = '/files/acme/playground/acme/hello/1.0/hello.bin';
  const { request, answer } = begin(fresh, 'PUT', path, { authorization, 'content-length': 20 });
  request.write('0123456789');
  await new Promise((resolve) => setTimeout(resolve, 200));
  const startedAt = performance.now();
  const stopped = fresh.stop();
  setTimeout(() => request.end('0123456789'), 300);
  assert.equal(await answer, 201);
  await stopped;
  assert.ok(performance.now() - startedAt < 5_000);
});

test('one data directory, one server: of two that start at the same moment one is refused', async () => {
  const first = await startTestServer();
  const settings = parseServerOptions({ data: first.data, listen: '127.0.0.1:0', logLevel: 'silent' });
  await assert.rejects(startServer(settings), codeIs('server.data_in_use'));
  await first.stop({ keepData: true });
  const both = await Promise.allSettled([startServer(settings), startServer(settings)]);
  const running = both.filter((one) => one.status === 'fulfilled');
  assert.equal(running.length, 1);
  await running[0]?.value.close();
  await rm(first.data, { recursive: true });
});

test('with the ledger down nothing is done and readiness says so; with it back everything goes on', async () => {
  const house = await startTestServer();
  try {
    await house.owner.call(identityContract.createProject, { body: { slug: 'before' } });
    const path = await newestBundle(house);
    const genuine = await readFile(path);
    await chmod(path, 0o600);
    await writeFile(path, Buffer.from(genuine.map((byte, index) => (index === 30 ? byte ^ 1 : byte))));

    const create = (slug: string) => house.owner.call(identityContract.createProject, { body: { slug } });
    // The first request after the damage may still be taken; its publication then fails, and from there on all are refused.
    await create('during-1').catch(() => undefined);
    await until(async () => Problem.is(await create(`during-${Date.now()}`).catch((error: unknown) => error)));
    const head = await house.platform.journal.head();
    await assert.rejects(create('during-2'), (error) => Problem.is(error) && error.code.startsWith('ledger.'));
    assert.equal(await house.platform.journal.head(), head);
    await assert.rejects(
      house.anonymous.call(ready, {}),
      (error) => Problem.is(error) && error.code.startsWith('ledger.'),
    );

    await writeFile(path, genuine);
    await until(async () => !Problem.is(await create(`after-${Date.now()}`).catch((error: unknown) => error)));
    assert.equal((await house.platform.ledger.verify()).ok, true);
  } finally {
    await house.stop();
  }
});

/** The right edge of the log on disk, once nothing moves it any more: the ledger records facts of its own for a moment. */
async function newestBundle({ data, platform }: TestServer): Promise<string> {
  let size = -1;
  await until(async () => {
    const before = size;
    size = platform.ledger.events.size();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return before === size && size === (await platform.journal.head());
  });
  return join(data, 'ledger', 'events', 'tile', 'entries', `000.p/${size}`);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('it did not come within ten seconds');
}
