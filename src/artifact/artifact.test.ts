import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { digestOf, Problem, systemClock } from '#base';
import { type Caller, createIdentity, type Identity, identityModule, type Role } from '#identity';
import { createJournal, type Journal, rebuildAndCompare } from '#journal';
import { type Db, type Objects, openDatabase, openObjects } from '#storage';
import { artifactModule } from './apply.ts';
import { type ArtifactControls, type Artifacts, createArtifacts } from './artifact.ts';
import { parseArtifactPath, parseNameAtVersion, pathKey, versionOf } from './path.ts';

const origin = { kind: 'http' as const, address: '127.0.0.1' };
const modules = [identityModule, artifactModule];
const bytes = (text: string) => Buffer.from(text);
const body = async function* (text: string) {
  yield bytes(text);
};
const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

interface World {
  artifacts: Artifacts;
  identity: Identity;
  journal: Journal;
  objects: Objects;
  db: Db;
  owner: Caller;
  as: (name: string, role: Role) => Promise<Caller>;
}

async function withWorld(run: (world: World) => Promise<void>, controls?: ArtifactControls): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-artifact-'));
  const db = await openDatabase({ path: ':memory:' });
  const journal = await createJournal({ db, clock: systemClock, modules });
  const objects = await openObjects({ dir: join(dir, 'objects') });
  const identity = createIdentity({ journal, db, clock: systemClock, pepper: Buffer.alloc(32, 7) });
  const artifacts = createArtifacts({ db, journal, objects, identity, ...(controls ? { controls } : {}) });
  const enter = async (enrolment: string) => {
    const { token } = await identity.redeemEnrolment(enrolment, origin, 'access');
    return (await identity.authenticate(token, origin))!;
  };
  try {
    const owner = await enter((await identity.bootstrapOwner())!.enrolment);
    await identity.createProject(owner, 'acme');
    const as = async (name: string, role: Role) => {
      const grants = [{ role, project: 'acme' }];
      return await enter((await identity.invitePerson(owner, { name, emails: [], grants })).enrolment);
    };
    await run({ artifacts, identity, journal, objects, db, owner, as });
  } finally {
    await journal.close();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const program = { name: 'acme/hello', version: '1.0', file: 'hello.bin' };
const playground = { repository: 'acme/playground', ...program };
const release = { repository: 'acme/release', ...program };

test('a developer’s upload to the playground is stored, labelled and found again', async () => {
  await withWorld(async ({ artifacts, as, journal }) => {
    const dev = await as('dev', 'developer');
    const { record, created } = await artifacts.upload(dev, { ...playground, body: body('try this') });
    assert.equal(created, true);
    assert.deepEqual([record.kind, record.digest, record.run], ['playground', digestOf('try this'), null]);
    assert.deepEqual(await artifacts.show(dev, record.digest), [record]);
    assert.deepEqual(await artifacts.locate(dev, parseArtifactPath(playground)), record);
    for (const search of ['HELLO', record.digest.slice(7, 20)]) {
      assert.deepEqual((await artifacts.list(dev, { search, limit: 10 })).items, [record], search);
    }
    assert.deepEqual((await artifacts.list(dev, { search: '%', limit: 10 })).items, []);
    const fact = await journal.find(record.fact);
    assert.deepEqual([fact?.type, fact?.subject], ['artifact.uploaded', record.digest]);
  });
});

for (const role of ['owner', 'maintainer', 'developer', 'agent', 'reader'] as const) {
  test(`an upload to the release repository by the role ${role} is refused and the attempt is on record`, async () => {
    await withWorld(async ({ artifacts, owner, as, objects, journal }) => {
      const caller = role === 'owner' ? owner : await as('someone', role);
      const digest = digestOf('evil');
      const refused = artifacts.upload(caller, { ...release, digest, body: body('evil') });
      await assert.rejects(refused, codeIs('artifact.release_is_closed'));
      assert.equal(await objects.has(digest), false);
      const [fact] = await journal.read({ types: ['artifact.upload_refused'], limit: 5 });
      assert.equal(fact?.actor.principal, caller.principal);
      assert.equal(fact?.subject, digest);
      assert.equal((await artifacts.refusals(owner, 'acme'))[0]?.code, 'artifact.release_is_closed');
    });
  });
}

test('with only that control off, the same upload lands in the release repository', async () => {
  await withWorld(
    async ({ artifacts, as }) => {
      const { record } = await artifacts.upload(await as('dev', 'developer'), { ...release, body: body('evil') });
      assert.equal(record.repository, 'acme/release');
    },
    { releaseClosed: false },
  );
});

test('who may not upload to the playground, or not even see the project, is refused and nothing is stored', async () => {
  await withWorld(async ({ artifacts, as, identity, owner, journal, objects }) => {
    const before = await journal.head();
    const reader = await as('reader', 'reader');
    await assert.rejects(artifacts.upload(reader, { ...playground, body: body('x') }), codeIs('identity.forbidden'));
    await identity.createProject(owner, 'other');
    const dev = await as('dev', 'developer');
    const theirs = { repository: 'other/release', name: 'other/x', version: '1', file: 'x' };
    await assert.rejects(artifacts.upload(dev, { ...theirs, body: body('x') }), codeIs('identity.forbidden'));
    const facts = await journal.read({ after: before, limit: 100 });
    assert.deepEqual(
      facts.filter((fact) => fact.type.startsWith('artifact.')),
      [],
    );
    assert.equal(await objects.has(digestOf('x')), false);
  });
});

test('a version never changes: the same bytes again are the same upload, other bytes and case twins are refused', async () => {
  await withWorld(async ({ artifacts, as, journal }) => {
    const dev = await as('dev', 'developer');
    const first = await artifacts.upload(dev, { ...playground, body: body('one') });
    const head = await journal.head();
    const again = await artifacts.upload(dev, { ...playground, body: body('one') });
    assert.deepEqual(again, { record: first.record, created: false });
    await assert.rejects(
      artifacts.upload(dev, { ...playground, body: body('two') }),
      codeIs('artifact.version_immutable'),
    );
    await assert.rejects(
      artifacts.upload(dev, { ...playground, file: 'HELLO.bin', body: body('one') }),
      codeIs('artifact.version_immutable'),
    );
    await assert.rejects(
      artifacts.locate(dev, parseArtifactPath({ ...playground, file: 'HELLO.bin' })),
      codeIs('artifact.not_found'),
    );
    assert.equal(await journal.head(), head);
  });
});

test('of many uploads of different bytes to one place at once exactly one wins', async () => {
  await withWorld(async ({ artifacts, as }) => {
    const dev = await as('dev', 'developer');
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => artifacts.upload(dev, { ...playground, body: body(`bytes ${index}`) })),
    );
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    for (const result of results) {
      if (result.status === 'rejected') assert.ok(codeIs('artifact.version_immutable')(result.reason), result.reason);
    }
  });
});

test('bytes that are not the announced ones are refused and not kept', async () => {
  await withWorld(async ({ artifacts, as, objects }) => {
    const dev = await as('dev', 'developer');
    await assert.rejects(
      artifacts.upload(dev, { ...playground, digest: digestOf('good'), body: body('evil') }),
      codeIs('storage.digest_mismatch'),
    );
    assert.equal(await objects.has(digestOf('evil')), false);
  });
});

test('a download is on record before it can be read, whole or in part', async () => {
  await withWorld(async ({ artifacts, as, journal }) => {
    const dev = await as('dev', 'developer');
    const { record } = await artifacts.upload(dev, { ...playground, body: body('0123456789') });
    const whole = await artifacts.download(dev, record.id);
    const [fact] = await journal.read({ types: ['artifact.downloaded'], limit: 5 });
    assert.deepEqual([fact?.actor.principal, fact?.subject], [dev.principal, record.digest]);
    assert.equal((await buffer(whole.stream)).toString(), '0123456789');
    const part = await artifacts.download(dev, record.id, { start: 2, end: 4 });
    assert.equal((await buffer(part.stream)).toString(), '234');
    const tail = await artifacts.download(dev, record.id, { start: 8, end: 400 });
    assert.deepEqual([(await buffer(tail.stream)).toString(), tail.range], ['89', { start: 8, end: 9 }]);
    await assert.rejects(artifacts.download(dev, record.id, { start: 10 }), codeIs('artifact.range_invalid'));
    assert.equal((await journal.read({ types: ['artifact.downloaded'], limit: 9 })).length, 3);
  });
});

test('bytes that changed on the disk are not served, and a caller without the right to read gets nothing', async () => {
  await withWorld(async ({ artifacts, as, objects, identity, owner, journal }) => {
    const dev = await as('dev', 'developer');
    const { record } = await artifacts.upload(dev, { ...playground, body: body('0123456789') });
    const { enrolment } = await identity.invitePerson(owner, { name: 'stranger', emails: [], grants: [] });
    const { token } = await identity.redeemEnrolment(enrolment, origin, 'access');
    const stranger = (await identity.authenticate(token, origin))!;
    await assert.rejects(artifacts.download(stranger, record.id), codeIs('artifact.not_found'));
    await assert.rejects(artifacts.show(stranger, record.digest), codeIs('artifact.not_found'));
    await chmod(objects.path(record.digest), 0o600);
    await writeFile(objects.path(record.digest), '0123456780');
    await assert.rejects(artifacts.download(dev, record.id), codeIs('storage.object_damaged'));
    assert.deepEqual(await journal.read({ types: ['artifact.downloaded'], limit: 9 }), []);
  });
});

test('lists are paged newest first, and show only what the caller may read', async () => {
  await withWorld(async ({ artifacts, as, owner }) => {
    const dev = await as('dev', 'developer');
    for (const version of ['1', '2', '3']) await artifacts.upload(dev, { ...playground, version, body: body(version) });
    const first = await artifacts.list(owner, { project: 'acme', name: 'acme/hello', limit: 2 });
    assert.deepEqual(
      first.items.map(({ version }) => version),
      ['3', '2'],
    );
    const rest = await artifacts.list(owner, { project: 'acme', limit: 2, after: first.next! });
    assert.deepEqual([rest.items.map(({ version }) => version), rest.next], [['1'], null]);
    await assert.rejects(artifacts.list(owner, { limit: 2, after: 'x' }), codeIs('artifact.page_invalid'));
  });
});

test('the rows are what the facts give', async () => {
  await withWorld(async ({ artifacts, as, db }) => {
    const dev = await as('dev', 'developer');
    await artifacts.upload(dev, { ...playground, body: body('one') });
    await assert.rejects(artifacts.upload(dev, { ...release, body: body('evil') }));
    const verdict = await rebuildAndCompare({ db, modules });
    assert.deepEqual(
      verdict.checks.filter((check) => check.status !== 'passed'),
      [],
    );
  });
});

test('paths that mean different files on different systems are refused', () => {
  const odd = [
    '..',
    '.',
    '',
    '.hidden',
    'a/../b',
    'a\\b',
    'a b',
    'a\n',
    'a\u0000',
    'nul',
    'CON.txt',
    'x.',
    'é',
    'a%2f',
    '-x',
  ];
  for (const file of odd) {
    assert.throws(
      () => parseArtifactPath({ ...playground, file }),
      codeIs('artifact.path_invalid'),
      JSON.stringify(file),
    );
    const name = `acme/${file}`;
    if (file !== 'a/../b') {
      assert.throws(() => parseArtifactPath({ ...playground, name }), codeIs('artifact.path_invalid'), name);
    }
  }
  for (const name of ['other/hello', 'acme', '/acme/x', 'acme//x', 'ACME/x', `acme/${'x/'.repeat(9)}x`]) {
    assert.throws(() => parseArtifactPath({ ...playground, name }), codeIs('artifact.path_invalid'), name);
  }
  for (const repository of ['acme/other', 'acme', 'acme/release/x', '../release']) {
    assert.throws(() => parseArtifactPath({ ...playground, repository }), codeIs('artifact.path_invalid'), repository);
  }
});

test('whatever is sent as a path, an accepted one stays inside its repository and has one spelling', () => {
  const part = fc.string({ maxLength: 12, unit: fc.constantFrom(...'aZ0./\\-_ %\u0000é~'.split('')) });
  fc.assert(
    fc.property(part, part, part, (name, version, file) => {
      let path;
      try {
        path = parseArtifactPath({ repository: 'acme/release', name: `acme/${name}`, version, file });
      } catch (error) {
        return Problem.is(error);
      }
      const segments = pathKey(path).split(':')[1]!.split('/');
      return segments.every(
        (segment) => /^[a-z0-9]/.test(segment) && !segment.includes('..') && !segment.endsWith('.'),
      );
    }),
  );
});

test('a version is the tag that was built, otherwise the number of the run and the commit', () => {
  const commit = '7fd1a60b01f91b314f59955a4e4d4e80d8edf11d';
  assert.equal(versionOf({ ref: 'refs/tags/v1.4.0', number: 7, commit }), '1.4.0');
  assert.equal(versionOf({ ref: 'refs/tags/vega', number: 7, commit }), 'vega');
  assert.equal(versionOf({ ref: 'refs/tags/../x', number: 7, commit }), '7-7fd1a60b');
  assert.equal(versionOf({ ref: 'refs/heads/main', number: 7, commit }), '7-7fd1a60b');
  assert.deepEqual(parseNameAtVersion('acme/hello/x@7-7fd1a60b'), { name: 'acme/hello/x', version: '7-7fd1a60b' });
  assert.throws(() => parseNameAtVersion('acme/hello'), codeIs('artifact.path_invalid'));
});

test('however often others keep the same bytes, they hide nobody’s', async () => {
  await withWorld(async ({ artifacts, identity, owner, as }) => {
    const dev = await as('dev', 'developer');
    const mine = await artifacts.upload(dev, { ...program, repository: 'acme/playground', body: body('the same') });
    await identity.createProject(owner, 'other');
    const grants = [{ role: 'developer' as const, project: 'other' }];
    const invited = await identity.invitePerson(owner, { name: 'eve', emails: [], grants });
    const { token } = await identity.redeemEnrolment(invited.enrolment, origin, 'access');
    const eve = (await identity.authenticate(token, origin))!;
    for (let version = 1; version <= 201; version++) {
      const copy = { name: 'other/copy', version: `${version}`, file: 'copy' };
      await artifacts.upload(eve, { ...copy, repository: 'other/playground', body: body('the same') });
    }
    assert.deepEqual(await artifacts.show(dev, mine.record.digest), [mine.record]);
    assert.equal(
      (await artifacts.show(eve, mine.record.digest)).every(({ name }) => name === 'other/copy'),
      true,
    );
    assert.equal((await artifacts.projectsWith(mine.record.digest)).length, 2);
  });
});
