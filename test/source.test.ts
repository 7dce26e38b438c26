import assert from 'node:assert/strict';
import { request } from 'node:https';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { checksum62, Problem, randomBase62 } from '#base';
import { rebuildAndCompare } from '#journal';
import { identityModule } from '#identity';
import { pushAccepted, pushRefused, type Repository, type SourceControls, sourceModule } from '#source';
import {
  type Developer,
  type GitResult,
  type SourceServer,
  startSourceServer,
  type WorkTree,
} from './support/source.ts';

/** Cuts a literal in two, so that this file holds no token. */
const cut = '';
function githubToken(): string {
  const body = randomBase62(30);
  return `gh${cut}p_${body}${checksum62(body)}`;
}

const unsigned = ['-c', 'commit.gpgsign=false', '-c', 'tag.gpgsign=false'];
let server: SourceServer;
let count = 0;
before(async () => {
  server = await startSourceServer();
});
after(() => server.stop());

/** A repository with one accepted commit, by the maintainer, and a developer's clone of it. */
async function house(at = server): Promise<{ repository: Repository; work: WorkTree; maintained: WorkTree }> {
  const repository = await at.repository(`r${++count}`);
  const maintained = await at.maintainer.clone(repository, `m${count}`);
  await maintained.commit({
    'README.md': 'hello\n',
    Dockerfile: 'FROM scratch\n',
    '.github/workflows/ci.yml': 'on: push\n',
  });
  const first = await maintained.push();
  assert.equal(first.status, 0, first.output);
  return { repository, maintained, work: await at.developer.clone(repository, `d${count}`) };
}

/** A developer's work tree of one repository that all tests of refusals share: a refused push changes nothing. */
let shared: Promise<{ repository: Repository; work: WorkTree }> | undefined;
async function guest(): Promise<WorkTree> {
  shared ??= house();
  const { work } = await shared;
  return await work.copy(`copy${++count}`);
}

function assertRefused(push: GitResult, ...codes: string[]): void {
  assert.notEqual(push.status, 0, push.output);
  assert.match(push.output, /remote: PUSH REFUSED by the Waybill source gate\. Nothing was stored\./);
  assert.match(push.output, /remote: {3}details: https:\/\/localhost:\d+\/pushes\/psh_/);
  for (const code of codes) assert.ok(push.output.includes(`[${code}]`), `${code} in\n${push.output}`);
}

const everyObject = async (at: SourceServer, repository: Repository) =>
  (await readdir(join(at.gitDirectory(repository), 'objects'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

describe('a push that is as it should be', () => {
  test('travels: recorded with signer and key, on the disk, and cloned again', async () => {
    const { repository, work } = await house();
    const id = await work.commit({ 'hello.txt': 'hello\n' });
    const push = await work.push();
    assert.equal(push.status, 0, push.output);
    assert.match(push.output, /remote: Push accepted: \d+ checks passed, 1 new commit on record\./);
    const [ref] = await server.source.refs(repository.id);
    assert.deepEqual([ref?.ref, ref?.target], ['refs/heads/main', id]);
    assert.equal((await server.source.verifyRefs(repository.id)).ok, true);
    const fact = (await server.journal.read({ types: [pushAccepted.type], limit: 1, newestFirst: true }))[0];
    const payload = pushAccepted.schema.parse(fact?.payload);
    assert.deepEqual(payload.commits, [
      { id, signer: server.developer.caller.principal, key: server.developer.fingerprint },
    ]);
    assert.equal(payload.pusher, server.developer.caller.principal);
    assert.ok(payload.checks.every((check) => check.status === 'passed' || check.name === 'push certificate'));
    const again = await server.developer.clone(repository, `again${count}`);
    assert.equal(await again.git('rev-parse', 'HEAD'), id);
  });

  test('may bring branches, signed tags, merges and a maintainer’s change of protected files', async () => {
    const { repository, maintained } = await house();
    await maintained.git('checkout', '-q', '-b', 'topic');
    await maintained.commit({ Dockerfile: 'FROM scratch\nUSER 1\n' });
    await maintained.git('checkout', '-q', 'main');
    await maintained.commit({ 'main.txt': 'm' });
    await maintained.git('merge', '-q', '--no-ff', '-m', 'merge', 'topic');
    await maintained.git('tag', '-m', 'first', 'v1');
    const push = await maintained.push('origin', 'main', 'topic', 'v1');
    assert.equal(push.status, 0, push.output);
    assert.deepEqual(
      (await server.source.refs(repository.id)).map(({ ref }) => ref),
      ['refs/heads/main', 'refs/heads/topic', 'refs/tags/v1'],
    );
  });

  test('is read back by builds: the commit, its files, its history and a bundle that proves itself', async () => {
    const { repository, work } = await house();
    const id = await work.commit({ 'src/a.txt': 'content\n' }, 'add a');
    assert.equal((await work.push()).status, 0);
    const found = await server.source.requireCommit(repository.id, id, 'refs/heads/main');
    assert.equal(found.key, server.developer.fingerprint);
    assert.equal((await server.source.readFile(repository.id, id, 'src/a.txt'))?.toString(), 'content\n');
    assert.equal(await server.source.readFile(repository.id, id, 'src/none'), undefined);
    assert.equal(await server.source.readFile(repository.id, id, 'src'), undefined);
    assert.ok(
      (await server.source.listFiles(repository.id, id)).some(({ path, size }) => path === 'src/a.txt' && size === 8),
    );
    const [newest, oldest] = await server.source.log(repository.id, 'refs/heads/main', 10);
    assert.deepEqual([newest?.id, newest?.subject, newest?.signer], [id, 'add a', server.developer.caller.principal]);
    assert.equal(oldest?.signer, server.maintainer.caller.principal);
    const chunks: Buffer[] = [];
    for await (const chunk of await server.source.openBundle(repository.id, id)) chunks.push(chunk as Buffer);
    await writeFile(join(work.dir, '..', 'a.bundle'), Buffer.concat(chunks));
    const unpacked = await server.developer.git(
      join(work.dir, '..'),
      'clone',
      '--quiet',
      '--branch',
      'build',
      'a.bundle',
      `bundle${count}`,
    );
    assert.equal(unpacked.status, 0, unpacked.output);
    assert.match(
      (await server.developer.git(join(work.dir, '..', `bundle${count}`), 'rev-parse', 'HEAD')).output,
      new RegExp(id),
    );
    const refused = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
    await assert.rejects(
      server.source.requireCommit(repository.id, 'f'.repeat(40), 'refs/heads/main'),
      refused('source.commit_not_recorded'),
    );
    await assert.rejects(
      server.source.requireCommit(repository.id, id, 'refs/heads/other'),
      refused('source.commit_not_recorded'),
    );
    await assert.rejects(
      server.source.openBundle(repository.id, 'f'.repeat(40)),
      refused('source.commit_not_recorded'),
    );
  });

  test('works with old protocols, shallow and partial clones, gzip and chunked bodies', async () => {
    const { repository, work } = await house();
    await work.commit({ 'big.bin': randomBytes(5 * 1024 * 1024), 'text.txt': 'x'.repeat(100_000) });
    const pushed = await work.try('-c', 'http.postBuffer=65536', 'push', 'origin', 'HEAD:main');
    assert.equal(pushed.status, 0, pushed.output);
    const url = `${server.url}/${repository.name}.git`;
    const variants = [
      ['-c', 'protocol.version=0', 'clone', '-q', url, 'v0'],
      ['-c', 'protocol.version=1', 'clone', '-q', url, 'v1'],
      ['clone', '-q', '--depth=1', url, 'shallow'],
      ['clone', '-q', '--filter=blob:none', url, 'partial'],
    ];
    for (const args of variants) {
      const cloned = await server.developer.git(join(work.dir, '..'), ...args.slice(0, -1), `${args.at(-1)}${count}`);
      assert.equal(cloned.status, 0, cloned.output);
    }
    // Many local branches make the client compress its request.
    for (let branch = 0; branch < 60; branch++)
      await work.git('branch', `local${branch}`, await work.commit({ n: String(branch) }));
    const fetched = await work.try('fetch', '-q', 'origin');
    assert.equal(fetched.status, 0, fetched.output);
  });
});

interface Attack {
  readonly control: keyof SourceControls;
  readonly code: string;
  /** What the attacker pushed before, as everybody may. */
  prepare?(work: WorkTree): Promise<unknown>;
  run(work: WorkTree, at: SourceServer, repository: Repository): Promise<GitResult>;
}

/** Each is refused with every control on, and goes through with only its own control off. */
const attacks: Readonly<Record<string, Attack>> = {
  'an unsigned commit': {
    control: 'signatures',
    code: 'source.not_signed',
    async run(work) {
      await work.write({ 'a.txt': 'a' });
      await work.git('add', '.');
      await work.git(...unsigned, 'commit', '-q', '-m', 'unsigned');
      return await work.push();
    },
  },
  'a commit under somebody else’s name': {
    control: 'authors',
    code: 'source.author_forged',
    async run(work) {
      await work.commit({ 'a.txt': 'a' }, 'forged', '--author=mia <mia@example.org>');
      return await work.push();
    },
  },
  'a change of the Dockerfile by somebody who may not': {
    control: 'protectedPaths',
    code: 'source.path_protected',
    async run(work) {
      await work.commit({ Dockerfile: 'FROM evil\n' });
      return await work.push();
    },
  },
  'a planted secret': {
    control: 'secrets',
    code: 'source.secret_found',
    async run(work) {
      await work.commit({ 'settings.env': `TOKEN=${githubToken()}\n` });
      return await work.push();
    },
  },
  'a rewritten history': {
    control: 'appendOnly',
    code: 'source.history_rewritten',
    async prepare(work) {
      await work.commit({ 'a.txt': 'first' });
      await work.push();
    },
    async run(work) {
      await work.git('commit', '-q', '--amend', '--reset-author', '-m', 'another second');
      return await work.push('--force', 'origin', 'HEAD:main');
    },
  },
  'a ref outside branches, tags and notes': {
    control: 'refNames',
    code: 'source.ref_not_allowed',
    async run(work) {
      await work.commit({ 'a.txt': 'a' });
      return await work.push('origin', 'HEAD:refs/changes/1');
    },
  },
  'a branch that differs in case alone': {
    control: 'refNames',
    code: 'source.ref_case_twin',
    async run(work) {
      await work.commit({ 'a.txt': 'a' });
      return await work.push('origin', 'HEAD:refs/heads/Main');
    },
  },
  'a file larger than the limit': {
    control: 'sizes',
    code: 'source.object_too_large',
    async run(work) {
      await work.commit({ 'zeros.bin': Buffer.alloc(3 * 1024 * 1024) });
      return await work.push();
    },
  },
  'an object nothing leads to': { control: 'smuggling', code: 'source.object_smuggled', run: smuggle },
  'an unsigned push where a certificate is required': {
    control: 'certificates',
    code: 'source.certificate_missing',
    async run(work, at, repository) {
      await at.source.changeSettings(at.maintainer.caller, repository.name, { pushCertificates: 'require' });
      await work.commit({ 'a.txt': 'a' });
      return await work.push();
    },
  },
};

/** A pack made by hand: the pushed commit, and one blob beside it. */
async function smuggle(work: WorkTree, at: SourceServer, repository: Repository): Promise<GitResult> {
  const old = await work.git('rev-parse', 'HEAD');
  const id = await work.commit({ 'a.txt': 'a' });
  await writeFile(join(work.dir, '..', 'payload'), randomBytes(200));
  const blob = await work.git('hash-object', '-w', join(work.dir, '..', 'payload'));
  const listed = await work.git('rev-list', '--objects', '--no-object-names', `${old}..${id}`);
  await writeFile(join(work.dir, 'ids'), `${listed}\n${blob}\n`);
  const packed = await work.git('-c', 'alias.pack=!git pack-objects --quiet .git/smuggled < ids', 'pack');
  const pack = await readFile(join(work.dir, '.git', `smuggled-${packed.split('\n').at(-1)}.pack`));
  const line = `${old} ${id} refs/heads/main\0report-status side-band-64k`;
  const command = `${(line.length + 4).toString(16).padStart(4, '0')}${line}0000`;
  return await post(
    at,
    at.developer,
    `/${repository.name}.git/git-receive-pack`,
    Buffer.concat([Buffer.from(command), pack]),
  );
}

async function post(at: SourceServer, as: Developer, path: string, body: Buffer): Promise<GitResult> {
  const token = (await readFile(join(as.home, 'credential'), 'utf8')).match(/password=(\w+)/)?.[1] ?? '';
  const output = await new Promise<string>((resolve, reject) => {
    const sent = request(
      `${at.url}${path}`,
      {
        method: 'POST',
        ca: at.ca,
        headers: {
          authorization: `Basic ${Buffer.from(`x:${token}`).toString('base64')}`,
          'content-type': 'application/x-git-receive-pack-request',
        },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
        response.on('end', () => resolve(text));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
  // Side-band 2 carries what a client shows behind `remote:`.
  const plain = output
    .split('\u0002')
    .join('')
    .replaceAll('\n', '\nremote: ')
    .replaceAll(/remote: [0-9a-f]{4}/g, 'remote: ');
  return { status: output.includes('ok refs/') ? 0 : 1, output: `remote: ${plain}` };
}

describe('attacks', () => {
  let small: SourceServer;
  before(async () => {
    small = await startSourceServer({ limits: { blobBytes: 1024 * 1024 } });
  });
  after(() => small.stop());

  for (const [name, attack] of Object.entries(attacks)) {
    test(`${name} is refused, leaves nothing behind, and goes through with only that control off`, async () => {
      const { repository, work } = await house(small);
      await attack.prepare?.(work);
      const [objects, refs] = [await everyObject(small, repository), await small.source.refs(repository.id)];
      assertRefused(await attack.run(work, small, repository), attack.code);
      assert.deepEqual(await everyObject(small, repository), objects);
      assert.deepEqual(await small.source.refs(repository.id), refs);
      const [newest] = await small.source.listPushes(small.developer.caller, { project: 'acme', limit: 1 });
      assert.deepEqual([newest?.state, newest?.repository], ['refused', repository.id]);
      assert.ok(newest?.checks.some((check) => check.code === attack.code && check.fix !== undefined));

      const open = await startSourceServer({
        limits: { blobBytes: 1024 * 1024 },
        controls: { [attack.control]: false },
      });
      try {
        const weak = await house(open);
        await attack.prepare?.(weak.work);
        const push = await attack.run(weak.work, open, weak.repository);
        assert.equal(push.status, 0, push.output);
      } finally {
        await open.stop();
      }
    });
  }
});

describe('signatures', () => {
  test('unknown keys, revoked keys, and keys of people who may not push are refused, each for its own reason', async () => {
    const { repository, work, maintained } = await house();
    const other = join(work.dir, '..', `stranger${count}`);
    await server.developer.git(work.dir, '-c', `alias.keygen=!ssh-keygen -q -t ed25519 -N '' -f ${other}`, 'keygen');
    await work.write({ 'a.txt': '1' });
    await work.git('add', '.');
    await work.git('-c', `user.signingkey=${other}.pub`, 'commit', '-q', '-m', 'unknown');
    assertRefused(await work.push(), 'source.key_unknown');

    const reader = await server.addDeveloper(`reader${count}`, 'reader');
    const theirs = await reader.clone(repository, 'theirs');
    await theirs.commit({ 'b.txt': '2' });
    await maintained.git('pull', '-q', '--no-rebase', join(theirs.dir), 'main');
    assertRefused(await maintained.push(), 'source.signer_not_allowed');

    const leaver = await server.addDeveloper(`leaver${count}`, 'developer');
    const last = await leaver.clone(repository, 'last');
    await last.commit({ 'c.txt': '3' });
    await server.identity.revokeKey(leaver.caller, leaver.fingerprint, 'lost');
    assertRefused(await last.push(), 'source.key_revoked');
  });

  test('a signed commit changed by one byte is refused', async () => {
    const work = await guest();
    await work.commit({ 'a.txt': '1' }, 'a message');
    const raw = (await work.git('cat-file', 'commit', 'HEAD')).replace('a message', 'a massage');
    await writeFile(join(work.dir, '..', 'raw'), `${raw}\n`);
    const id = await work.git('hash-object', '-t', 'commit', '-w', join(work.dir, '..', 'raw'));
    assertRefused(await work.push('origin', `${id}:refs/heads/main`), 'source.signature_invalid');
  });

  test('an unsigned commit below a signed one, on any branch, is refused', async () => {
    const work = await guest();
    await work.write({ 'a.txt': '1' });
    await work.git('add', '.');
    await work.git(...unsigned, 'commit', '-q', '-m', 'below');
    await work.commit({ 'a.txt': '2' });
    assertRefused(await work.push('origin', 'HEAD:refs/heads/new'), 'source.not_signed');
  });

  test('an unsigned tag is refused, a moved tag as well', async () => {
    const { work } = await house();
    await work.git(...unsigned, 'tag', '-a', '-m', 'unsigned', 'v1');
    assertRefused(await work.push('origin', 'v1'), 'source.not_signed');
    await work.git('tag', '-m', 'signed', '-f', 'v1');
    assert.equal((await work.push('origin', 'v1')).status, 0);
    await work.commit({ x: 'y' });
    await work.git('tag', '-m', 'moved', '-f', 'v1');
    assertRefused(await work.push('--force', 'origin', 'v1'), 'source.tag_moved');
    assertRefused(await work.push('origin', ':refs/heads/main'), 'source.ref_deleted');
  });
});

describe('protected paths', () => {
  const cases: Readonly<Record<string, (work: WorkTree) => Promise<unknown>>> = {
    'in another case': (work) => work.commit({ dockerfile: 'FROM evil\n' }),
    'on a new branch': (work) => work.commit({ '.github/workflows/new.yml': 'on: push\n' }),
    'changed and changed back': async (work) => {
      await work.commit({ Dockerfile: 'FROM evil\n' });
      await work.commit({ Dockerfile: 'FROM scratch\n' });
    },
    'by a link in the place of its folder': async (work) => {
      await rm(join(work.dir, '.github'), { recursive: true });
      await symlink('elsewhere', join(work.dir, '.github'));
      await work.commit({ 'elsewhere/workflows/ci.yml': 'on: push\n' });
    },
    'in a merge commit alone': async (work) => {
      await work.git('checkout', '-q', '-b', 'side');
      await work.commit({ side: '1' });
      await work.git('checkout', '-q', 'main');
      await work.commit({ main: '1' });
      await work.git('merge', '-q', '--no-commit', '--no-ff', 'side');
      await work.commit({ Dockerfile: 'FROM evil\n' }, 'evil merge');
    },
    'by deleting it': async (work) => {
      await rm(join(work.dir, 'Dockerfile'));
      await work.commit({});
    },
  };
  for (const [name, change] of Object.entries(cases)) {
    test(`a protected file cannot be changed ${name}`, async () => {
      const work = await guest();
      await change(work);
      assertRefused(await work.push('origin', 'HEAD:refs/heads/topic'), 'source.path_protected');
    });
  }

  test('a maintainer cannot carry in a developer’s change, and a developer cannot carry in a maintainer’s', async () => {
    const { work, maintained } = await house();
    await work.commit({ Dockerfile: 'FROM evil\n' });
    await maintained.git('pull', '-q', '--ff-only', work.dir, 'main');
    const carried = await maintained.push();
    assertRefused(carried, 'source.path_protected');
    assert.match(carried.output, /dan may not/);
    const other = await house();
    await other.maintained.commit({ Dockerfile: 'FROM mia\n' });
    await other.work.git('pull', '-q', '--ff-only', other.maintained.dir, 'main');
    assertRefused(await other.work.push(), 'source.path_protected');
  });

  test('what a protected link leads to is protected', async () => {
    const { work, maintained } = await house();
    await rm(join(maintained.dir, 'Dockerfile'));
    await symlink('docker/real', join(maintained.dir, 'Dockerfile'));
    await maintained.commit({ 'docker/real': 'FROM scratch\n' });
    assert.equal((await maintained.push()).status, 0);
    await work.git('pull', '-q', '--ff-only');
    await work.commit({ 'docker/real': 'FROM evil\n' });
    assertRefused(await work.push(), 'source.path_protected');
  });
});

describe('secrets', () => {
  /** Where scanners of diffs do not look. */
  const places: Readonly<Record<string, (work: WorkTree, token: string) => Promise<unknown>>> = {
    'a merge commit’s own tree': async (work, token) => {
      await work.git('checkout', '-q', '-b', 'side');
      await work.commit({ side: '1' });
      await work.git('checkout', '-q', 'main');
      await work.commit({ main: '1' });
      await work.git('merge', '-q', '--no-commit', '--no-ff', 'side');
      await work.commit({ evil: token });
    },
    'a commit message': (work, token) => work.commit({ a: '1' }, `deploy with ${token}`),
    'a tag message': async (work, token) => {
      await work.commit({ a: '1' });
      await work.git('tag', '-m', token, `t${count}`);
    },
    'a UTF-16 file': (work, token) => work.commit({ a: Buffer.from(`\ufeff${token}`, 'utf16le') }),
    'a file with a NUL byte': (work, token) => work.commit({ a: `\0${token}` }),
    base64: (work, token) => work.commit({ a: Buffer.from(`token ${token}`).toString('base64') }),
    node_modules: (work, token) => work.commit({ 'node_modules/x/index.js': token }),
    'an image': (work, token) => work.commit({ 'logo.svg': `<svg>${token}</svg>` }),
    'a file name': (work, token) => work.commit({ [`${token}.txt`]: '' }),
    'a line with an allow comment': (work, token) => work.commit({ a: `key = "${token}" # gitleaks:allow` }),
    'a link’s target': async (work, token) => {
      await symlink(token, join(work.dir, 'link'));
      await work.commit({});
    },
    'a commit that a later one takes back': async (work, token) => {
      await work.commit({ a: token });
      await work.commit({ a: 'nothing' });
    },
  };
  for (const [name, plant] of Object.entries(places)) {
    test(`a token in ${name} is refused and shown to nobody`, async () => {
      const work = await guest();
      const token = githubToken();
      await plant(work, token);
      const push = await work.try('push', '--follow-tags', 'origin', 'HEAD:refs/heads/topic');
      assertRefused(push, 'source.secret_found');
      assert.ok(!push.output.includes(token));
      const [fact] = await server.journal.read({ types: [pushRefused.type], limit: 1, newestFirst: true });
      assert.ok(!JSON.stringify(fact).includes(token));
    });
  }

  test('a token in a git note is refused', async () => {
    const work = await guest();
    await work.git('notes', 'add', '-m', githubToken());
    assertRefused(await work.push('origin', 'refs/notes/commits'), 'source.secret_found', 'source.not_signed');
  });

  test('a look-alike whose checksum is wrong is shown, and passes', async () => {
    const { work } = await house();
    await work.commit({ 'docs.md': `for example ${githubToken().slice(0, -2)}zz\n` });
    const push = await work.push();
    assert.equal(push.status, 0, push.output);
    assert.match(push.output, /possibly a secret, GitHub token .* in docs\.md line 1/);
  });

  test('what cannot be searched in time is refused', async () => {
    const hurried = await startSourceServer({ limits: { gateMs: 400 } });
    try {
      const { work } = await house(hurried);
      await work.commit({
        slow: '://'.repeat(4_000_000),
        b: `x${'://'.repeat(4_000_000)}`,
        c: `y${'://'.repeat(4_000_000)}`,
      });
      assertRefused(await work.push());
    } finally {
      await hurried.stop();
    }
  });
});

describe('every problem at once', () => {
  test('one refusal names them all, grouped, each with a fix', async () => {
    const work = await guest();
    await work.write({ Dockerfile: 'FROM evil\n', '.env': `TOKEN=${githubToken()}\n` });
    await work.git('add', '.');
    await work.git(...unsigned, 'commit', '-q', '-m', 'all wrong', '--author', 'mia <mia@example.org>');
    const push = await work.push('origin', 'HEAD:refs/heads/x', 'HEAD:refs/odd/y');
    assertRefused(
      push,
      'source.not_signed',
      'source.author_forged',
      'source.path_protected',
      'source.secret_found',
      'source.ref_not_allowed',
    );
    assert.equal(push.output.match(/remote: {7}fix: /g)?.length, 5);
  });
});

describe('the server’s disk', () => {
  test('git itself moves no ref the gate did not approve; without that lock it would', async () => {
    const { repository, work } = await house();
    await work.commit({ a: '1' });
    assert.equal((await work.push()).status, 0);
    const dir = server.gitDirectory(repository);
    const move = (at: SourceServer, place: string) =>
      at.developer.git(place, 'update-ref', 'refs/heads/main', 'HEAD~1');
    const refused = await move(server, dir);
    assert.notEqual(refused.status, 0);
    assert.match(refused.output, /refs of this repository move only through a push/);

    const open = await startSourceServer({ controls: { refLock: false } });
    try {
      const weak = await house(open);
      await weak.work.commit({ a: '1' });
      assert.equal((await weak.work.push()).status, 0);
      assert.equal((await move(open, open.gitDirectory(weak.repository))).status, 0);
      assert.equal((await open.source.verifyRefs(weak.repository.id)).ok, false);
    } finally {
      await open.stop();
    }
  });

  test('a ref edited on the disk is noticed: nobody fetches, pushes or builds; without the control they would', async () => {
    for (const controls of [{}, { diskRefs: false }]) {
      const at = await startSourceServer({ controls });
      try {
        const { repository, work, maintained } = await house(at);
        const before = await maintained.git('rev-parse', 'HEAD');
        const id = await work.commit({ a: '1' });
        assert.equal((await work.push()).status, 0);
        await writeFile(join(at.gitDirectory(repository), 'refs', 'heads', 'main'), `${before}\n`);
        const verdict = await at.source.verifyRefs(repository.id);
        assert.deepEqual([verdict.ok, verdict.checks[0]?.code], [false, 'source.refs_tampered']);
        const fetched = await maintained.try('fetch', 'origin');
        const built = await at.source.requireCommit(repository.id, id, 'refs/heads/main').then(
          () => 'built',
          (error: unknown) => (Problem.is(error) ? error.code : 'unexpected'),
        );
        if (controls.diskRefs === false) {
          assert.deepEqual([fetched.status, built], [0, 'built']);
          continue;
        }
        assert.notEqual(fetched.status, 0);
        assert.match(fetched.output, /refs of acme\/r\d+ on the server’s disk are not the recorded ones/);
        assert.equal(built, 'source.refs_tampered');
        assert.notEqual((await work.push('origin', 'HEAD:refs/heads/y')).status, 0);
      } finally {
        await at.stop();
      }
    }
  });

  test('a ref nobody pushed, a deleted ref, a packed ref and another HEAD are noticed', async () => {
    const { repository, maintained } = await house();
    const dir = server.gitDirectory(repository);
    const id = await maintained.git('rev-parse', 'HEAD');
    const ok = async () => (await server.source.verifyRefs(repository.id)).ok;
    const main = await readFile(join(dir, 'refs/heads/main'));
    assert.equal(await ok(), true);
    await writeFile(join(dir, 'refs/heads/extra'), `${id}\n`);
    assert.equal(await ok(), false);
    await rm(join(dir, 'refs/heads/extra'));
    await rm(join(dir, 'refs/heads/main'));
    assert.equal(await ok(), false);
    await writeFile(join(dir, 'packed-refs'), `${id} refs/heads/main\n`);
    assert.equal(await ok(), true);
    await writeFile(join(dir, 'packed-refs'), `${id} refs/heads/main\n${id} refs/replace/${id}\n`);
    assert.equal(await ok(), false);
    await rm(join(dir, 'packed-refs'));
    await writeFile(join(dir, 'refs/heads/main'), main);
    await writeFile(join(dir, 'HEAD'), 'ref: refs/heads/other\n');
    assert.equal(await ok(), false);
    await writeFile(join(dir, 'HEAD'), 'ref: refs/heads/main\n');
    assert.equal(await ok(), true);
  });
});

describe('push certificates', () => {
  test('are taken when sent, recorded with the push, and never accepted twice', async () => {
    const { repository, work } = await house();
    await work.commit({ a: '1' });
    const push = await work.push('--signed', 'origin', 'HEAD:main');
    assert.equal(push.status, 0, push.output);
    const [recorded] = await server.source.listPushes(server.developer.caller, { project: 'acme', limit: 1 });
    assert.match(recorded?.certificate ?? '', /^sha256:/);
    assert.equal(recorded?.checks.find((check) => check.name === 'push certificate')?.status, 'passed');
    assert.equal((await server.source.verifyRefs(repository.id)).ok, true);
  });

  test('signed with a key that is not the pusher’s are refused, and leave nothing behind', async () => {
    const { repository, work } = await house();
    await work.commit({ a: '1' });
    const objects = await everyObject(server, repository);
    const push = await work.try(
      '-c',
      `user.signingkey=${join(server.maintainer.home, 'key.pub')}`,
      'push',
      '--signed',
      'origin',
      'HEAD:main',
    );
    assertRefused(push, 'source.certificate_signer');
    assert.deepEqual(await everyObject(server, repository), objects);
  });
});

describe('who may', () => {
  test('nobody reads or pushes without a token; strangers are told no more than that there is nothing', async () => {
    const { repository, work } = await house();
    const anonymous = await work.try('-c', 'credential.helper=', 'ls-remote', 'origin');
    assert.notEqual(anonymous.status, 0);
    assert.match(anonymous.output, /could not read Username|Authentication failed/);
    const unknown = await work.try('ls-remote', `${server.url}/acme/none.git`);
    assert.match(unknown.output, /not found/);
    const reader = await server.addDeveloper(`visitor${count}`, 'reader');
    const theirs = await reader.clone(repository, 'theirs');
    await theirs.commit({ a: '1' });
    const push = await theirs.push();
    assert.notEqual(push.status, 0);
    assert.match(push.output, /source:push is missing/);
  });

  test('settings are a maintainer’s, creation an owner’s or a maintainer’s', async () => {
    const { repository } = await house();
    const forbidden = (error: unknown) => Problem.is(error) && error.code === 'identity.forbidden';
    await assert.rejects(
      server.source.changeSettings(server.developer.caller, repository.name, { pushCertificates: 'off' }),
      forbidden,
    );
    await assert.rejects(
      server.source.createRepository(server.developer.caller, { project: 'acme', name: 'mine' }),
      forbidden,
    );
    const changed = await server.source.changeSettings(server.maintainer.caller, repository.name, {
      protectedPaths: ['only-this'],
    });
    assert.deepEqual(changed.protectedPaths, ['only-this']);
    const gate = await server.source.explainGate(server.developer.caller, repository.name);
    assert.ok(gate.controls.every((control) => control.on && control.rule.length > 20));
  });
});

describe('afterwards', () => {
  test('the tables are the fold of the facts', async () => {
    const verdict = await rebuildAndCompare({ db: server.db, modules: [identityModule, sourceModule] });
    assert.equal(verdict.ok, true, JSON.stringify(verdict.checks));
  });

  test('no quarantine, lock or note of a push under way is left', async () => {
    for (const repository of await server.source.listRepositories(server.maintainer.caller, 'acme')) {
      const dir = server.gitDirectory(repository);
      assert.deepEqual(
        (await readdir(join(dir, 'objects'))).filter((name) => name.includes('incoming')),
        [],
      );
      if (existsSync(join(dir, 'waybill'))) assert.deepEqual(await readdir(join(dir, 'waybill')), []);
    }
  });
});
