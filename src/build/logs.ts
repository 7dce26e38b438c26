/**
 * Logs of jobs while they run: append-only files, one an attempt, readable live. A finished log becomes an object whose digest
 * is in the fact; until then a log proves nothing.
 */
import { EventEmitter } from 'node:events';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createDigester, type Digest, type Digester, Problem } from '#base';
import { ensureDirectory, type Objects } from '#storage';

export const LOG_BYTES_MAX = 64 * 1024 * 1024;

export interface LogState {
  readonly size: number;
  /** Of everything up to here. */
  readonly digest: Digest;
}

export interface LogChunk {
  /** Offset after the chunk; where to resume. */
  readonly end: number;
  readonly text: string;
}

export interface Logs {
  /** Appends at `offset`, which has to be the present size: a repeated chunk is answered with what is there. */
  append(job: string, attempt: number, offset: number, bytes: Buffer): Promise<{ size: number }>;
  state(job: string, attempt: number): Promise<LogState>;
  /** Makes the log an object. */
  seal(job: string, attempt: number, objects: Objects): Promise<{ digest: Digest; size: number }>;
  discard(job: string, attempt: number): Promise<void>;
  /** Text from `after` on, live until `isOver` says that no more will come. */
  follow(
    job: string,
    attempt: () => Promise<number>,
    after: number,
    isOver: () => Promise<boolean>,
    signal: AbortSignal,
  ): AsyncGenerator<LogChunk>;
  /** Wakes whoever follows: a chunk came, or the job's state changed. */
  wake(job: string): void;
  close(): Promise<void>;
}

interface OpenLog {
  file: FileHandle;
  size: number;
  digester: Digester;
}

const FOLLOW_POLL_MS = 1_000;
const CHUNK_BYTES = 64 * 1024;

export async function openLogs(dir: string): Promise<Logs> {
  await ensureDirectory(dir);
  const logs = new Map<string, Promise<OpenLog>>();
  const events = new EventEmitter();
  events.setMaxListeners(0);
  const pathOf = (job: string, attempt: number): string => join(dir, `${job}.${attempt}.log`);

  async function openLog(path: string): Promise<OpenLog> {
    const digester = createDigester();
    const file = await open(path, 'a+', 0o600);
    for await (const bytes of createReadStream(path)) digester.update(bytes as Buffer);
    return { file, size: digester.size, digester };
  }
  function requireLog(job: string, attempt: number): Promise<OpenLog> {
    const path = pathOf(job, attempt);
    const known = logs.get(path) ?? openLog(path);
    logs.set(path, known);
    return known;
  }
  async function forget(job: string, attempt: number): Promise<void> {
    const path = pathOf(job, attempt);
    const known = logs.get(path);
    logs.delete(path);
    if (known) await (await known).file.close();
  }
  const queues = new Map<string, Promise<unknown>>();
  function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const next = (queues.get(key) ?? Promise.resolve()).then(work, work);
    const settled = next
      .catch(() => undefined)
      .finally(() => {
        if (queues.get(key) === settled) queues.delete(key);
      });
    queues.set(key, settled);
    return next;
  }

  async function appendNow(job: string, attempt: number, offset: number, bytes: Buffer): Promise<{ size: number }> {
    const log = await requireLog(job, attempt);
    if (offset > log.size) throw logGap(log.size);
    const fresh = bytes.subarray(log.size - offset);
    if (log.size + fresh.length > LOG_BYTES_MAX) throw logTooLarge();
    if (fresh.length > 0) {
      await log.file.appendFile(fresh);
      log.digester.update(fresh);
      log.size += fresh.length;
      events.emit(job);
    }
    return { size: log.size };
  }

  return {
    append: (job, attempt, offset, bytes) => inTurn(job, () => appendNow(job, attempt, offset, bytes)),
    async state(job, attempt) {
      const digester = createDigester();
      const exists = await stat(pathOf(job, attempt)).catch(() => undefined);
      if (exists) for await (const bytes of createReadStream(pathOf(job, attempt))) digester.update(bytes as Buffer);
      return { size: digester.size, digest: digester.digest() };
    },
    seal: (job, attempt, objects) =>
      inTurn(job, async () => {
        await requireLog(job, attempt);
        await forget(job, attempt);
        return await objects.put(createReadStream(pathOf(job, attempt)), { maxBytes: LOG_BYTES_MAX });
      }),
    discard: (job, attempt) =>
      inTurn(job, async () => {
        await forget(job, attempt);
        await unlink(pathOf(job, attempt)).catch(() => undefined);
      }),
    async *follow(job, attempt, after, isOver, signal) {
      let position = after;
      while (!signal.aborted) {
        const over = await isOver();
        const bytes = await readFrom(pathOf(job, await attempt()), position);
        const usable = over ? bytes.length : lastWholeCharacter(bytes);
        if (usable > 0) {
          position += usable;
          yield { end: position, text: bytes.subarray(0, usable).toString('utf8') };
        } else if (over) {
          return;
        } else {
          await waitFor(events, job, signal);
        }
      }
    },
    wake: (job) => void events.emit(job),
    async close() {
      for (const log of logs.values()) await (await log).file.close();
      logs.clear();
    },
  };
}

async function readFrom(path: string, position: number): Promise<Buffer> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return Buffer.alloc(0);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, position);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Length without a UTF-8 character that is cut off at the end. */
function lastWholeCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** A wake-up, the signal, or a second: whichever comes first. */
function waitFor(events: EventEmitter, job: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      events.off(job, done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, FOLLOW_POLL_MS);
    events.once(job, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

const logGap = (size: number): Problem =>
  new Problem({
    code: 'build.log_gap',
    kind: 'conflict',
    message: `The log has ${size} bytes; this chunk starts later.`,
    hint: 'Send from that offset on.',
    details: { size },
  });

const logTooLarge = (): Problem =>
  new Problem({
    code: 'build.log_too_large',
    kind: 'limited',
    message: `A log may have ${LOG_BYTES_MAX} bytes.`,
    hint: 'Make the build say less.',
  });
