import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { z } from 'zod';
import { defineEndpoint, systemClock } from '#base';
import { bindEndpoint, createApp, createTlsAuthority, issueTlsIdentity } from '#http';

const parsed = defineEndpoint({
  name: 'test.parsed',
  method: 'POST',
  path: '/parsed',
  summary: 'Takes JSON.',
  auth: 'public',
  body: z.object({}),
  response: z.object({ done: z.literal(true) }),
});
const streamed = defineEndpoint({
  name: 'test.streamed',
  method: 'POST',
  path: '/streamed',
  summary: 'Takes bytes.',
  auth: 'public',
  stream: 'request',
  response: z.object({ done: z.literal(true) }),
});

test('a body that trickles is cut off, unless it is one that may take its time', async () => {
  const authority = await createTlsAuthority('test', systemClock.now());
  const app = createApp({
    tls: await issueTlsIdentity(authority, ['localhost'], systemClock.now()),
    publicUrl: 'https://localhost',
    networks: ['127.0.0.0/8'],
    authenticators: [],
    clock: systemClock,
    logLevel: 'silent',
    bodyMs: 200,
  });
  bindEndpoint(app, parsed, async () => ({ done: true as const }));
  bindEndpoint(app, streamed, async ({ stream }) => {
    stream.resume();
    await new Promise((resolve) => stream.once('end', resolve));
    return { done: true as const };
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const trickle = (path: string) =>
    new Promise<number | string>((resolve) => {
      const headers = { 'content-type': 'application/json', 'content-length': 2 };
      const target = { host: '127.0.0.1', port, servername: 'localhost', ca: authority.certificatePem };
      const request = httpsRequest({ ...target, method: 'POST', path, headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      request.write('{');
      setTimeout(() => request.end('}'), 600);
    });
  try {
    assert.deepEqual(await Promise.all([trickle('/parsed'), trickle('/streamed')]), ['ECONNRESET', 200]);
  } finally {
    await app.close();
  }
});
