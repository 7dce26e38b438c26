import { createHash, randomBytes } from 'node:crypto';
import { chmod, type FileHandle, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PathSegment } from '#artifact';
import { createDigester, type Digest, digestFromHex, hexOf, limits, Problem } from '#base';
import { ensureDirectory, syncDirectory } from '#storage';

/** Where an agent keeps things: `store/sha256-<hex>/<file>`, `current/<name>` → a folder of the store. */
export interface Places {
  store: string;
  current: string;
  incoming: string;
  quarantine: string;
  logs: string;
}

export async function openPlaces(directory: string): Promise<Places> {
  const places = {
    store: join(directory, 'store'),
    current: join(directory, 'current'),
    incoming: join(directory, 'incoming'),
    quarantine: join(directory, 'quarantine'),
    logs: join(directory, 'logs'),
  };
  for (const path of Object.values(places)) await ensureDirectory(path, 0o755);
  // What an interrupted download left: nothing refers to it.
  for (const entry of await readdir(places.incoming)) await rm(join(places.incoming, entry), { recursive: true });
  return places;
}

export const folderOf = ({ store }: Places, digest: Digest) => join(store, `sha256-${hexOf(digest)}`);
export const fileOf = (places: Places, digest: Digest, file: string) => join(folderOf(places, digest), file);
/** `~` occurs in no artifact name, so two names never share a link. */
export const linkOf = ({ current }: Places, name: string) => join(current, name.replaceAll('/', '~'));

/**
 * Downloads into a folder of its own, hashing while it streams, and moves the folder into the store only if digest and size are
 * right. What lies in the store already is hashed again; if it was altered it is put aside and replaced.
 */
export async function placeFile(
  places: Places,
  item: { digest: Digest; size: number; file: string },
  download: () => Promise<AsyncIterable<Uint8Array>>,
  hashing = true,
): Promise<string> {
  requirePlainName(item.file);
  const target = fileOf(places, item.digest, item.file);
  const there = await hashPath(target);
  if (there === item.digest || (there !== undefined && !hashing)) return target;
  const temporary = join(places.incoming, randomBytes(12).toString('hex'));
  await mkdir(temporary, { mode: 0o755 });
  try {
    await receive(join(temporary, item.file), item, await download(), hashing);
    await chmod(temporary, 0o555);
    await syncDirectory(temporary);
    await setAside(places, folderOf(places, item.digest));
    await rename(temporary, folderOf(places, item.digest));
    await syncDirectory(places.store);
    return target;
  } catch (error) {
    await chmod(temporary, 0o755).catch(() => undefined);
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** The plan comes from the server, and a server that lies must not choose where on this host bytes are written. */
function requirePlainName(file: string): void {
  if (PathSegment.safeParse(file).success) return;
  throw new Problem({
    code: 'deploy.file_name_refused',
    kind: 'rejected',
    message: 'The plan names a file that would lie elsewhere than in its own folder.',
    hint: 'Nothing was placed. Find out who answers in the name of the server.',
    details: { expected: 'a plain file name', found: file.slice(0, 300) },
  });
}

async function receive(
  path: string,
  { digest, size }: { digest: Digest; size: number },
  source: AsyncIterable<Uint8Array>,
  hashing: boolean,
): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    const digester = createDigester();
    for await (const chunk of source) {
      digester.update(chunk);
      if (digester.size > Math.min(size, limits.artifactBytes)) throw wrongBytes(digest, `more than ${size} bytes`);
      for (let written = 0; written < chunk.byteLength;) written += (await file.write(chunk, written)).bytesWritten;
    }
    const found = digester.digest();
    if (found !== digest && hashing) throw wrongBytes(digest, found);
    // Readable and runnable by everybody, writable by nobody.
    await file.chmod(0o555);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function setAside({ quarantine }: Places, folder: string): Promise<void> {
  try {
    await rename(folder, join(quarantine, `${Date.now()}-${randomBytes(4).toString('hex')}`));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Points `current/<name>` to the folder of a digest in one step: whoever looks sees the old one or the new one. */
export async function switchLink(places: Places, name: string, digest: Digest): Promise<void> {
  const link = linkOf(places, name);
  const temporary = join(dirname(link), `.${randomBytes(8).toString('hex')}`);
  await symlink(join('..', 'store', `sha256-${hexOf(digest)}`), temporary);
  await rename(temporary, link);
  await syncDirectory(dirname(link));
}

/** Where the link points now, as text; undefined if there is none. */
export async function readLink(places: Places, name: string): Promise<string | undefined> {
  return await readlink(linkOf(places, name)).catch(() => undefined);
}

export const expectedLink = (digest: Digest) => join('..', 'store', `sha256-${hexOf(digest)}`);

/** Digest of a file's bytes as they are on the disk now; undefined if it cannot be read. */
export async function hashPath(path: string): Promise<Digest | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return await hashOpened(file);
  } finally {
    await file.close();
  }
}

export async function hashOpened(file: FileHandle): Promise<Digest> {
  const sha = createHash('sha256');
  const buffer = Buffer.allocUnsafe(256 * 1024);
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return digestFromHex(sha.digest('hex'));
    sha.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

const wrongBytes = (expected: Digest, found: string) =>
  new Problem({
    code: 'deploy.digest_mismatch',
    kind: 'rejected',
    message: `The repository sent other bytes than were asked for: expected ${expected}, found ${found}.`,
    hint: 'Nothing was placed. Find out who altered the repository: waybill trace names the hop.',
    details: { expected, found },
  });
