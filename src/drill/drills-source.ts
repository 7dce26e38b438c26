import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identityContract } from '#identity';
import { ofCall, ofPush, inHouse } from './attempt.ts';
import { type Developer, run } from './developer.ts';
import { flipByte } from './flip.ts';
import type { Drill } from './drill.ts';
import { type House, PROJECT } from './house.ts';

/** What attackers and honest people push: a branch of its own for each drill, so that drills do not meet. */
export const branchOf = (id: string) => `HEAD:refs/heads/drill/${id}`;

/** Back to a clean tree; whether it is the newest matters to nobody who pushes a branch of their own. */
export async function fresh(who: Developer): Promise<void> {
  const { status } = await who.git('reset', '-q', '--hard', 'origin/main');
  if (status !== 0) await who.reset();
}

export async function pushHonestly(house: House, id: string, who: Developer = house.developer): Promise<string> {
  await fresh(who);
  await who.commit({ files: { [`src/${id}.txt`]: `honest work of ${who.name}\n` } });
  const ran = await who.push(`HEAD:refs/heads/honest/${id}`);
  if (ran.status !== 0) throw new Error(ran.stderr);
  return `${who.name} pushes a signed commit`;
}

/** With the key in the file, not with the developer's own. */
async function commitWithKey(who: Developer, key: string): Promise<void> {
  const ran = await who.git('-c', `user.signingKey=${key}.pub`, 'commit', '-q', '--allow-empty', '-m', 'A change');
  if (ran.status !== 0) throw new Error(ran.stderr);
}

async function makeKey(house: House, name: string): Promise<string> {
  const key = join(house.dir, `key-${name}-${Date.now()}`);
  const env = { PATH: '/usr/bin:/bin', HOME: house.dir };
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', key], { cwd: house.dir, env });
  return key;
}

const signatures: readonly Drill[] = [
  inHouse({
    id: 'unsigned-commit',
    title: 'A commit without a signature',
    threats: ['B15', 'SLSA-S', 'CIS-1.1.12'],
    control: 'every commit is signed by an enrolled key',
    refusal: /^source\.not_signed$/,
    controlOff: { source: { signatures: false } },
    async attack({ developer }) {
      await fresh(developer);
      await developer.commit({ files: { 'a.txt': 'unsigned' }, sign: false });
      return ofPush(await developer.push(branchOf('unsigned')));
    },
    legitimate: (house) => pushHonestly(house, 'unsigned'),
  }),
  inHouse({
    id: 'unsigned-behind-signed',
    title: 'An unsigned commit below a signed one',
    threats: ['B14', 'B15'],
    control: 'every commit is signed by an enrolled key',
    refusal: /^source\.not_signed$/,
    controlOff: { source: { signatures: false } },
    async attack({ developer }) {
      await fresh(developer);
      await developer.commit({ files: { 'a.txt': 'unsigned' }, sign: false });
      await developer.commit({ files: { 'b.txt': 'signed' } });
      return ofPush(await developer.push(branchOf('unsigned-below')));
    },
    legitimate: (house) => pushHonestly(house, 'unsigned-below'),
  }),
  inHouse({
    id: 'unenrolled-key',
    title: 'A commit signed with a key nobody enrolled',
    threats: ['B13', 'B15'],
    control: 'every commit is signed by an enrolled key',
    refusal: /^source\.key_unknown$/,
    controlOff: { source: { signatures: false } },
    async attack(house) {
      await fresh(house.developer);
      await commitWithKey(house.developer, await makeKey(house, 'stranger'));
      return ofPush(await house.developer.push(branchOf('unenrolled')));
    },
    legitimate: (house) => pushHonestly(house, 'unenrolled'),
  }),
  inHouse({
    id: 'revoked-key',
    title: 'A commit signed with a key that was revoked',
    threats: ['B13', 'B15', 'SEC-6'],
    control: 'every commit is signed by an enrolled key',
    refusal: /^source\.key_revoked$/,
    controlOff: { source: { signatures: false } },
    async attack(house) {
      const { developer } = house;
      const key = await makeKey(house, 'lost');
      const publicKey = await readFile(`${key}.pub`, 'utf8');
      const { fingerprint } = await developer.client.call(identityContract.enrolKey, { body: { publicKey } });
      await developer.client.call(identityContract.revokeKey, { body: { fingerprint, reason: 'lost' } });
      await fresh(developer);
      await commitWithKey(developer, key);
      return ofPush(await developer.push(branchOf('revoked')));
    },
    legitimate: (house) => pushHonestly(house, 'revoked'),
  }),
  inHouse({
    id: 'forged-author',
    title: 'A commit under a colleague’s name',
    threats: ['PHP-2021', 'B15'],
    control: 'author and committer are the signer',
    refusal: /^source\.author_forged$/,
    controlOff: { source: { authors: false } },
    async attack({ developer, maintainer }) {
      await fresh(developer);
      const author = `${maintainer.name} <${maintainer.email}>`;
      await developer.commit({ files: { 'a.txt': 'not mia’s' }, author });
      return ofPush(await developer.push(branchOf('forged')));
    },
    legitimate: (house) => pushHonestly(house, 'forged'),
  }),
];

/** Pushes something honest, then tries to take it back. */
export async function pushFirst(who: Developer, ...refspecs: string[]): Promise<void> {
  const ran = await who.push(...refspecs);
  if (ran.status !== 0) throw new Error(ran.stderr);
}

const history: readonly Drill[] = [
  inHouse({
    id: 'force-push',
    title: 'A branch rewritten by force',
    threats: ['SLSA-S-history', 'CIS-1.1.16'],
    control: 'history only grows',
    refusal: /^source\.history_rewritten$/,
    controlOff: { source: { appendOnly: false } },
    async prepare({ developer }) {
      await fresh(developer);
      await developer.commit({ files: { 'kept.txt': 'to stay' } });
      await pushFirst(developer, 'HEAD:refs/heads/drill/rewritten');
    },
    async attack({ developer }) {
      await developer.git('reset', '-q', '--hard', 'HEAD~1');
      await developer.commit({ files: { 'other.txt': 'instead' } });
      return ofPush(await developer.push('--force', 'HEAD:refs/heads/drill/rewritten'));
    },
    legitimate: (house) => pushHonestly(house, 'force'),
  }),
  inHouse({
    id: 'tag-move',
    title: 'A tag moved to another commit',
    threats: ['SLSA-S-tags', 'TRIVY-2026'],
    control: 'history only grows',
    refusal: /^source\.tag_moved$/,
    controlOff: { source: { appendOnly: false } },
    async prepare({ developer }) {
      await fresh(developer);
      await developer.git('tag', '-s', '-f', '-m', 'one', 'drill-moved');
      await pushFirst(developer, 'drill-moved');
    },
    async attack({ developer }) {
      await developer.commit({ files: { 'a.txt': 'elsewhere' } });
      await developer.git('tag', '-s', '-f', '-m', 'two', 'drill-moved');
      return ofPush(await developer.push('--force', 'drill-moved'));
    },
    legitimate: (house) => pushHonestly(house, 'tag-move'),
  }),
  inHouse({
    id: 'ref-deletion',
    title: 'A branch deleted',
    threats: ['SLSA-S-history'],
    control: 'history only grows',
    refusal: /^source\.ref_deleted$/,
    controlOff: { source: { appendOnly: false } },
    async prepare({ developer }) {
      await fresh(developer);
      await pushFirst(developer, 'HEAD:refs/heads/drill/deleted');
    },
    attack: async ({ developer }) => ofPush(await developer.push('--delete', 'drill/deleted')),
    legitimate: (house) => pushHonestly(house, 'deletion'),
  }),
];

const protectedPaths: readonly Drill[] = [
  inHouse({
    id: 'protected-path',
    title: 'The Dockerfile changed by somebody who may not',
    threats: ['B22', 'SEC-4', 'CIS-2.3.4'],
    control: 'protected paths',
    refusal: /^source\.path_protected$/,
    controlOff: { source: { protectedPaths: false } },
    async attack({ developer }) {
      await fresh(developer);
      await developer.commit({ files: { Dockerfile: 'FROM evil\n' } });
      return ofPush(await developer.push(branchOf('protected')));
    },
    async legitimate({ maintainer }) {
      await fresh(maintainer);
      await maintainer.commit({ files: { Dockerfile: 'FROM scratch\n' } });
      await pushFirst(maintainer, 'HEAD:refs/heads/honest/protected');
      return 'a maintainer changes it';
    },
  }),
  inHouse({
    id: 'protected-path-evil-merge',
    title: 'The workflow changed in a merge commit only',
    threats: ['B14', 'B22', 'SLSA-B2'],
    control: 'protected paths',
    refusal: /^source\.path_protected$/,
    controlOff: { source: { protectedPaths: false } },
    async attack({ developer }) {
      await mergeTwoLines(developer, 'evil');
      await developer.commit({ files: {} });
      await amendMerge(developer, { '.github/workflows/release.yml': 'name: evil\non: push\njobs: {}\n' });
      return ofPush(await developer.push(branchOf('evil-merge')));
    },
    async legitimate({ developer }) {
      await mergeTwoLines(developer, 'good');
      await pushFirst(developer, 'HEAD:refs/heads/honest/merge');
      return 'a merge of two honest lines';
    },
  }),
  inHouse({
    id: 'protected-path-revert-pair',
    title: 'The Dockerfile changed and changed back in one push',
    threats: ['B14', 'SLSA-B2'],
    control: 'protected paths',
    refusal: /^source\.path_protected$/,
    controlOff: { source: { protectedPaths: false } },
    async attack({ developer }) {
      await fresh(developer);
      const before = await readFile(join(developer.clone, 'Dockerfile'), 'utf8');
      await developer.commit({ files: { Dockerfile: 'FROM evil\n' } });
      await developer.commit({ files: { Dockerfile: before } });
      return ofPush(await developer.push(branchOf('revert-pair')));
    },
    legitimate: (house) => pushHonestly(house, 'revert-pair'),
  }),
  inHouse({
    id: 'protected-path-symlink',
    title: 'The Dockerfile replaced by a link to a file of one’s own',
    threats: ['B22', 'SEC-4'],
    control: 'protected paths',
    refusal: /^source\.path_protected$/,
    controlOff: { source: { protectedPaths: false } },
    async attack({ developer }) {
      await fresh(developer);
      await rm(join(developer.clone, 'Dockerfile'));
      await writeFile(join(developer.clone, 'mine'), 'FROM evil\n');
      await symlink('mine', join(developer.clone, 'Dockerfile'));
      await developer.commit({ files: {} });
      return ofPush(await developer.push(branchOf('symlink')));
    },
    legitimate: (house) => pushHonestly(house, 'symlink'),
  }),
  inHouse({
    id: 'protected-path-case',
    title: 'A second Dockerfile that differs in case alone',
    threats: ['B22'],
    control: 'protected paths',
    refusal: /^source\.path_protected$/,
    controlOff: { source: { protectedPaths: false } },
    async attack({ developer }) {
      await fresh(developer);
      await developer.commit({ files: { DOCKERFILE: 'FROM evil\n' } });
      return ofPush(await developer.push(branchOf('case')));
    },
    legitimate: (house) => pushHonestly(house, 'case'),
  }),
];

async function mergeTwoLines(who: Developer, mark: string): Promise<void> {
  await fresh(who);
  await who.git('checkout', '-q', '-B', `side-${mark}`);
  await who.commit({ files: { [`side-${mark}.txt`]: 'side' } });
  await who.git('checkout', '-q', '-B', `line-${mark}`, 'origin/main');
  await who.commit({ files: { [`line-${mark}.txt`]: 'line' } });
  const merged = await who.git('merge', '-q', '--no-ff', '-S', '-m', `Merge ${mark}`, `side-${mark}`);
  if (merged.status !== 0) throw new Error(merged.stderr);
}

async function amendMerge(who: Developer, files: Readonly<Record<string, string>>): Promise<void> {
  await who.git('reset', '-q', '--hard', 'HEAD~1');
  for (const [path, content] of Object.entries(files)) await writeFile(join(who.clone, path), content);
  await who.git('add', '--all');
  const amended = await who.git('commit', '-q', '--amend', '-S', '--no-edit');
  if (amended.status !== 0) throw new Error(amended.stderr);
}

const PACK_HEADER_BYTES = 12;

const disk: readonly Drill[] = [
  inHouse({
    id: 'ref-edited-on-disk',
    title: 'A branch moved by root on the server’s disk',
    threats: ['B9', 'PHP-2021', 'SLSA-C'],
    control: 'refs on the disk are the recorded ones',
    refusal: /source\.refs_tampered/,
    controlOff: { source: { diskRefs: false } },
    async attack(house) {
      const dir = await house.repositoryDir();
      const evil = await plantCommit(house, dir);
      const undo = await moveOnDisk(dir, 'refs/heads/main', evil);
      try {
        const { developer } = house;
        await developer.git('update-ref', '-d', 'refs/remotes/origin/main');
        const ran = await developer.git('fetch', 'origin', 'main:refs/remotes/origin/main', '--force');
        const got = (await developer.git('rev-parse', 'refs/remotes/origin/main')).stdout.trim();
        if (ran.status === 0 && got === evil) return { succeeded: true, detail: 'a clone got the planted commit' };
        const verdict = await ofCall(() => platformRefuses(house));
        return { ...verdict, succeeded: false };
      } finally {
        await undo();
      }
    },
    async legitimate({ developer }) {
      await developer.reset();
      return 'a fetch of what was pushed';
    },
  }),
  inHouse({
    id: 'git-object-edited-on-disk',
    title: 'One byte of the objects behind main flipped on the server’s disk',
    threats: ['B9', 'SLSA-C'],
    control: 'git computes every object’s id anew',
    refusal: /fatal/,
    // Nothing to switch off: the id is the hash, and stock git at the other end computes it.
    controlOff: 'no-switch',
    async attack(house) {
      const dir = join(await house.repositoryDir(), 'objects', 'pack');
      const packs = (await readdir(dir)).filter((name) => name.endsWith('.pack')).map((name) => join(dir, name));
      const undo = await Promise.all(packs.map((path) => flipByte(path, PACK_HEADER_BYTES + 20)));
      try {
        const target = join(house.dir, `clone-${Date.now()}`);
        const ran = await house.developer.git('clone', '-q', `${house.server.url}/acme/hello.git`, target);
        const code = ran.stderr.split('\n').find((line) => line.includes('fatal')) ?? '';
        return { succeeded: ran.status === 0, code, detail: ran.stderr.trim().slice(0, 400) };
      } finally {
        for (const one of undo) await one();
      }
    },
    async legitimate({ developer, server, dir }) {
      const ran = await developer.git('clone', '-q', `${server.url}/acme/hello.git`, join(dir, `good-${Date.now()}`));
      if (ran.status !== 0) throw new Error(ran.stderr);
      return 'a clone of the untouched repository';
    },
  }),
  inHouse({
    id: 'ref-moved-with-git',
    title: 'A branch moved with git update-ref on the server',
    threats: ['B9', 'PHP-2021'],
    control: 'git moves no ref that the gate did not approve',
    refusal: /move only through a push/,
    controlOff: { source: { refLock: false } },
    async attack(house) {
      const dir = await house.repositoryDir();
      const env = { PATH: '/usr/bin:/bin', HOME: house.dir };
      const target = (await run('git', ['rev-parse', 'refs/heads/main'], { cwd: dir, env })).stdout.trim();
      const ref = 'refs/heads/drill-planted';
      const ran = await run('git', ['update-ref', ref, target], { cwd: dir, env });
      const found = await run('git', ['rev-parse', '--verify', '--quiet', ref], { cwd: dir, env });
      await rm(join(dir, ref), { force: true });
      return {
        succeeded: found.status === 0,
        detail: ran.stderr.trim(),
        ...(ran.stderr === '' ? {} : { code: ran.stderr.trim() }),
      };
    },
    legitimate: (house) => pushHonestly(house, 'update-ref'),
  }),
];

/** What a build of that branch would be told. */
async function platformRefuses(house: House): Promise<void> {
  const { source } = house.server.platform;
  const { id } = await source.requireRepository(`${PROJECT}/hello`);
  const main = (await source.refs(id)).find(({ ref }) => ref === 'refs/heads/main');
  await source.requireCommit(id, main?.target ?? '', 'refs/heads/main');
}

/** Root makes a commit straight in the bare repository, under the maintainer's name. */
async function plantCommit(house: House, dir: string): Promise<string> {
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: house.dir,
    GIT_AUTHOR_NAME: 'mia',
    GIT_AUTHOR_EMAIL: house.maintainer.email,
    GIT_COMMITTER_NAME: 'mia',
    GIT_COMMITTER_EMAIL: house.maintainer.email,
  };
  const words = ['commit-tree', '-p', 'refs/heads/main', '-m', 'Fix typo', 'refs/heads/main^{tree}'];
  const made = await run('git', words, { cwd: dir, env });
  if (made.status !== 0) throw new Error(made.stderr);
  return made.stdout.trim();
}

async function moveOnDisk(dir: string, ref: string, target: string): Promise<() => Promise<void>> {
  const path = join(dir, ref);
  const before = await readFile(path, 'utf8');
  await writeFile(path, `${target}\n`);
  return () => writeFile(path, before);
}

export const sourceDrills: readonly Drill[] = [...signatures, ...history, ...protectedPaths, ...disk];
