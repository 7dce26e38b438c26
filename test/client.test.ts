import 'reflect-metadata';
import assert from 'node:assert/strict';
import { randomUUID, webcrypto } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import * as x509 from '@peculiar/x509';
import { z } from 'zod';
import { defineEndpoint, digestOf } from '#base';
import { type Client, createClient } from '#client';

/** The far side of the network: a TLS server whose answers a test writes by hand. */
interface FarSide {
  url: string;
  ca: string;
  answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
  close(): Promise<void>;
}

const cleanup: FarSide[] = [];

async function certify(): Promise<{ ca: string; cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }]),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const cert = certificate.toString('pem');
  return { ca: cert, cert, key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` };
}

async function openFarSide(options: { maxVersion?: 'TLSv1.2' } = {}): Promise<FarSide> {
  const { ca, cert, key } = await certify();
  const far: FarSide = { url: '', ca, answer: () => undefined, close: async () => undefined };
  const server = createServer({ cert, key, minVersion: 'TLSv1.2', ...options }, (request, response) => {
    void far.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  far.url = `https://localhost:${(server.address() as AddressInfo).port}`;
  far.close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  cleanup.push(far);
  return far;
}

const show = defineEndpoint({
  name: 'thing.show',
  method: 'GET',
  path: '/api/v1/things/:thing',
  summary: 'Show a thing.',
  auth: 'required',
  params: z.object({ thing: z.string() }),
  response: z.object({ name: z.string() }),
});
const create = defineEndpoint({
  name: 'thing.create',
  method: 'POST',
  path: '/api/v1/things',
  summary: 'Create a thing.',
  auth: 'required',
  body: z.object({ name: z.string() }),
  response: z.object({ name: z.string() }),
});
const content = defineEndpoint({
  name: 'thing.content',
  method: 'GET',
  path: '/api/v1/things/:thing/content',
  summary: 'The bytes of a thing.',
  auth: 'required',
  params: z.object({ thing: z.string() }),
  response: z.unknown(),
  stream: 'response',
});
const log = defineEndpoint({ ...content, name: 'thing.log', path: '/api/v1/things/:thing/log', stream: 'sse' });
const put = defineEndpoint({
  name: 'thing.put',
  method: 'PUT',
  path: '/api/v1/things/:thing/content',
  summary: 'Store the bytes of a thing.',
  auth: 'required',
  params: z.object({ thing: z.string() }),
  response: z.object({ size: z.number() }),
  stream: 'request',
});

let far: FarSide;
let client: Client;
const token = `test-${randomUUID()}`;

before(async () => {
  far = await openFarSide();
  client = createClient({ url: far.url, ca: far.ca, token });
});
after(async () => {
  client.close();
  for (const one of cleanup) await one.close();
});

function json(response: ServerResponse, status: number, value: unknown, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type }).end(JSON.stringify(value));
}

async function drain(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test('a call sends its token and body and gives the typed answer', async () => {
  far.answer = async (request, response) => {
    assert.equal(request.headers.authorization, `Bearer ${token}`);
    json(response, 201, JSON.parse((await drain(request)).toString()));
  };
  assert.deepEqual(await client.call(create, { body: { name: 'x' } }), { name: 'x' });
});

test('an answer that does not fit its schema is refused', async () => {
  far.answer = (_request, response) => json(response, 200, { nom: 'x' });
  await assert.rejects(client.call(show, { params: { thing: 'x' } }), { code: 'client.answer_invalid' });
  far.answer = (_request, response) => response.end('<html>') as never;
  await assert.rejects(client.call(show, { params: { thing: 'x' } }), { code: 'base.json_invalid' });
});

test('a problem document becomes that problem, with its request id', async () => {
  const problem = { code: 'source.push_unknown', title: 'Not found', detail: 'No such push.', hint: 'List them.' };
  far.answer = (_request, response) =>
    json(response, 404, { ...problem, requestId: 'req_1' }, 'application/problem+json');
  await assert.rejects(client.call(show, { params: { thing: 'x' } }), {
    code: 'source.push_unknown',
    kind: 'not_found',
    message: 'No such push.',
    hint: 'List them.',
    details: { status: 404, requestId: 'req_1' },
  });
});

test('a redirect is not followed, and the token goes nowhere else', async () => {
  far.answer = (_request, response) => void response.writeHead(302, { location: 'https://localhost:1/' }).end();
  await assert.rejects(client.call(show, { params: { thing: 'x' } }), { code: 'client.answer_unexpected' });
});

test('a server with a certificate of another CA is refused before anything is sent', async () => {
  let requests = 0;
  const other = await openFarSide();
  other.answer = () => void (requests += 1);
  const wrong = createClient({ url: other.url, ca: far.ca, token });
  await assert.rejects(wrong.call(show, { params: { thing: 'x' } }), { code: 'client.certificate_untrusted' });
  const unpinned = createClient({ url: other.url, token });
  await assert.rejects(unpinned.call(show, { params: { thing: 'x' } }), { code: 'client.certificate_untrusted' });
  assert.equal(requests, 0);
});

test('a server for another name is refused', async () => {
  const wrong = createClient({ url: far.url.replace('localhost', '127.0.0.1'), ca: far.ca, token });
  await assert.rejects(wrong.call(show, { params: { thing: 'x' } }), { code: 'client.certificate_untrusted' });
});

test('TLS 1.2 is refused', async () => {
  const old = await openFarSide({ maxVersion: 'TLSv1.2' });
  const caller = createClient({ url: old.url, ca: old.ca, token });
  await assert.rejects(caller.call(show, { params: { thing: 'x' } }), { code: 'client.tls_too_old' });
});

test('an address without TLS is refused', () => {
  for (const url of ['http://localhost:1', 'localhost', 'https://user:secret@localhost']) {
    assert.throws(() => createClient({ url }), { code: 'client.url_invalid' });
  }
});

test('a server that is not there is unreachable, and one that is silent times out', async () => {
  const gone = await openFarSide();
  await gone.close();
  const caller = createClient({ url: gone.url, ca: gone.ca });
  await assert.rejects(caller.call(show, { params: { thing: 'x' } }), {
    code: 'client.unreachable',
    kind: 'unavailable',
  });
  far.answer = () => undefined;
  const hasty = createClient({ url: far.url, ca: far.ca, fetchTimeoutMs: 60 });
  await assert.rejects(hasty.call(show, { params: { thing: 'x' } }), { code: 'client.timed_out' });
  hasty.close();
});

test('a download with a changed byte fails, whoever claims the digest', async () => {
  const bytes = Buffer.alloc(300_000, 'x');
  const changed = Buffer.from(bytes);
  changed[123_456] = 0;
  far.answer = (_request, response) =>
    void response.writeHead(200, { etag: `"${digestOf(bytes)}"`, 'content-length': bytes.length }).end(changed);
  const input = { params: { thing: 'x' } };
  for (const options of [{}, { digest: digestOf(bytes) }]) {
    const { stream } = await client.download(content, input, options);
    await assert.rejects(drain(stream), { code: 'client.content_damaged' });
  }
  const { stream } = await client.download(content, input, { digest: digestOf(changed) });
  assert.deepEqual(await drain(stream), changed);
});

test('a download that breaks off fails', async () => {
  far.answer = (_request, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('half');
    setTimeout(() => response.destroy(), 20);
  };
  const { stream } = await client.download(content, { params: { thing: 'x' } });
  await assert.rejects(drain(stream), { kind: 'unavailable' });
});

test('an upload streams its bytes', async () => {
  far.answer = async (request, response) => json(response, 200, { size: (await drain(request)).length });
  const source = Readable.from([Buffer.alloc(70_000), Buffer.alloc(30_000)]);
  assert.deepEqual(await client.upload(put, { params: { thing: 'x' } }, { content: source }), { size: 100_000 });
});

test('an upload that the server refuses early ends with the reason of the server', async () => {
  far.answer = (_request, response) => json(response, 413, { code: 'artifact.too_large', detail: 'Too large.' });
  const chunks = function* (): Generator<Buffer> {
    for (let i = 0; i < 400; i++) yield Buffer.alloc(65_536);
  };
  await assert.rejects(client.upload(put, { params: { thing: 'x' } }, { content: Readable.from(chunks()) }), {
    code: 'artifact.too_large',
  });
});

test('events resume after the last one seen when the connection breaks, and stop at the end', async () => {
  const seen: (string | undefined)[] = [];
  far.answer = (request, response) => {
    const from = Number(request.headers['last-event-id'] ?? '0');
    seen.push(request.headers['last-event-id'] as string | undefined);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (from < 2) {
      response.write('id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: lo');
      setTimeout(() => response.destroy(), 20);
    } else response.end('id: 3\ndata: three\n\nevent: end\ndata: {}\n\n');
  };
  const data: string[] = [];
  for await (const event of client.events(log, { params: { thing: 'x' } })) data.push(event.data);
  assert.deepEqual(data, ['one', 'two', 'three']);
  assert.deepEqual(seen, [undefined, '2']);
});

test('a refused event stream is not retried', async () => {
  let requests = 0;
  far.answer = (_request, response) => {
    requests += 1;
    json(response, 403, { code: 'identity.denied', detail: 'No.' });
  };
  await assert.rejects(drain(client.events(log, { params: { thing: 'x' } })), { code: 'identity.denied' });
  assert.equal(requests, 1);
});
