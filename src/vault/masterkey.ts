import { constants } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { syncDirectory, writeDurable } from '#storage';
import { KEY_BYTES } from './envelope.ts';
import { masterKeyExposed, masterKeyInvalid, masterKeyMissing } from './problems.ts';

const HEAD = 'waybill-master-key-v1 ';
const OTHERS = 0o077;

/**
 * The file sealer: 32 random bytes in a file only the server's user can read.
 * `mayCreate` is false once something was sealed: a fresh key could open none of it.
 */
export async function openMasterKey(path: string, mayCreate: () => Promise<boolean>): Promise<Buffer> {
  // What a crash during creation left; where the key exists already, this is a second name of it, or a key nobody used.
  await rm(draftPath(path), { force: true });
  const found = await readMasterKey(path);
  if (found) return found;
  if (!(await mayCreate())) throw masterKeyMissing();
  await createMasterKey(path);
  const created = await readMasterKey(path);
  if (!created) throw masterKeyMissing();
  return created;
}

const draftPath = (path: string) => join(dirname(path), '.master.key.new');

/** Durable first under another name, then linked: the name never shows half a key, and never replaces one (like O_EXCL). */
async function createMasterKey(path: string): Promise<void> {
  const draft = draftPath(path);
  await writeDurable(draft, `${HEAD}${randomBytes(KEY_BYTES).toString('base64')}\n`, 0o600);
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncDirectory(dirname(path));
}

async function readMasterKey(path: string): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    if (error.code === 'ELOOP') throw masterKeyExposed('it is a symbolic link');
    throw error;
  });
  if (!file) return undefined;
  try {
    const status = await file.stat();
    if (!status.isFile()) throw masterKeyExposed('it is not a plain file');
    if ((status.mode & OTHERS) !== 0) throw masterKeyExposed(`its mode is 0${(status.mode & 0o777).toString(8)}`);
    if (status.uid !== process.geteuid?.()) throw masterKeyExposed('another user owns it');
    return parseMasterKey(await file.readFile());
  } finally {
    await file.close();
  }
}

function parseMasterKey(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  bytes.fill(0);
  const key = Buffer.from(text.slice(HEAD.length).trimEnd(), 'base64');
  if (!text.startsWith(HEAD) || key.length !== KEY_BYTES) throw masterKeyInvalid();
  return key;
}
