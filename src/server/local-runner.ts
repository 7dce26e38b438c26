import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, lchown, lstat, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '#base';
import { ensureDirectory, writeDurable } from '#storage';

/** The account packagers make for it; without one a number that no account has. */
const RUNNER_USER = 'waybill-runner';
const RUNNER_UID_WITHOUT_ACCOUNT = 61_199;
/** Constant paths inside the runner's own mount namespace: what a build can see of them names nothing of this machine. */
const STAGE = '/run/waybill-runner';
const RESTART_MS_FIRST = 500;
const RESTART_MS_MAX = 10_000;
const STOP_MS = 5_000;
/** Of a line that does not end. */
const LINE_CHARS_MAX = 64 * 1024;

const codeRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface LocalRunnerOptions {
  url: string;
  caPath: string;
  /** A directory for it alone, below the data directory. */
  dir: string;
  token: string;
  onLine: (line: string) => void;
}

export interface LocalRunner {
  /** Process id of the runner now; undefined between two starts. */
  pid(): number | undefined;
  stop(): Promise<void>;
}

/**
 * Keeps one runner running beside the server, as a separate process that speaks only HTTPS to it. Started by root it runs under
 * another user, in a mount namespace that shows it the program read-only and its own directory; it dies with the server.
 */
export async function startLocalRunner(options: LocalRunnerOptions): Promise<LocalRunner> {
  const user = await runnerUser();
  await prepareDirectory(options, user);
  let child: ChildProcess | undefined;
  let stopped = false;
  let restartMs = RESTART_MS_FIRST;
  let timer: NodeJS.Timeout | undefined;

  function start(): void {
    const startedAt = Date.now();
    const [program, ...words] = user === undefined ? plainCommand(options) : stagedCommand(options, user);
    child = spawn(program!, words, {
      env: { PATH: '/usr/bin:/bin', ...faultPoints() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) forwardLines(stream, options.onLine);
    child.once('error', (error) => options.onLine(`the runner could not be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      child = undefined;
      if (stopped) return;
      options.onLine(`the runner ended (${signal ?? `status ${code}`}); starting it again`);
      restartMs = Date.now() - startedAt > RESTART_MS_MAX ? RESTART_MS_FIRST : Math.min(restartMs * 2, RESTART_MS_MAX);
      timer = setTimeout(start, restartMs);
    });
  }
  start();

  return {
    pid: () => child?.pid,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      const running = child;
      if (!running) return;
      await new Promise<void>((resolve) => {
        running.once('exit', () => resolve());
        running.kill('SIGTERM');
        setTimeout(() => running.kill('SIGKILL'), STOP_MS).unref();
      });
    },
  };
}

/** Crash tests end the runner at a named instant, too. Whoever can set these here can end both processes anyway. */
function faultPoints(): Record<string, string> {
  const names = ['WAYBILL_FAULT_POINT', 'WAYBILL_FAULT_HIT'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** The directory stays root's: only below `jobs` can the runner write, so it can plant no link that root would follow. */
async function prepareDirectory({ dir, caPath, token }: LocalRunnerOptions, user: number | undefined): Promise<void> {
  const [jobs, credential, ca] = [join(dir, 'jobs'), join(dir, 'credential'), join(dir, 'ca.pem')];
  await ensureDirectory(dir);
  if (user !== undefined) {
    await lchown(dir, 0, 0);
    await chmod(dir, 0o711);
    const found = await lstat(jobs).catch(() => undefined);
    if (found?.isDirectory() === false) await rm(jobs);
  }
  await ensureDirectory(jobs);
  await writeDurable(credential, `${token}\n`);
  await writeDurable(ca, await readFile(caPath), 0o644);
  if (user === undefined) return;
  for (const path of [jobs, credential]) await lchown(path, user, user);
  await mkdir(join(STAGE, 'code'), { recursive: true, mode: 0o755 });
  await mkdir(join(STAGE, 'work'), { recursive: true, mode: 0o755 });
}

function runnerWords(url: string, code: string, work: string, node: string): string[] {
  const flags = ['--server', url, '--ca', join(work, 'ca.pem'), '--credential', join(work, 'credential')];
  return [node, join(code, 'src/cli/main.ts'), 'runner', 'start', ...flags, '--work', join(work, 'jobs')];
}

/** Not root: the same user, which `waybill doctor` says. */
function plainCommand({ url, dir }: LocalRunnerOptions): string[] {
  return ['setpriv', '--pdeathsig', 'KILL', '--', ...runnerWords(url, codeRoot, dir, process.execPath)];
}

const STAGE_SCRIPT = `set -e
mount --bind "$1" ${STAGE}/code
mount -o remount,bind,ro ${STAGE}/code
mount --bind "$2" ${STAGE}/work
user=$3
shift 3
cd ${STAGE}/work
exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all --pdeathsig KILL -- "$@"`;

function stagedCommand({ url, dir }: LocalRunnerOptions, user: number): string[] {
  const inside = process.execPath.startsWith(`${codeRoot}/`)
    ? join(STAGE, 'code', process.execPath.slice(codeRoot.length))
    : process.execPath;
  const words = runnerWords(url, join(STAGE, 'code'), join(STAGE, 'work'), inside);
  const stage = ['sh', '-c', STAGE_SCRIPT, 'waybill-runner', codeRoot, dir, String(user), ...words];
  return ['unshare', '--mount', '--propagation', 'private', '--', ...stage];
}

/** The uid to run as, or undefined when this process is not root and therefore cannot choose. */
async function runnerUser(): Promise<number | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const named = accounts.find(([name]) => name === RUNNER_USER);
  if (named) return Number(named[2]);
  if (accounts.every((fields) => Number(fields[2]) !== RUNNER_UID_WITHOUT_ACCOUNT)) return RUNNER_UID_WITHOUT_ACCOUNT;
  throw new Problem({
    code: 'server.runner_user_missing',
    kind: 'unavailable',
    message: `There is no user ${RUNNER_USER}, and the number used without one belongs to somebody else.`,
    hint: `Make the account: useradd --system --no-create-home --shell /usr/sbin/nologin ${RUNNER_USER}`,
  });
}

function forwardLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = '';
  stream?.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = (lines.pop() ?? '').slice(-LINE_CHARS_MAX);
    for (const line of lines) onLine(line);
  });
}
