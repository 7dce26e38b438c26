import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { artifactModule, createArtifacts } from '#artifact';
import { digestOf, hexOf, systemClock } from '#base';
import { type App, createApp, createTlsAuthority, issueTlsIdentity } from '#http';
import { createIdentity, identityModule, type Role } from '#identity';
import { createJournal, type Journal } from '#journal';
import { type Objects, openDatabase, openObjects } from '#storage';
import { registerFileRoutes } from './index.ts';

const origin = { kind: 'http' as const, address: '127.0.0.1' };
const tls = await temporaryTls();

async function temporaryTls() {
  return await issueTlsIdentity(await createTlsAuthority('test', Date.now()), ['localhost'], Date.now());
}

interface World {
  app: App;
  journal: Journal;
  objects: Objects;
  send: (
    method: 'PUT' | 'GET' | 'HEAD' | 'DELETE',
    path: string,
    options?: { as?: string | undefined; headers?: Record<string, string>; body?: string },
  ) => Promise<{ status: number; headers: Record<string, unknown>; text: string; json(): Record<string, unknown> }>;
  token: (name: string, role: Role) => Promise<string>;
}

async function withFiles(run: (world: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-files-'));
  const db = await openDatabase({ path: ':memory:' });
  const journal = await createJournal({ db, clock: systemClock, modules: [identityModule, artifactModule] });
  const objects = await openObjects({ dir: join(dir, 'objects') });
  const identity = createIdentity({ journal, db, clock: systemClock, pepper: Buffer.alloc(32, 7) });
  const artifacts = createArtifacts({ db, journal, objects, identity });
  const app = createApp({
    tls: { key: tls.key, cert: tls.cert },
    publicUrl: 'https://localhost',
    networks: [],
    authenticators: [(token, from) => identity.authenticate(token, from)],
    clock: systemClock,
    logLevel: 'silent',
  });
  registerFileRoutes(app, { artifacts });
  const enter = async (enrolment: string) => (await identity.redeemEnrolment(enrolment, origin, 'access')).token;
  try {
    const first = (await identity.authenticate(await enter((await identity.bootstrapOwner())!.enrolment), origin))!;
    await identity.createProject(first, 'acme');
    await run({
      app,
      journal,
      objects,
      async send(method, path, { as, headers = {}, body } = {}) {
        const authorization = as === undefined ? {} : { authorization: `Basic ${btoa(`anybody:${as}`)}` };
        const response = await app.inject({
          method,
          url: path,
          headers: { ...authorization, 'content-type': 'application/octet-stream', ...headers },
          ...(body === undefined ? {} : { payload: body }),
        });
        return {
          status: response.statusCode,
          headers: response.headers,
          text: response.payload,
          json: () => JSON.parse(response.payload) as Record<string, unknown>,
        };
      },
      async token(name, role) {
        const grants = [{ role, project: 'acme' }];
        return await enter((await identity.invitePerson(first, { name, emails: [], grants })).enrolment);
      },
    });
  } finally {
    await app.close();
    await journal.close();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const playground = '/files/acme/playground/hello/1.0/hello.bin';
const release = '/files/acme/release/hello/program/1.0/hello.bin';

test('a file goes up and comes down with curl’s headers, whole, in part and not at all', async () => {
  await withFiles(async ({ send, token, journal }) => {
    const as = await token('dev', 'developer');
    const headers = { 'x-checksum-sha256': hexOf(digestOf('0123456789')) };
    const put = await send('PUT', playground, { as, headers, body: '0123456789' });
    assert.equal(put.status, 201, put.text);
    assert.equal(put.headers['location'], playground);
    assert.equal((await send('PUT', playground, { as, body: '0123456789' })).status, 200);

    const whole = await send('GET', playground, { as });
    assert.deepEqual([whole.status, whole.text], [200, '0123456789']);
    assert.equal(whole.headers['etag'], `"${digestOf('0123456789')}"`);
    assert.match(String(whole.headers['content-disposition']), /^attachment/);
    const part = await send('GET', playground, { as, headers: { range: 'bytes=2-4' } });
    assert.deepEqual([part.status, part.text, part.headers['content-range']], [206, '234', 'bytes 2-4/10']);
    assert.equal(
      (await send('GET', playground, { as, headers: { range: 'bytes=2-4', 'if-range': '"x"' } })).status,
      200,
    );
    assert.equal((await send('GET', playground, { as, headers: { range: 'bytes=10-' } })).status, 416);
    const facts = (await journal.read({ types: ['artifact.downloaded'], limit: 9 })).length;
    assert.equal(facts, 3);

    const head = await send('HEAD', playground, { as });
    assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '10', '']);
    const known = { 'if-none-match': `"${digestOf('0123456789')}"` };
    assert.equal((await send('GET', playground, { as, headers: known })).status, 304);
    assert.equal((await journal.read({ types: ['artifact.downloaded'], limit: 9 })).length, facts);
  });
});

test('refusals are readable and say what to do', async () => {
  await withFiles(async ({ send, token }) => {
    const as = await token('dev', 'developer');
    const expectRefusal = async (answer: Awaited<ReturnType<World['send']>>, status: number, code: string) => {
      assert.equal(answer.status, status, answer.text);
      assert.match(String(answer.headers['content-type']), /problem\+json/);
      assert.equal(answer.json()['code'], code);
      assert.ok(answer.json()['hint']);
    };
    await expectRefusal(await send('PUT', release, { as, body: 'x' }), 403, 'artifact.release_is_closed');
    await expectRefusal(await send('PUT', playground, { body: 'x' }), 401, 'identity.unauthenticated');
    await expectRefusal(await send('GET', playground), 401, 'identity.unauthenticated');
    await expectRefusal(await send('GET', playground, { as }), 404, 'artifact.not_found');
    await expectRefusal(await send('DELETE', playground), 401, 'identity.unauthenticated');
    await send('PUT', playground, { as, body: 'one' });
    await expectRefusal(await send('PUT', playground, { as, body: 'two' }), 409, 'artifact.version_immutable');
    await expectRefusal(
      await send('PUT', playground, { as, body: 'one', headers: { 'if-none-match': '*' } }),
      409,
      'artifact.exists',
    );
    await expectRefusal(await send('DELETE', playground, { as }), 403, 'artifact.deletion_refused');
    const wrong = { 'x-checksum-sha256': hexOf(digestOf('other')) };
    const elsewhere = playground.replace('1.0', '1.1');
    await expectRefusal(
      await send('PUT', elsewhere, { as, body: 'x', headers: wrong }),
      422,
      'storage.digest_mismatch',
    );
  });
});

test('no address climbs out of its repository', async () => {
  await withFiles(async ({ send, token }) => {
    const as = await token('dev', 'developer');
    for (const path of [
      '/files/acme/playground/hello/1.0/..%2f..%2fx',
      '/files/acme/playground/hello/%2e%2e/x',
      '/files/acme/playground/x/1.0/a%00b',
      '/files/acme/other/hello/1.0/x',
      '/files/acme/playground/hello',
      '/files/acme/playground/hello/1.0/',
    ]) {
      const answer = await send('PUT', path, { as, body: 'x' });
      assert.equal(answer.status, 400, `${path}: ${answer.text}`);
    }
  });
});

test('bytes that changed on the disk are answered with a refusal and without their entity tag', async () => {
  await withFiles(async ({ send, token, objects }) => {
    const as = await token('dev', 'developer');
    await send('PUT', playground, { as, body: '0123456789' });
    const path = objects.path(digestOf('0123456789'));
    await chmod(path, 0o600);
    await writeFile(path, '0123456780');
    const answer = await send('GET', playground, { as });
    assert.deepEqual([answer.status, answer.json()['code']], [503, 'storage.object_damaged']);
    assert.equal(answer.headers['etag'], undefined);
  });
});
