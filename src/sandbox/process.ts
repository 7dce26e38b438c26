/** Starts bubblewrap, streams what the command prints, and returns only when every process of the sandbox is dead. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { close, constants, openSync, readdirSync, readFileSync, unlink } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { newId, Problem } from '#base';
import { prlimitArguments, type SandboxLimits } from './limits.ts';
import { descriptors, type Protection, type SandboxProfile } from './profile.ts';

export interface HostUser {
  readonly uid: number;
  readonly gid: number;
}

export interface Launch {
  readonly profile: SandboxProfile;
  readonly args: readonly string[];
  /** The command. bubblewrap takes it only from its command line, where every user of the host can read it: nothing secret here. */
  readonly argv: readonly string[];
  readonly limits: SandboxLimits;
  /** Directory for the output pipe; not visible inside. */
  readonly scratch: string;
  /** Set when the runner is root: the sandbox is started under this uid, never under root. */
  readonly runAs: HostUser | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly input?: Uint8Array | undefined;
  /** Called with each piece of output; a returned promise holds the command back until it is settled. */
  readonly onOutput: (bytes: Buffer) => void | Promise<void>;
}

export interface Ending {
  readonly outcome: 'exited' | 'timed_out' | 'cancelled';
  /** Exit code of the command (128 + signal when a signal ended it); null when we killed it. */
  readonly exitCode: number | null;
  readonly durationMs: number;
}

const BWRAP = '/usr/bin/bwrap';
const PRLIMIT = '/usr/bin/prlimit';
const START_ERROR_BYTES = 2000;

export async function launch(call: Launch): Promise<Ending> {
  const startedAt = performance.now();
  const pipe = await openOutputPipe(call.scratch, call.runAs);
  let child: ChildProcess;
  try {
    child = startBwrap(call, pipe.writeFd);
  } finally {
    close(pipe.writeFd);
  }
  const output = pumpOutput(pipe.reader, call.onOutput);
  const status = readStatus(child);
  const { outcome, abandon } = killWhenDue(child, call);
  const startError = await new Promise<unknown>((resolve) => {
    child.once('error', resolve);
    child.once('exit', () => resolve(undefined));
  });
  abandon();
  if (startError !== undefined) pipe.reader.destroy();
  if (mayLeaveSurvivors(call.profile)) await stopListening(child, pipe.reader, [output, status]);
  const { init, exitCode } = await status;
  if (init !== undefined && !mayLeaveSurvivors(call.profile)) await waitForDeath(init);
  const { tail } = await output;
  if (outcome() === 'exited' && exitCode === undefined) throw startFailed(startError, tail);
  const durationMs = performance.now() - startedAt;
  return { outcome: outcome(), exitCode: outcome() === 'exited' ? (exitCode ?? null) : null, durationMs };
}

/** True only of the weakened profiles of tests, where a survivor may keep the pipes open for ever. */
function mayLeaveSurvivors({ without }: SandboxProfile): boolean {
  return without === 'kill-tree' || without === 'processes';
}

/** Waits for the last words of what is dead, and hangs up on what is not. */
async function stopListening(child: ChildProcess, reader: Socket, ends: readonly Promise<unknown>[]): Promise<void> {
  const LAST_WORDS_MS = 1_000;
  await Promise.race([Promise.all(ends), delay(LAST_WORDS_MS)]);
  reader.destroy();
  extraStream(child, descriptors.status).destroy();
}

function startBwrap(call: Launch, outputFd: number): ChildProcess {
  const weak = call.profile.without;
  const limited = weak === 'limits' ? ['--core=0'] : prlimitArguments(call.limits);
  const command = [PRLIMIT, ...limited, '--', BWRAP, '--args', `${descriptors.arguments}`, '--', ...call.argv];
  const [program = PRLIMIT, ...rest] = isSpawnWeakened(weak) ? command : closeInherited(command);
  const child = spawn(program, rest, {
    cwd: '/',
    // bubblewrap's reaper is pid 1 inside, and its environment can be read there: it must have none.
    env: weak === 'empty-environment' ? { ...process.env } : {},
    stdio: [
      call.input === undefined ? 'ignore' : 'pipe',
      outputFd,
      outputFd,
      'pipe',
      'pipe',
      'pipe',
      ...(weak === 'closed-descriptors' ? [outputFd] : []),
    ],
    ...(call.runAs ? { uid: call.runAs.uid, gid: call.runAs.gid } : {}),
  });
  feed(extraStream(child, descriptors.arguments), Buffer.from(call.args.map((arg) => `${arg}\0`).join('')));
  feed(extraStream(child, descriptors.filter), call.profile.filter);
  if (call.input !== undefined && child.stdin) feed(child.stdin, call.input);
  return child;
}

/**
 * Node opens its own descriptors close-on-exec, but those it inherited itself (from a shell, a supervisor) would reach the build.
 * bash closes them first; where there are none, which is usual, nothing is added.
 */
function closeInherited(command: readonly string[]): string[] {
  const open = readdirSync('/proc/self/fd').map(Number);
  const inherited = open.filter((fd) => fd > 2 && !isCloseOnExec(fd));
  if (inherited.length === 0) return [...command];
  const closing = inherited.filter((fd) => fd > descriptors.status).map((fd) => `exec ${fd}>&-`);
  return ['/bin/bash', '--norc', '--noprofile', '-c', `${closing.join(';')}; exec -c "$@"`, 'bash', ...command];
}

const O_CLOEXEC = 0o2000000;

function isCloseOnExec(fd: number): boolean {
  try {
    const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return flags === undefined || (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
  } catch {
    return true; // closed since the directory was read
  }
}

const isSpawnWeakened = (weak: Protection | undefined): boolean =>
  weak === 'closed-descriptors' || weak === 'empty-environment';

/** Streams beyond the three of stdio, which Node's types do not know. */
function extraStream(child: ChildProcess, fd: number): Duplex {
  return (child.stdio as readonly unknown[])[fd] as Duplex;
}

/** A process that ends early closes its end; that is told by its exit, not by our write. */
function feed(stream: Writable, bytes: Uint8Array): void {
  stream.on('error', () => undefined);
  stream.end(bytes);
}

/**
 * A real pipe shared by stdout and stderr, so that the order of lines is the program's, and /dev/stdout can be re-opened
 * (Node's own "pipe" is a socket, which cannot).
 */
async function openOutputPipe(
  scratch: string,
  owner: HostUser | undefined,
): Promise<{ reader: Socket; writeFd: number }> {
  const path = join(scratch, newId('pipe'));
  await promisify(execFile)('/usr/bin/mkfifo', ['-m', '600', path], {
    env: {},
    ...(owner ? { uid: owner.uid, gid: owner.gid } : {}),
  });
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  const writeFd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  unlink(path, () => undefined);
  return { reader: new Socket({ fd: readFd, readable: true, writable: false }), writeFd };
}

async function pumpOutput(reader: Socket, onOutput: Launch['onOutput']): Promise<{ tail: string }> {
  let tail = Buffer.alloc(0);
  try {
    for await (const bytes of reader as AsyncIterable<Buffer>) {
      tail = Buffer.concat([tail, bytes]).subarray(-START_ERROR_BYTES);
      await onOutput(bytes);
    }
  } catch (error) {
    if (!reader.destroyed) throw error; // we hung up ourselves
  }
  return { tail: tail.toString('utf8') };
}

interface InitProcess {
  readonly pid: number;
  readonly startTime: string;
}

/** bubblewrap writes {"child-pid": …} when the sandbox is up and {"exit-code": …} when the command has ended. */
async function readStatus(
  child: ChildProcess,
): Promise<{ init: InitProcess | undefined; exitCode: number | undefined }> {
  let text = '';
  let init: InitProcess | undefined;
  const stream = extraStream(child, descriptors.status);
  stream.on('error', () => undefined);
  for await (const bytes of stream) {
    text += String(bytes);
    const pid = /"child-pid": (\d+)/.exec(text)?.[1];
    if (pid !== undefined && init === undefined) {
      const startTime = startTimeOf(Number(pid));
      if (startTime !== undefined) init = { pid: Number(pid), startTime };
    }
  }
  const code = /"exit-code": (\d+)/.exec(text)?.[1];
  return { init, exitCode: code === undefined ? undefined : Number(code) };
}

/** Time-out and cancellation are one act: SIGKILL to bubblewrap, whose death kills pid 1 inside and with it the namespace. */
function killWhenDue(child: ChildProcess, call: Launch): { outcome: () => Ending['outcome']; abandon: () => void } {
  let outcome: Ending['outcome'] = 'exited';
  const kill = (why: Ending['outcome']) => (): void => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    outcome = why;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(kill('timed_out'), call.limits.wallClockMs);
  const cancel = kill('cancelled');
  if (call.signal?.aborted === true) cancel();
  call.signal?.addEventListener('abort', cancel, { once: true });
  return {
    outcome: () => outcome,
    abandon: () => {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', cancel);
    },
  };
}

const DEATH_WAIT_MS = 10_000;
const DEATH_POLL_MS = 1;

/** The kernel lets pid 1 of a namespace die only after all others in it; a zombie is dead. Nothing is collected before. */
async function waitForDeath(init: InitProcess): Promise<void> {
  const deadline = performance.now() + DEATH_WAIT_MS;
  while (startTimeOf(init.pid) === init.startTime) {
    if (performance.now() > deadline) {
      throw new Problem({
        code: 'sandbox.survivors',
        kind: 'unavailable',
        message: 'Processes of the sandbox did not end after it was killed.',
        hint: 'Look for processes in uninterruptible sleep on the runner, then restart it.',
      });
    }
    await delay(DEATH_POLL_MS);
  }
}

/** Start time of a live process, undefined for a dead one; (pid, start time) names a process once and for all (man 5 proc). */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function startFailed(cause: unknown, tail: string): Problem {
  return new Problem({
    code: 'sandbox.start_failed',
    kind: 'unavailable',
    message: `The sandbox did not start: ${tail.trim().split('\n').at(-1)?.slice(0, 300) ?? 'no message'}`,
    hint: 'Run the runner’s self-test; user namespaces may be disabled on this machine.',
    cause,
  });
}

/** Processes on this host whose command line holds the marker. For the self-test and tests of survivors. */
export async function findProcesses(marker: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const line = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '');
    if (line.includes(marker)) found.push(Number(name));
  }
  return found;
}
