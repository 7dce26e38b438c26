import { spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Client } from '#client';
import { identityContract } from '#identity';

export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

export interface CommitOptions {
  /** Path → content; null removes the file. */
  files: Readonly<Record<string, string | Uint8Array | null>>;
  message?: string;
  sign?: boolean;
  /** `Name <address>`, if not the developer's own. */
  author?: string;
  executable?: readonly string[];
}

/** Somebody with a clone, stock git and an enrolled key. */
export interface Developer {
  name: string;
  email: string;
  token: string;
  client: Client;
  clone: string;
  keyFile: string;
  git(...words: string[]): Promise<Ran>;
  /** Commits on top of what is checked out; answers with the commit id. */
  commit(options: CommitOptions): Promise<string>;
  push(...refspecs: string[]): Promise<Ran>;
  /** Back to what the server has. */
  reset(): Promise<void>;
}

export async function createDeveloper({
  dir,
  name,
  token,
  client,
  url,
  caPath,
}: {
  dir: string;
  name: string;
  token: string;
  client: Client;
  url: string;
  caPath: string;
}): Promise<Developer> {
  const home = join(dir, 'people', name);
  const clone = join(home, 'clone');
  const email = `${name}@example.org`;
  const keyFile = join(home, 'signing_key');
  await mkdir(clone, { recursive: true, mode: 0o700 });
  await writeFile(join(home, 'token'), token, { mode: 0o600 });
  await writeFile(join(home, 'askpass'), `#!/bin/sh\ncat '${join(home, 'token')}'\n`, { mode: 0o700 });
  await writeFile(join(home, 'gitconfig'), gitConfig({ name, email, keyFile, caPath }));
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: home,
    LC_ALL: 'C.UTF-8',
    GIT_CONFIG_GLOBAL: join(home, 'gitconfig'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: join(home, 'askpass'),
  };
  const git = (...words: string[]) => run('git', words, { cwd: clone, env });
  const must = async (...words: string[]) => {
    const ran = await git(...words);
    if (ran.status !== 0) throw new Error(`git ${words[0]} failed: ${ran.stderr}`);
    return ran.stdout.trim();
  };

  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', email, '-f', keyFile], { cwd: home, env });
  const publicKey = await readFile(`${keyFile}.pub`, 'utf8');
  await client.call(identityContract.enrolKey, { body: { publicKey } });
  await must('init', '-q');
  await must('remote', 'add', 'origin', `${url}/acme/hello.git`);

  return {
    name,
    email,
    token,
    client,
    clone,
    keyFile,
    git,
    async commit({ files, message = 'A change', sign = true, author, executable = [] }) {
      for (const [path, content] of Object.entries(files)) {
        const target = join(clone, path);
        await mkdir(dirname(target), { recursive: true });
        if (content === null) await rm(target, { force: true });
        else await writeFile(target, content, { mode: executable.includes(path) ? 0o755 : 0o644 });
      }
      await must('add', '--all');
      const signing = sign ? [] : ['--no-gpg-sign'];
      const named = author === undefined ? [] : [`--author=${author}`];
      await must('commit', '-q', '--allow-empty', '-m', message, ...signing, ...named);
      return await must('rev-parse', 'HEAD');
    },
    push: (...refspecs) => git('push', 'origin', ...(refspecs.length > 0 ? refspecs : ['HEAD:main'])),
    async reset() {
      await must('fetch', '-q', 'origin');
      await must('reset', '-q', '--hard', 'origin/main');
    },
  };
}

function gitConfig({
  name,
  email,
  keyFile,
  caPath,
}: {
  name: string;
  email: string;
  keyFile: string;
  caPath: string;
}): string {
  return `[user]
  name = ${name}
  email = ${email}
  signingKey = ${keyFile}.pub
[gpg]
  format = ssh
[commit]
  gpgSign = true
[tag]
  gpgSign = true
[http]
  sslCAInfo = ${caPath}
[init]
  defaultBranch = main
`;
}

/** Runs a program to its end, in an environment made from scratch. */
export async function run(
  program: string,
  words: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): Promise<Ran> {
  const child = spawn(program, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const read = async (stream: NodeJS.ReadableStream) =>
    Buffer.concat((await Array.fromAsync(stream)) as Buffer[]).toString();
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const [stdout, stderr] = await Promise.all([read(child.stdout), read(child.stderr), closed]);
  return { status: child.exitCode ?? 1, stdout, stderr };
}
