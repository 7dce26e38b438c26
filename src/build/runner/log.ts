/** The log of one attempt: written to a file of the runner first, sent from there, so that nothing is lost when the server restarts. */
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createDigester, type Digest, Problem } from '#base';
import type { AttemptApi } from './api.ts';

export interface JobLog {
  line(text: string): void;
  /** Sends what is left; resolves when the server has all of it. */
  finish(): Promise<{ size: number; digest: Digest }>;
  /** Stops sending; for an attempt that is not ours any more. */
  abandon(): Promise<void>;
}

const LOG_BYTES_MAX = 60 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
const SEND_EVERY_MS = 60;
const RETRY_MS_MAX = 5_000;

export async function openJobLog(
  path: string,
  api: Pick<AttemptApi, 'appendLog'>,
  now: () => number = Date.now,
): Promise<JobLog> {
  const file = await open(path, 'wx+', 0o600);
  let pending: Buffer[] = [];
  let written = 0;
  let accepted = 0;
  let sent = 0;
  let full = false;
  let stopping = false;
  let broken: unknown;
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });

  async function flush(): Promise<void> {
    if (pending.length === 0) return;
    const bytes = Buffer.concat(pending);
    pending = [];
    await file.appendFile(bytes);
    written += bytes.length;
  }

  async function sendOnce(): Promise<void> {
    await flush();
    while (sent < written) {
      const bytes = await readAt(file, sent, Math.min(CHUNK_BYTES, written - sent));
      try {
        sent = (await api.appendLog(sent, bytes)).size;
      } catch (error) {
        const size = Problem.is(error) && error.code === 'build.log_gap' ? error.details?.['size'] : undefined;
        if (typeof size !== 'number') throw error;
        sent = size;
      }
    }
  }

  async function sendAll(): Promise<void> {
    let retryMs = SEND_EVERY_MS;
    while (!stopping || pending.length > 0 || sent < written) {
      try {
        await sendOnce();
        retryMs = SEND_EVERY_MS;
      } catch (error) {
        if (!isPassing(error)) throw error;
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
        await delay(retryMs);
      }
      if (broken !== undefined) return;
      if (!stopping || sent < written) await Promise.race([delay(SEND_EVERY_MS), stopped]);
    }
  }
  const sending = sendAll().catch((error: unknown) => {
    broken = error;
  });

  return {
    line(text) {
      if (full) return;
      const stamp = new Date(now()).toISOString();
      const bytes = Buffer.from(`${stamp} ${text}\n`);
      accepted += bytes.length;
      full = accepted > LOG_BYTES_MAX;
      pending.push(
        full
          ? Buffer.from(`${stamp} ##[warning]The log ends here: it is larger than ${LOG_BYTES_MAX} bytes.\n`)
          : bytes,
      );
    },
    async finish() {
      stopping = true;
      stop();
      await sending;
      if (broken !== undefined) throw broken;
      await file.close();
      const digester = createDigester();
      for await (const bytes of createReadStream(path)) digester.update(bytes as Buffer);
      return { size: digester.size, digest: digester.digest() };
    },
    async abandon() {
      broken ??= new Error('abandoned');
      stopping = true;
      stop();
      pending = [];
      await sending;
      await file.close().catch(() => undefined);
    },
  };
}

/** Worth another try: the server is away or busy. A refusal is not. */
export function isPassing(error: unknown): boolean {
  return Problem.is(error) ? error.kind === 'unavailable' || error.kind === 'limited' : false;
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}
