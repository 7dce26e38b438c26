import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Problem } from '#base';
import type { Terminal } from './terminal.ts';

/** What `waybill login` remembers, in files only its user can read: server, CA, token, the last checkpoint seen. */
export interface Login {
  server: string;
  /** PEM. */
  ca: string | undefined;
}

export interface Home {
  readonly directory: string;
  login(): Promise<Login | undefined>;
  token(): Promise<string | undefined>;
  saveLogin(login: Login, token: string): Promise<void>;
  forgetLogin(): Promise<boolean>;
  /** Where the last checkpoint seen from a server is kept. */
  checkpointFile: string;
}

export function openHome({ env }: Pick<Terminal, 'env'>): Home {
  const directory = directoryOf(env);
  const file = (name: string): string => join(directory, name);
  return {
    directory,
    checkpointFile: file('checkpoints.json'),
    async login() {
      const text = await readIfThere(file('server'));
      if (text === undefined) return undefined;
      return { server: text.trim(), ca: await readIfThere(file('ca.pem')) };
    },
    async token() {
      const given = env['WAYBILL_TOKEN_FILE'];
      if (given) return (await readFile(given, 'utf8')).trim();
      await requirePrivate(file('token'));
      return (await readIfThere(file('token')))?.trim();
    },
    async saveLogin({ server, ca }, token) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await chmod(directory, 0o700);
      await replaceFile(file('token'), `${token}\n`);
      if (ca === undefined) await rm(file('ca.pem'), { force: true });
      else await replaceFile(file('ca.pem'), ca);
      await replaceFile(file('server'), `${server}\n`);
    },
    async forgetLogin() {
      const known = (await readIfThere(file('server'))) !== undefined;
      for (const name of ['token', 'server', 'ca.pem']) await rm(file(name), { force: true });
      return known;
    },
  };
}

function directoryOf(env: Terminal['env']): string {
  if (env['WAYBILL_HOME']) return env['WAYBILL_HOME'];
  const base = env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config');
  return join(base, 'waybill');
}

/** Replaced by rename, so that a reader sees the old or the new one, and nobody else sees either. */
export async function replaceFile(path: string, text: string, mode = 0o600): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, text, { mode, flag: 'wx' });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function requirePrivate(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || (found.mode & 0o077) === 0) return;
  throw new Problem({
    code: 'cli.token_exposed',
    kind: 'forbidden',
    message: `Others on this machine can read ${path}.`,
    hint: `Run \`chmod 600 ${path}\`; if others use this machine, revoke the token and log in again.`,
  });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
}
