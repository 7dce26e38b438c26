import { createReadStream } from 'node:fs';
import { access, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { ensureDirectory, syncDirectory } from '#storage';
import { parseCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { parseNote } from './note.ts';
import { type WriteFaults, writeStep } from './faults.ts';
import { forkDetected } from './problems.ts';

/**
 * Every checkpoint a log ever signed, in order: the file `checkpoints`, one JSON line `{at, note}` each.
 * A checkpoint is exposed only after its line is durable here, so what this file does not know was never seen.
 */
export interface History {
  /** The largest checkpoint signed so far. */
  head(): SignedCheckpoint | undefined;
  /**
   * Compare-and-set: appends one line and reads it back at the offset where this process believes the end to be.
   * If another process appended first, the line is not there: `ledger.fork_detected`, and the checkpoint must not be exposed.
   */
  append(checkpoint: SignedCheckpoint, at: number): Promise<void>;
  close(): Promise<void>;
}

/** A damaged line is a value: it must be reported, not hidden. */
export interface HistoryLine {
  line: number;
  note: string | undefined;
}

const TAIL_BYTES = 1024 * 1024;

function historyPath(dir: string): string {
  return join(dir, 'checkpoints');
}

/** Was a log begun in this directory? */
export async function hasHistory(dir: string): Promise<boolean> {
  return await access(historyPath(dir)).then(
    () => true,
    () => false,
  );
}

/** Begins a log: its empty history is durable from now on. */
export async function beginHistory(dir: string): Promise<void> {
  await (await openHistory(dir, 'write')).close();
}

/** Opens the history; for writing it is created if need be, and a last line torn by a crash is cut off (it was never exposed). */
export async function openHistory(dir: string, mode: 'read' | 'write', faults?: WriteFaults): Promise<History> {
  const path = historyPath(dir);
  const file = await openFile(path, mode);
  if (!file)
    return {
      head: () => undefined,
      append: () => Promise.reject(new Error('opened for reading')),
      close: async () => {},
    };

  const { size } = await file.stat();
  const start = Math.max(0, size - TAIL_BYTES);
  const { buffer } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
  const tail = buffer.subarray(0, buffer.lastIndexOf(0x0a) + 1);
  let end = start + tail.length;
  if (mode === 'write' && end < size) {
    await file.truncate(end);
    await file.sync();
  }
  let head = largest(tail.toString().split('\n'));

  return {
    head: () => head,
    async append(checkpoint, at) {
      if (head && checkpoint.size <= head.size) throw new Error('a log never signs a size it has signed before');
      const line = Buffer.from(`${JSON.stringify({ at, note: checkpoint.note })}\n`);
      await writeStep(faults, 'checkpoints', async () => {
        await file.appendFile(line);
        await file.sync();
      });
      const { buffer: found } = await file.read(Buffer.alloc(line.length), 0, line.length, end);
      if (!found.equals(line)) {
        throw forkDetected('Another process has written to this log at the same time.', { note: checkpoint.note });
      }
      end += line.length;
      head = checkpoint;
    },
    close: () => file.close(),
  };
}

async function openFile(path: string, mode: 'read' | 'write'): Promise<FileHandle | undefined> {
  if (mode === 'write') {
    await ensureDirectory(dirname(path));
    // Appends only ('a'), so that two writers cannot overwrite each other; they are told apart by the offset.
    const file = await open(path, 'a+', 0o600);
    await syncDirectory(dirname(path));
    return file;
  }
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function largest(lines: readonly string[]): SignedCheckpoint | undefined {
  let head: SignedCheckpoint | undefined;
  for (const line of lines) {
    const note = noteOf(line);
    const checkpoint = note === undefined ? undefined : readCheckpoint(note);
    if (checkpoint && (!head || checkpoint.size > head.size)) head = checkpoint;
  }
  return head;
}

/** Whoever uses the head verifies its signature; here it is only found. */
function readCheckpoint(note: string): SignedCheckpoint | undefined {
  try {
    return { ...parseCheckpoint(parseNote(note).text), note };
  } catch {
    return undefined;
  }
}

function noteOf(line: string): string | undefined {
  try {
    const { note } = JSON.parse(line) as { note: unknown };
    return typeof note === 'string' ? note : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the whole history, line by line. */
export async function* readHistory(dir: string): AsyncGenerator<HistoryLine> {
  const stream = createReadStream(historyPath(dir));
  let line = 0;
  try {
    for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      line += 1;
      yield { line, note: noteOf(text) };
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  } finally {
    stream.destroy();
  }
}
