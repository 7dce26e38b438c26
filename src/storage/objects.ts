import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Digest, digestFromHex, hexOf, Problem } from '#base';
import { ensureDirectory, syncDirectory } from './files.ts';

/** Immutable bytes, named by their SHA-256. */
export interface Objects {
  /**
   * Hashes while streaming, then publishes atomically: when this resolves the bytes are durable under their digest.
   * `expect` refuses other bytes (`storage.digest_mismatch`), `maxBytes` longer ones (`storage.object_too_large`);
   * a refused or broken upload leaves nothing behind.
   */
  put(
    source: AsyncIterable<Uint8Array> | Uint8Array,
    options?: { expect?: Digest; maxBytes?: number },
  ): Promise<StoredObject>;
  has(digest: Digest): Promise<boolean>;
  stat(digest: Digest): Promise<StoredObject | undefined>;
  /** The whole object, re-hashed before it is returned. `storage.object_missing`, `storage.object_damaged`. */
  read(digest: Digest, maxBytes?: number): Promise<Buffer>;
  /** For streaming: re-hashed through the same descriptor before the first byte leaves. */
  open(digest: Digest): Promise<OpenObject>;
  /** Where the bytes lie; for tools that take a file. Whoever uses it verifies what it reads. */
  path(digest: Digest): string;
  /** Reads the object from the disk and compares, without any cache. */
  check(digest: Digest): Promise<'intact' | 'damaged' | 'missing'>;
  list(): AsyncIterable<Digest>;
}

export interface StoredObject {
  digest: Digest;
  size: number;
}

export interface OpenObject extends StoredObject {
  /** `end` is inclusive. Call once; the descriptor is closed with the stream. */
  stream(range?: { start: number; end: number }): Readable;
  close(): Promise<void>;
}

const READ_BYTES_MAX = 64 * 1024 * 1024;
/** Remembered verifications: enough for the hot set, small enough to forget. */
const VERIFIED_MAX = 10_000;

/** A drill switches it off, on a throw-away server, to show what it is for: then altered bytes are served. */
export interface ObjectControls {
  rehash: boolean;
}

/** Opens (creating it) a directory store: `objects/sha256/ab/cdef…`, uploads in `objects/incoming`. */
export async function openObjects({
  dir,
  controls = { rehash: true },
}: {
  dir: string;
  controls?: ObjectControls;
}): Promise<Objects> {
  const incoming = join(dir, 'incoming');
  await ensureDirectory(incoming);
  await ensureDirectory(join(dir, 'sha256'));
  await emptyDirectory(incoming);
  const verified = new Map<Digest, string>();
  const place = (digest: Digest) => join(dir, 'sha256', hexOf(digest).slice(0, 2), hexOf(digest).slice(2));

  async function put(
    source: AsyncIterable<Uint8Array> | Uint8Array,
    options: { expect?: Digest; maxBytes?: number } = {},
  ): Promise<StoredObject> {
    const temporary = join(incoming, randomBytes(12).toString('hex'));
    const file = await open(temporary, 'wx', 0o400);
    try {
      const { digest, size } = await writeHashed(file, source, options.maxBytes ?? Number.MAX_SAFE_INTEGER);
      if (options.expect !== undefined && options.expect !== digest) throw mismatch(options.expect, digest);
      await file.sync();
      await file.close();
      await publish(temporary, place(digest), digest);
      return { digest, size };
    } catch (error) {
      await file.close().catch(() => undefined);
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  }

  async function publish(temporary: string, target: string, digest: Digest): Promise<void> {
    // A damaged copy at the target is replaced: the bytes just hashed are the right ones.
    const folder = join(dir, 'sha256', hexOf(digest).slice(0, 2));
    if ((await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined) await syncDirectory(join(dir, 'sha256'));
    await rename(temporary, target);
    await syncDirectory(folder);
  }

  async function openVerified(digest: Digest): Promise<{ file: FileHandle; size: number }> {
    const file = await openPlain(digest);
    try {
      const status = await file.stat({ bigint: true });
      const mark = `${status.ino}:${status.size}:${status.mtimeNs}:${status.ctimeNs}`;
      if (controls.rehash && verified.get(digest) !== mark) {
        if ((await hashFile(file)) !== digest) throw damaged(digest);
        if (verified.size >= VERIFIED_MAX) verified.clear();
        verified.set(digest, mark);
      }
      return { file, size: Number(status.size) };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async function openPlain(digest: Digest): Promise<FileHandle> {
    try {
      return await open(place(digest), 'r');
    } catch (cause) {
      throw missing(digest, cause);
    }
  }

  return {
    put,
    path: place,
    has: async (digest) => (await statOrUndefined(place(digest))) !== undefined,
    stat: async (digest) => {
      const found = await statOrUndefined(place(digest));
      return found && { digest, size: found.size };
    },
    async read(digest, maxBytes = READ_BYTES_MAX) {
      const file = await openPlain(digest);
      try {
        const { size } = await file.stat();
        if (size > maxBytes) throw tooLarge(maxBytes);
        const bytes = await file.readFile();
        if (createHash('sha256').update(bytes).digest('hex') !== hexOf(digest)) throw damaged(digest);
        return bytes;
      } finally {
        await file.close();
      }
    },
    async open(digest) {
      const { file, size } = await openVerified(digest);
      return {
        digest,
        size,
        stream(range) {
          // Ends where the verified bytes end: nothing is read to learn that there is no more.
          const end = range?.end ?? size - 1;
          return createReadStream('', { fd: file, start: range?.start ?? 0, ...(end < 0 ? {} : { end }) });
        },
        close: () => file.close(),
      };
    },
    async check(digest) {
      const found = await statOrUndefined(place(digest));
      if (!found) return 'missing';
      const file = await openPlain(digest);
      try {
        return (await hashFile(file)) === digest ? 'intact' : 'damaged';
      } finally {
        await file.close();
      }
    },
    async *list() {
      for await (const folder of await opendir(join(dir, 'sha256'))) {
        for await (const entry of await opendir(join(dir, 'sha256', folder.name))) {
          yield digestFromHex(folder.name + entry.name);
        }
      }
    },
  };
}

async function writeHashed(
  file: FileHandle,
  source: AsyncIterable<Uint8Array> | Uint8Array,
  maxBytes: number,
): Promise<StoredObject> {
  const sha = createHash('sha256');
  let size = 0;
  const chunks = source instanceof Uint8Array ? [source] : source;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge(maxBytes);
    sha.update(chunk);
    await writeAll(file, chunk);
  }
  return { digest: digestFromHex(sha.digest('hex')), size };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    written += (await file.write(bytes, written)).bytesWritten;
  }
}

async function hashFile(file: FileHandle): Promise<Digest> {
  const sha = createHash('sha256');
  const buffer = Buffer.allocUnsafe(256 * 1024);
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return digestFromHex(sha.digest('hex'));
    sha.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

async function statOrUndefined(path: string): Promise<{ size: number } | undefined> {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}

/** What an interrupted upload left: nothing refers to it. */
async function emptyDirectory(path: string): Promise<void> {
  for await (const entry of await opendir(path)) await unlink(join(path, entry.name));
}

const tooLarge = (maxBytes: number) =>
  new Problem({
    code: 'storage.object_too_large',
    kind: 'limited',
    message: `The object is larger than ${maxBytes} bytes.`,
    hint: 'Send a smaller file, or have the limit raised.',
  });

const mismatch = (expected: Digest, found: Digest) =>
  new Problem({
    code: 'storage.digest_mismatch',
    kind: 'rejected',
    message: `The bytes received are not the bytes announced: expected ${expected}, found ${found}.`,
    hint: 'Hash the file again and repeat the upload.',
    details: { expected, found },
  });

const missing = (digest: Digest, cause: unknown) =>
  new Problem({
    code: 'storage.object_missing',
    kind: 'not_found',
    message: `The object ${digest} is not in the store.`,
    hint: 'If it was there before, run waybill ledger verify and restore it from a backup.',
    details: { digest },
    cause,
  });

const damaged = (digest: Digest) =>
  new Problem({
    code: 'storage.object_damaged',
    kind: 'unavailable',
    message: `The stored bytes of ${digest} have changed on the disk; they are not served.`,
    hint: 'Find out who wrote to the object store, then restore the object from a backup.',
    details: { digest },
  });
