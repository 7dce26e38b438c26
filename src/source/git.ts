/** Runs git: environment and configuration from scratch, output bounded, the child ended when its time is up. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { Problem } from '#base';

export interface GitPlace {
  /** Bare repository. */
  readonly dir: string;
  /** Added to the environment: a quarantine, a session. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface GitOptions {
  readonly input?: string | Uint8Array;
  readonly maxBytes?: number;
  readonly timeoutMs?: number;
  /** Exit statuses that are answers, not failures. */
  readonly accept?: readonly number[];
}

export interface GitResult {
  readonly status: number;
  readonly stdout: Buffer;
}

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 60_000;
const STDERR_CHARS_MAX = 4000;

/** Nothing of the server's own environment reaches git, its hooks or what they start. */
export function gitEnvironment(config: Readonly<Record<string, string>> = {}): Record<string, string> {
  const entries = Object.entries({
    'safe.directory': '*',
    'gc.auto': '0',
    'core.fsync': 'committed,loose-object,reference',
    ...config,
  });
  const numbered = entries.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_CONFIG_COUNT: String(entries.length),
    ...(Object.fromEntries(numbered) as Record<string, string>),
  };
}

export type GitChild = ChildProcessByStdio<Writable, Readable, Readable>;

export function spawnGit(
  place: GitPlace,
  args: readonly string[],
  config: Readonly<Record<string, string>> = {},
): GitChild {
  const child = spawn('git', [...args], {
    cwd: place.dir,
    env: { ...gitEnvironment(config), GIT_DIR: place.dir, ...place.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // git may stop reading early; that is not our failure.
  child.stdin.on('error', () => undefined);
  return child;
}

/** Throws `source.git_failed` on an exit status not accepted, on too much output and when the time is up. */
export async function runGit(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
  const child = spawnGit(place, args);
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? TIMEOUT_MS);
  try {
    child.stdin.end(options.input ?? '');
    const [stdout, stderr, status] = await Promise.all([
      collect(child, options.maxBytes ?? OUTPUT_BYTES_MAX),
      collectText(child.stderr),
      exitOf(child),
    ]);
    if (!(options.accept ?? [0]).includes(status)) throw gitFailed(args, `exit status ${status}: ${stderr}`);
    return { status, stdout };
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
  }
}

export async function gitText(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await runGit(place, args, options)).stdout.toString('utf8');
}

/** -1 when a signal ended it. Does not wait for its output to be read: a slow reader must not hold what git is done with. */
export function exitOf(child: GitChild): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(gitFailed([], 'it could not be started', cause)));
    child.once('exit', (status) => resolve(status ?? -1));
  });
}

async function collect(child: GitChild, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      child.kill('SIGKILL');
      throw gitFailed([], `it wrote more than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export async function collectText(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (text.length < STDERR_CHARS_MAX) text += chunk.toString('utf8');
  }
  return text.slice(0, STDERR_CHARS_MAX);
}

const gitFailed = (args: readonly string[], why: string, cause?: unknown) =>
  new Problem({
    code: 'source.git_failed',
    kind: 'unavailable',
    message: `git ${args[0] ?? ''} did not finish on the server.`,
    hint: 'Try again; if it stays, the server log has the reason.',
    cause: cause ?? new Error(why),
  });

export interface GitObject {
  readonly id: string;
  readonly type: string;
  readonly size: number;
}

/** Types and sizes, in the order given. A missing object has type `missing`. */
export async function statObjects(place: GitPlace, ids: readonly string[]): Promise<GitObject[]> {
  if (ids.length === 0) return [];
  const text = await gitText(place, ['cat-file', '--batch-check', '--buffer'], { input: `${ids.join('\n')}\n` });
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [id = '', type = '', size = '0'] = line.split(' ');
      return { id, type, size: Number(size) };
    });
}

/** Contents one by one; sizes must have been checked before. */
export async function* readObjects(
  place: GitPlace,
  ids: readonly string[],
): AsyncGenerator<GitObject & { bytes: Buffer }> {
  if (ids.length === 0) return;
  const child = spawnGit(place, ['cat-file', '--batch', '--buffer']);
  const ended = exitOf(child);
  child.stderr.resume();
  try {
    child.stdin.end(`${ids.join('\n')}\n`);
    const reader = new ChunkReader(child.stdout);
    for (const wanted of ids) {
      const [id = '', type = '', size = ''] = (await reader.line()).split(' ');
      if (type === 'missing' || id !== wanted) throw gitFailed(['cat-file'], `${wanted} is missing`);
      const bytes = await reader.exactly(Number(size));
      await reader.exactly(1);
      yield { id, type, size: bytes.length, bytes };
    }
  } finally {
    child.stdout.destroy();
    child.kill('SIGKILL');
    await ended.catch(() => undefined);
  }
}

/** Lines and exact byte counts from a stream of chunks, joining no more than one object's bytes. */
class ChunkReader {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: Readable) {
    this.#source = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    let end = this.#rest.indexOf(0x0a);
    while (end === -1) {
      this.#rest = Buffer.concat([this.#rest, await this.#next()]);
      end = this.#rest.indexOf(0x0a);
    }
    const text = this.#rest.toString('latin1', 0, end);
    this.#rest = this.#rest.subarray(end + 1);
    return text;
  }

  async exactly(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const part = this.#rest.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  async #next(): Promise<Buffer> {
    const { value, done } = await this.#source.next();
    if (done === true) throw gitFailed(['cat-file'], 'its output ended early');
    return value;
  }
}
