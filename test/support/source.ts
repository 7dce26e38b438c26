import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '#base';
import { createApp, createTlsAuthority, issueTlsIdentity } from '#http';
import { type Caller, createIdentity, type Identity, identityModule } from '#identity';
import { createJournal, type Journal } from '#journal';
import {
  createSource,
  type GateLimits,
  type Repository,
  type Source,
  type SourceControls,
  sourceModule,
} from '#source';
import { type Db, openDatabase, openObjects } from '#storage';
import { registerGitRoutes } from '#wire';

const run = promisify(execFile);

export interface GitResult {
  status: number;
  output: string;
}

/** One developer's machine: a home, a signing key, a token, stock git. */
export interface Developer {
  readonly caller: Caller;
  readonly name: string;
  readonly email: string;
  readonly home: string;
  readonly fingerprint: string;
  readonly publicKey: string;
  /** A clone, made and configured to sign. */
  clone(repository: Repository, folder?: string): Promise<WorkTree>;
  git(cwd: string, ...args: string[]): Promise<GitResult>;
}

export interface WorkTree {
  readonly dir: string;
  /** Fails the test if git does. */
  git(...args: string[]): Promise<string>;
  /** For what may fail. */
  try(...args: string[]): Promise<GitResult>;
  write(files: Readonly<Record<string, string | Buffer>>): Promise<void>;
  /** Writes, stages and commits with a signature; answers the commit's id. */
  commit(files: Readonly<Record<string, string | Buffer>>, message?: string, ...args: string[]): Promise<string>;
  push(...args: string[]): Promise<GitResult>;
  /** The same work tree beside this one, without asking the server. */
  copy(folder: string): Promise<WorkTree>;
}

export interface SourceServer {
  readonly url: string;
  readonly ca: string;
  readonly data: string;
  readonly source: Source;
  readonly journal: Journal;
  readonly db: Db;
  readonly identity: Identity;
  readonly maintainer: Developer;
  readonly developer: Developer;
  repository(name: string): Promise<Repository>;
  gitDirectory(repository: Repository): string;
  addDeveloper(
    name: string,
    role: 'developer' | 'maintainer' | 'reader',
    keyType?: readonly string[],
  ): Promise<Developer>;
  stop(): Promise<void>;
}

/** Journal, identity, source and smart HTTP over TLS, for real git clients; nothing else of the server. */
export async function startSourceServer(
  options: { controls?: Partial<SourceControls>; limits?: Partial<GateLimits> } = {},
): Promise<SourceServer> {
  const data = await mkdtemp(join(tmpdir(), 'waybill-source-'));
  const authority = await createTlsAuthority('test', Date.now());
  await writeFile(join(data, 'ca.pem'), authority.certificatePem);
  const db = await openDatabase({ path: join(data, 'waybill.db') });
  const journal = await createJournal({ db, clock: systemClock, modules: [identityModule, sourceModule] });
  const identity = createIdentity({ journal, db, clock: systemClock, pepper: randomBytes(32) });
  const objects = await openObjects({ dir: join(data, 'objects') });
  const tokens = new Map<string, Caller>();
  const app = createApp({
    tls: await issueTlsIdentity(authority, ['localhost'], Date.now()),
    publicUrl: 'https://localhost',
    networks: ['127.0.0.0/8', '::1/128'],
    authenticators: [async (token, origin) => withOrigin(tokens.get(token), origin)],
    clock: systemClock,
    logLevel: 'error',
  });
  // The clone address is known only once a port is taken, and certificates of pushes name it.
  const port = await freePort();
  const url = `https://localhost:${port}`;
  const source = await createSource({
    dir: join(data, 'git'),
    publicUrl: url,
    secret: randomBytes(32),
    journal,
    db,
    objects,
    identity,
    ...options,
  });
  registerGitRoutes(app, { source });
  await app.listen({ host: '127.0.0.1', port });

  await identity.bootstrapOwner();
  const owner = await personNamed('owner');
  await identity.createProject(owner, 'acme');

  async function personNamed(name: string): Promise<Caller> {
    const principal = await identity.findPrincipalByName(name);
    if (principal === undefined) throw new Error(`nobody is called ${name}`);
    return {
      principal: principal.id,
      kind: 'person',
      name,
      origin: { kind: 'http', address: '127.0.0.1' },
      credential: { type: 'token', id: 'test' },
    };
  }

  async function addDeveloper(
    name: string,
    role: 'developer' | 'maintainer' | 'reader',
    keyType: readonly string[] = ['-t', 'ed25519'],
  ): Promise<Developer> {
    const email = `${name}@example.org`;
    await identity.invitePerson(owner, { name, emails: [email], grants: [{ role, project: 'acme' }] });
    const caller = await personNamed(name);
    const token = randomBytes(16).toString('hex');
    tokens.set(token, caller);
    const home = join(data, 'homes', name);
    await mkdir(home, { recursive: true });
    await run('ssh-keygen', ['-q', ...keyType, '-N', '', '-C', name, '-f', join(home, 'key')]);
    const publicKey = (await readFile(join(home, 'key.pub'), 'utf8')).trim();
    const { fingerprint } = await identity.enrolKey(caller, publicKey, 'laptop');
    await configure(home, { name, email, token, ca: join(data, 'ca.pem') });
    const git = (cwd: string, ...args: string[]) => runGit(home, cwd, args);
    const clone = async (repository: Repository, folder = repository.name.split('/')[1] ?? 'clone') => {
      const cloned = await git(home, 'clone', '--quiet', `${url}/${repository.name}.git`, folder);
      if (cloned.status !== 0) throw new Error(cloned.output);
      return workTree(join(home, folder), git);
    };
    return { caller, name, email, home, fingerprint, publicKey, git, clone };
  }

  return {
    url,
    ca: authority.certificatePem,
    data,
    source,
    journal,
    db,
    identity,
    maintainer: await addDeveloper('mia', 'maintainer'),
    developer: await addDeveloper('dan', 'developer'),
    repository: async (name) => await source.createRepository(await personNamed('owner'), { project: 'acme', name }),
    gitDirectory: (repository) => join(data, 'git', `${repository.id}.git`),
    addDeveloper,
    async stop() {
      await app.close();
      await source.close();
      await journal.close();
      await db.close();
      await rm(data, { recursive: true, force: true });
    },
  };
}

function withOrigin(caller: Caller | undefined, origin: Caller['origin']): Caller | undefined {
  return caller && { ...caller, origin };
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const probe = createServer();
  await new Promise<void>((resolve) => {
    probe.listen(0, '127.0.0.1', resolve);
  });
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => {
    probe.close(resolve);
  });
  return port;
}

async function configure(
  home: string,
  person: { name: string; email: string; token: string; ca: string },
): Promise<void> {
  const helper = join(home, 'credential');
  await writeFile(helper, `#!/bin/sh\necho username=any\necho password=${person.token}\n`);
  await chmod(helper, 0o700);
  await writeFile(
    join(home, '.gitconfig'),
    `[user]\n\tname = ${person.name}\n\temail = ${person.email}\n\tsigningkey = ${join(home, 'key.pub')}\n` +
      `[gpg]\n\tformat = ssh\n[commit]\n\tgpgsign = true\n[tag]\n\tgpgsign = true\n[init]\n\tdefaultBranch = main\n` +
      `[http]\n\tsslCAInfo = ${person.ca}\n[credential]\n\thelper = ${helper}\n[advice]\n\tdetachedHead = false\n`,
  );
}

async function runGit(home: string, cwd: string, args: readonly string[]): Promise<GitResult> {
  const env = {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    LC_ALL: 'C',
  };
  try {
    const { stdout, stderr } = await run('git', [...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 });
    return { status: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, output: stdout + stderr };
  }
}

function workTree(dir: string, git: (cwd: string, ...args: string[]) => Promise<GitResult>): WorkTree {
  const tree: WorkTree = {
    dir,
    try: (...args) => git(dir, ...args),
    async git(...args) {
      const { status, output } = await git(dir, ...args);
      if (status !== 0) throw new Error(`git ${args.join(' ')}: ${output}`);
      return output.trim();
    },
    async write(files) {
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(dir, path)), { recursive: true });
        await writeFile(join(dir, path), content);
      }
    },
    async commit(files, message = 'a change', ...args) {
      await tree.write(files);
      await tree.git('add', '--all');
      await tree.git('commit', '--quiet', '--allow-empty', '-m', message, ...args);
      return await tree.git('rev-parse', 'HEAD');
    },
    async copy(folder) {
      const target = join(dirname(dir), folder);
      await cp(dir, target, { recursive: true });
      return workTree(target, git);
    },
    push: (...args) => git(dir, 'push', ...(args.length === 0 ? ['origin', 'HEAD:main'] : args)),
  };
  return tree;
}
