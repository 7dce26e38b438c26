// What the demo stands on: temporary directories, people with their own homes, and the real programs they use.
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const cli = join(root, 'src/cli/main.ts');

export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. Nothing of the demo's own environment gets into it but PATH. */
export async function run(
  program: string,
  words: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Promise<Ran> {
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/nonexistent', LC_ALL: 'C.UTF-8', ...options.env };
  const child = spawn(program, words, { cwd: options.cwd ?? tmpdir(), env, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), ended(child)]);
  return { status: child.exitCode ?? 1, stdout, stderr };
}

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const ended = (child: ChildProcess) => new Promise<void>((resolve) => child.once('close', () => resolve()));

export class StepFailed extends Error {}

/** The run must end as expected; otherwise the step fails with what was printed. */
export function expectStatus(ran: Ran, wanted: number, what: string): Ran {
  if (ran.status === wanted) return ran;
  const printed = [ran.stdout, ran.stderr].join('\n').trim().slice(-3000);
  throw new StepFailed(`${what}: expected exit status ${wanted}, found ${ran.status}.\n${printed}`);
}

/** Somebody with a home of their own: a login, a signing key, a git identity. */
export interface Person {
  name: string;
  email: string;
  home: string;
  keyFile: string;
}

export interface Stage {
  dir: string;
  data: string;
  url: string;
  caFile: string;
  people: Map<string, Person>;
  server: ChildProcess | undefined;
}

export async function createStage(data: string | undefined): Promise<Stage> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-demo-'));
  return { dir, data: data ?? join(dir, 'data'), url: '', caFile: '', people: new Map(), server: undefined };
}

export async function createPerson(stage: Stage, name: string): Promise<Person> {
  const home = join(stage.dir, 'home', name);
  await mkdir(home, { recursive: true, mode: 0o700 });
  const person = { name, email: `${name}@example.org`, home, keyFile: join(home, 'signing_key') };
  stage.people.set(name, person);
  return person;
}

/** `waybill …` as somebody, with `--json`: exit status and the one document it printed. */
export async function waybill(
  person: Person,
  words: readonly string[],
  options: { status?: number | readonly number[]; input?: string } = {},
): Promise<Record<string, any>> {
  const ran = await run(process.execPath, [cli, ...words, '--json'], {
    // One cache of compiled code for all of them: they share a machine.
    env: {
      HOME: person.home,
      WAYBILL_HOME: join(person.home, 'waybill'),
      XDG_CACHE_HOME: join(dirname(person.home), 'cache'),
    },
    ...(options.input === undefined ? {} : { input: options.input }),
  });
  const wanted = [options.status ?? 0].flat();
  expectStatus(ran, wanted.includes(ran.status) ? ran.status : wanted[0]!, `waybill ${words.join(' ')}`);
  return JSON.parse(ran.stdout) as Record<string, any>;
}

export interface Server {
  process: ChildProcess;
  /** The one-use link of the first start. */
  link: string | undefined;
}

const START_MS_MAX = 60_000;

/** `waybill up`, as its own process; resolves when it says where it listens. */
export async function startUp(stage: Stage, listen: string): Promise<Server> {
  const log = createWriteStream(join(stage.dir, 'server.log'), { flags: 'a' });
  const child = spawn(process.execPath, [cli, 'up', '--data', stage.data, '--listen', listen], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: stage.dir },
  });
  stage.server = child;
  let printed = '';
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new StepFailed(`the server did not start:\n${printed}`)), START_MS_MAX);
    child.stderr.on('data', (chunk: Buffer) => {
      printed += chunk.toString('utf8');
      log.write(chunk);
      if (!printed.includes('Ctrl-C stops it.')) return;
      clearTimeout(timer);
      resolve();
    });
    child.once('exit', () => reject(new StepFailed(`the server ended while starting:\n${printed}`)));
  });
  const listening = /listens at (\S+) .*certificate authority is (.+)\)/.exec(printed);
  stage.url = listening?.[1] ?? '';
  stage.caFile = listening?.[2] ?? '';
  return { process: child, link: /https:\S+#wbe_\w+/.exec(printed)?.[0] };
}

export async function stopStage(stage: Stage, keep: boolean): Promise<void> {
  const child = stage.server;
  if (child && child.exitCode === null && child.signalCode === null) {
    const gone = ended(child);
    child.kill('SIGTERM');
    await gone;
  }
  if (!keep) await rm(stage.dir, { recursive: true, force: true });
}

/** A clone's settings: who commits, how it signs, what it trusts, and where the password comes from (a file, not an argument). */
export async function gitEnvironment(stage: Stage, person: Person): Promise<Record<string, string>> {
  const askpass = join(person.home, 'askpass');
  await writeFile(askpass, `#!/bin/sh\ncat '${join(person.home, 'waybill', 'token')}'\n`, { mode: 0o700 });
  await chmod(askpass, 0o700);
  const config = join(person.home, 'gitconfig');
  await writeFile(
    config,
    [
      '[user]',
      `  name = ${person.name}`,
      `  email = ${person.email}`,
      `  signingKey = ${person.keyFile}.pub`,
      '[gpg]',
      '  format = ssh',
      '[commit]',
      '  gpgSign = true',
      '[tag]',
      '  gpgSign = true',
      '[http]',
      `  sslCAInfo = ${stage.caFile}`,
      '  sslVersion = tlsv1.3',
      '[init]',
      '  defaultBranch = main',
      '',
    ].join('\n'),
  );
  return {
    HOME: person.home,
    GIT_CONFIG_GLOBAL: config,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: askpass,
  };
}

export async function git(stage: Stage, person: Person, cwd: string, words: readonly string[]): Promise<Ran> {
  return await run('git', words, { cwd, env: await gitEnvironment(stage, person) });
}
