/**
 * Takes files out of a workspace that a build has shaped. Every directory is opened by descriptor and every name beneath it
 * through that descriptor without following links, so nothing that lies elsewhere can be reached, whatever changes meanwhile.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Problem } from '#base';
import { insidePaths } from '#sandbox';

export interface CollectedFile {
  /** Relative to the workspace. */
  readonly path: string;
  readonly size: number;
  readonly start: Buffer;
  stream(): Readable;
  close(): Promise<void>;
}

const FILES_MAX = 200;
const ENTRIES_MAX = 100_000;
const DEPTH_MAX = 32;
const START_BYTES = 16;
const FILE_BYTES_MAX = 8 * 1024 ** 3;
const NAME = /^[^\0\n\r/]{1,200}$/;

/** Files that the patterns name, in order of their paths; links, devices, pipes and sockets among them are an error. */
export async function collectFiles(workspace: string, patterns: readonly string[]): Promise<CollectedFile[]> {
  const matchers = patterns.map(parsePattern);
  const collected: CollectedFile[] = [];
  let entries = 0;

  async function walk(directory: FileHandle, prefix: string, depth: number): Promise<void> {
    if (depth > DEPTH_MAX) throw unusable(prefix, 'it is nested too deeply');
    const names = (await readdir(`/proc/self/fd/${directory.fd}`)).toSorted();
    for (const name of names) {
      if (++entries > ENTRIES_MAX) throw unusable(prefix, 'the workspace has too many files');
      const path = prefix === '' ? name : `${prefix}/${name}`;
      const isWanted = matchers.some((matcher) => matcher.takes(path));
      const isOnTheWay = matchers.some((matcher) => matcher.mayHoldBelow(path));
      if (!isWanted && !isOnTheWay) continue;
      await visit(directory, name, path, isWanted, depth);
    }
  }

  async function visit(
    parent: FileHandle,
    name: string,
    path: string,
    isWanted: boolean,
    depth: number,
  ): Promise<void> {
    if (!NAME.test(name)) throw unusable(JSON.stringify(path), 'its name has characters that no artifact may have');
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await open(`/proc/self/fd/${parent.fd}/${name}`, flags).catch((error: NodeJS.ErrnoException) => error);
    if (file instanceof Error) {
      if (isWanted)
        throw unusable(path, file.code === 'ELOOP' ? 'it is a symbolic link' : `it cannot be read (${file.code})`);
      return;
    }
    let kept = false;
    try {
      kept = await take(file, path, isWanted, depth);
    } finally {
      if (!kept) await file.close();
    }
  }

  /** True: the open file is part of the artifact now. */
  async function take(file: FileHandle, path: string, isWanted: boolean, depth: number): Promise<boolean> {
    const stat = await file.stat();
    if (stat.isDirectory()) {
      await walk(file, path, depth + 1);
      return false;
    }
    if (!isWanted) return false;
    if (!stat.isFile()) throw unusable(path, 'it is not a regular file');
    if (stat.size > FILE_BYTES_MAX) throw unusable(path, 'it is too large');
    if (stat.nlink !== 1) throw unusable(path, 'it has a second name (hard link)');
    if (collected.length >= FILES_MAX) throw unusable(path, `more than ${FILES_MAX} files`);
    collected.push(await collectedFile(file, path, stat.size));
    return true;
  }

  const root = await open(workspace, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await walk(root, '', 0);
    return collected;
  } catch (error) {
    for (const file of collected) await file.close();
    throw error;
  } finally {
    await root.close();
  }
}

async function collectedFile(file: FileHandle, path: string, size: number): Promise<CollectedFile> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(START_BYTES), 0, START_BYTES, 0);
  return {
    path,
    size,
    start: buffer.subarray(0, bytesRead),
    stream: () => file.createReadStream({ start: 0, end: Math.max(0, size - 1), autoClose: false }),
    close: () => file.close(),
  };
}

interface Matcher {
  takes(path: string): boolean;
  mayHoldBelow(path: string): boolean;
}

/** A path or pattern below the workspace: `*` within a name, `**` across directories; a directory takes all below it. */
function parsePattern(pattern: string): Matcher {
  const inside = insidePaths.workspace;
  const relative =
    pattern === inside ? '.' : pattern.startsWith(`${inside}/`) ? pattern.slice(inside.length + 1) : pattern;
  const parts = relative.split('/').filter((part) => part !== '' && part !== '.');
  if (relative.startsWith('/') || parts.includes('..')) throw unusable(pattern, 'it is outside the workspace');
  const escape = (text: string): string => text.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`);
  const sources = parts.map((part) => (part === '**' ? '.*' : escape(part).replaceAll('*', '[^/]*')));
  // `a/**/b` also takes `a/b`.
  const joined = sources.join('/').replaceAll('.*/', '(?:.*/)?');
  const whole = new RegExp(`^${joined}(?:/.*)?$`, 's');
  return {
    takes: (path) => parts.length === 0 || whole.test(path),
    mayHoldBelow(path) {
      const names = path.split('/');
      const limit = parts.indexOf('**') < 0 ? parts.length : parts.indexOf('**');
      return (
        names.every((name, index) => index >= limit || new RegExp(`^${sources[index]}$`, 's').test(name)) &&
        (names.length < parts.length || parts.includes('**'))
      );
    },
  };
}

const unusable = (path: string, why: string): Problem =>
  new Problem({
    code: 'build.artifact_unusable',
    kind: 'rejected',
    message: `${path.slice(0, 200)} cannot become an artifact: ${why}.`,
    hint: 'Write the artifact as a regular file inside the workspace.',
  });
