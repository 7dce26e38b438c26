import { spawn } from 'node:child_process';
import { open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOf, Problem } from '#base';
import { hashOpened, hashPath } from './place.ts';

/** A process is known by its number together with the moment it started: numbers come back, moments do not. */
export interface ProcessMark {
  pid: number;
  /** Field 22 of /proc/<pid>/stat, in clock ticks since boot. */
  startTime: string;
  /** What /proc/<pid>/exe hashed to when it was started: the program itself, or its interpreter if it is a script. */
  executable: Digest;
  executablePath: string;
}

export interface Exit {
  code: number | null;
  signal: string | null;
}

/**
 * Starts the program from the very bytes that were hashed: the file is opened once, hashed through that descriptor, and the
 * descriptor is what is executed. Whatever happens to the path in between changes nothing. The environment is empty but for
 * what is given.
 */
export async function startProgram(options: {
  path: string;
  digest: Digest;
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
  workingDirectory: string;
  log: string;
  /** False in a drill only. */
  hashing?: boolean;
  onExit: (exit: Exit) => void;
}): Promise<ProcessMark> {
  const file = await open(options.path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const log = await open(options.log, 'a', 0o644);
  try {
    const found = await hashOpened(file);
    if (found !== options.digest && options.hashing !== false) throw notVerified(options.digest, found);
    const child = spawn('/proc/self/fd/3', [...options.args], {
      argv0: options.path,
      cwd: options.workingDirectory,
      env: { ...options.environment },
      stdio: ['ignore', log.fd, log.fd, file.fd],
      detached: true,
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(cannotStart(cause)));
    });
    child.once('exit', (code, signal) => options.onExit({ code, signal }));
    child.unref();
    return await markOf(child.pid!, options);
  } finally {
    await file.close();
    await log.close();
  }
}

/** A program may have done its work before it could be looked at; then the mark is of a process that is no more. */
async function markOf(pid: number, { digest, path }: { digest: Digest; path: string }): Promise<ProcessMark> {
  const startTime = await startTimeOf(pid);
  const executable = await hashPath(`/proc/${pid}/exe`);
  const executablePath = await executablePathOf(pid);
  if (startTime === undefined || executable === undefined || executablePath === undefined) {
    return { pid, startTime: 'ended', executable: digest, executablePath: path };
  }
  return { pid, startTime, executable, executablePath };
}

/** Where the executable lay when it was started, also if it has been replaced since. */
export async function executablePathOf(pid: number): Promise<string | undefined> {
  const path = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  return path?.replace(/ \(deleted\)$/, '');
}

/** Processes that hold a file of the store as their program without anybody knowing of them. */
export async function findOrphans(store: string, known: readonly number[]): Promise<ProcessMark[]> {
  const orphans: ProcessMark[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || known.includes(pid)) continue;
    const program = await readlink(`/proc/${pid}/fd/3`).catch(() => undefined);
    if (!program?.startsWith(`${store}/`)) continue;
    const fields = await statFieldsOf(pid);
    // What the program itself started inherits the descriptor; only what we started leads a session.
    if (!fields || fields[3] !== entry) continue;
    orphans.push({ pid, startTime: fields[19] ?? '', executable: digestOf(''), executablePath: program });
  }
  return orphans;
}

/** Undefined if there is no such process, or only its remains. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const fields = await statFieldsOf(pid);
  return fields?.[0] === 'Z' || fields?.[0] === 'X' ? undefined : fields?.[19];
}

/** /proc/<pid>/stat from its third field on. The name before may itself hold anything; the fields begin after its last bracket. */
async function statFieldsOf(pid: number): Promise<string[] | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

export async function isAlive(mark: ProcessMark): Promise<boolean> {
  return (await startTimeOf(mark.pid)) === mark.startTime;
}

/** Identity and change time of what a process executes; equal text means nothing can have been written in between. */
export async function executableStamp(pid: number): Promise<string | undefined> {
  try {
    const status = await stat(`/proc/${pid}/exe`, { bigint: true });
    return [
      await readlink(`/proc/${pid}/exe`),
      status.dev,
      status.ino,
      status.size,
      status.mtimeNs,
      status.ctimeNs,
    ].join(':');
  } catch {
    return undefined;
  }
}

const STOP_WAIT_MS = 3000;

/** Asks the program and all it started to end, then makes them. Only ever the process the mark means. */
export async function stopProgram(mark: ProcessMark): Promise<void> {
  if (!(await isAlive(mark))) return;
  sendToGroup(mark.pid, 'SIGTERM');
  for (const until = Date.now() + STOP_WAIT_MS; Date.now() < until && (await isAlive(mark));) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Also what outlived the program itself: it leads a session of its own, so the group is its alone.
  sendToGroup(mark.pid, 'SIGKILL');
  for (const until = Date.now() + STOP_WAIT_MS; Date.now() < until && (await isAlive(mark));) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function sendToGroup(leader: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export const logPath = (logs: string, name: string) => join(logs, `${name.replaceAll('/', '~')}.log`);

const notVerified = (expected: Digest, found: Digest) =>
  new Problem({
    code: 'deploy.file_altered',
    kind: 'rejected',
    message: `The placed file is not the verified one: expected ${expected}, found ${found}. It was not started.`,
    hint: 'Somebody wrote to the agent’s directory. Look at who may.',
    details: { expected, found },
  });

const cannotStart = (cause: unknown) =>
  new Problem({
    code: 'deploy.cannot_start',
    kind: 'rejected',
    message: `The program cannot be started: ${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'}.`,
    hint: 'Is it an executable for this machine, and is its interpreter installed?',
    cause,
  });
