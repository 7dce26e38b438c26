import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '#client';
import { createDeveloper, type Developer, enrol } from '#drill';
import { identityContract, type Role } from '#identity';
import { rebuildAndCompare } from '#journal';
import { modules } from '#server';
import { sourceContract } from '#source';
import { openDatabase } from '#storage';

const program = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'src/cli/main.ts');

/** A process of ours, with what it printed. */
export interface Program {
  child: ChildProcess;
  output(): string;
  /** How it ended: a signal, or a status. */
  ended: Promise<string>;
}

export interface FaultPoint {
  name: string;
  /** The how-manieth time; the first unless said. */
  hit?: number;
}

export function startProgram(words: readonly string[], fault?: FaultPoint): Program {
  const env: Record<string, string> = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/nonexistent' };
  if (fault) {
    env['WAYBILL_FAULT_POINT'] = fault.name;
    env['WAYBILL_FAULT_HIT'] = String(fault.hit ?? 1);
  }
  const child = spawn(process.execPath, [program, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (status, signal) => resolve(signal ?? `status ${status}`));
  });
  return { child, ended, output: () => text };
}

/** `waybill up` on a data directory that outlives it, and the people who work with it. */
export interface Installation {
  url: string;
  data: string;
  dir: string;
  owner: Client;
  developer: Developer;
  /** Starts server and runner; resolves when it listens. */
  start(fault?: FaultPoint): Promise<Program>;
  machine(name: string, role: Role): Promise<string>;
  /** `server rebuild --verify` over the data directory as it is. */
  verifyTables(): Promise<string[]>;
  remove(): Promise<void>;
}

const START_MS = 30_000;

export async function install(): Promise<Installation> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-crash-'));
  const data = join(dir, 'data');
  const port = await freePort();
  const url = `https://localhost:${port}`;
  const clients: Client[] = [];
  const started: Program[] = [];

  async function start(fault?: FaultPoint): Promise<Program> {
    const words = ['up', '--data', data, '--listen', `127.0.0.1:${port}`, '--public-url', url, '--log-level', 'error'];
    const up = startProgram(words, fault);
    started.push(up);
    const listening = until(() => up.output().includes('Waybill listens at'), START_MS);
    const ended = await Promise.race([up.ended, listening.then(() => undefined)]);
    if (ended !== undefined) throw new Error(`it ended before it listened (${ended}): ${up.output()}`);
    return up;
  }

  const up = await start();
  const ca = await readFile(join(data, 'ca.pem'), 'utf8');
  const as = (token?: string) => {
    const client = createClient({ url, ca, fetchTimeoutMs: 10_000, ...(token === undefined ? {} : { token }) });
    clients.push(client);
    return client;
  };
  const link = /https:\/\/\S+\/enrol#\S+/.exec(up.output())?.[0] ?? '';
  const owner = as(await enrol(as(), link));
  await owner.call(identityContract.createProject, { body: { slug: 'acme' } });
  const grants = [{ role: 'maintainer' as const, project: 'acme' }];
  const body = { name: 'mia', emails: ['mia@example.org'], grants };
  const token = await enrol(as(), (await owner.call(identityContract.invitePerson, { body })).link);
  const client = as(token);
  const caPath = join(data, 'ca.pem');
  const developer = await createDeveloper({ dir, name: 'mia', token, client, url, caPath });
  await client.call(sourceContract.createRepository, { params: { project: 'acme' }, body: { name: 'hello' } });
  await kill(up);

  return {
    url,
    data,
    dir,
    owner,
    developer,
    start,
    async machine(name, role) {
      const grant = [{ role, project: 'acme' }];
      const made = await owner.call(identityContract.createMachine, { body: { name, grants: grant } });
      const path = join(dir, `${name}.credential`);
      await writeFile(path, made.token, { mode: 0o600 });
      return path;
    },
    async verifyTables() {
      const db = await openDatabase({ path: join(data, 'waybill.db') });
      try {
        const { checks } = await rebuildAndCompare({ db, modules });
        return checks.filter(({ status }) => status !== 'passed').map(({ name, found }) => `${name}: ${found}`);
      } finally {
        await db.close();
      }
    },
    async remove() {
      for (const each of started) if (each.child.exitCode === null && each.child.signalCode === null) await kill(each);
      for (const one of clients) one.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** As the kernel does when memory runs out, or a hand that pulls the plug. The runner dies with its server. */
export async function kill(up: Program): Promise<void> {
  up.child.kill('SIGKILL');
  await up.ended;
}

export async function until(holds: () => boolean | Promise<boolean>, withinMs: number): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it did not happen within ${withinMs / 1000} s`);
    await sleep(50);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
