/** The server's end of the hooks: their scripts on the disk, and the socket they ask. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ensureDirectory, writeDurable } from '#storage';

const Question = z.strictObject({
  session: z.string().max(100),
  hook: z.enum(['pre-receive', 'reference-transaction']),
  input: z.string().max(4 * 1024 * 1024),
  env: z.record(z.string(), z.string().max(4096)),
});

export type HookQuestion = z.infer<typeof Question>;

export interface HookAnswer {
  readonly ok: boolean;
  /** For the pusher, one a line. */
  readonly lines: readonly string[];
}

export interface GateSocket {
  /** Handed to git, which hands it to its hooks. */
  readonly path: string;
  close(): Promise<void>;
}

const QUESTION_BYTES_MAX = 8 * 1024 * 1024;

/** Writes the hooks; `lock: false` leaves out the second lock (for a drill that shows what it is good for). */
export async function installHooks(dir: string, options: { lock: boolean }): Promise<void> {
  await ensureDirectory(dir);
  const client = fileURLToPath(new URL('./hook.ts', import.meta.url));
  const ask = (hook: string) =>
    `exec ${quote(process.execPath)} --disable-warning=ExperimentalWarning ${quote(client)} ${hook}\n`;
  await writeDurable(join(dir, 'pre-receive'), `#!/bin/sh\n${ask('pre-receive')}`, 0o755);
  const lock = options.lock ? `[ "$1" = prepared ] || exit 0\n${ask('reference-transaction')}` : 'exit 0\n';
  await writeDurable(join(dir, 'reference-transaction'), `#!/bin/sh\n${lock}`, 0o755);
  for (const name of ['pre-receive', 'reference-transaction']) await chmod(join(dir, name), 0o755);
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The kernel's limit on the path of a socket, less a margin. */
const SOCKET_PATH_BYTES_MAX = 100;

/** A socket in a directory that only this user can enter: below `root`, or where that is too long a name, elsewhere. */
export async function openGateSocket(
  root: string,
  answer: (question: HookQuestion) => Promise<HookAnswer>,
): Promise<GateSocket> {
  const usual = join(root, 'run');
  const fits = Buffer.byteLength(join(usual, 'gate.sock')) <= SOCKET_PATH_BYTES_MAX;
  const dir = fits ? usual : await mkdtemp(join(tmpdir(), 'waybill-gate-'));
  const path = join(dir, 'gate.sock');
  await ensureDirectory(dir);
  // What a killed server left; the data directory's lock says that none is running.
  await rm(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    void serve(socket, answer);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    path,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function serve(socket: Socket, answer: (question: HookQuestion) => Promise<HookAnswer>): Promise<void> {
  const refusal = { ok: false, lines: ['Waybill refuses this change: the source gate failed.'] };
  try {
    const question = Question.parse(JSON.parse(await readAll(socket)));
    socket.end(JSON.stringify(await answer(question)));
  } catch {
    socket.end(JSON.stringify(refusal));
  }
}

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Not `for await`, which would destroy the socket before the answer is written.
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > QUESTION_BYTES_MAX) reject(new Error('the question is too long'));
    });
    socket.on('end', resolve);
    socket.on('close', () => reject(new Error('the hook went away')));
  });
  return Buffer.concat(chunks).toString('utf8');
}
