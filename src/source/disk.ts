/** Repositories on the disk: made, configured, given the objects of an accepted push, cleaned after a crash. */
import { access, link, mkdir, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { ensureDirectory, syncDirectory, writeDurable } from '#storage';
import { runGit } from './git.ts';

const CONFIG = (hooks: string) => `[core]
\trepositoryformatversion = 0
\tbare = true
\tfilemode = true
\tlogAllRefUpdates = false
\thooksPath = ${JSON.stringify(hooks)}
`;

export const repositoryDirectory = (root: string, repository: string) => join(root, `${repository}.git`);

/** Appears under its name only when it is complete. */
export async function createOnDisk(root: string, repository: string, hooks: string): Promise<void> {
  const temporary = join(root, `.new-${repository}`);
  await ensureDirectory(temporary);
  await runGit({ dir: temporary }, ['init', '--quiet', '--bare', '--initial-branch=main', '--template=', '.']);
  await writeConfig(temporary, hooks);
  await rename(temporary, repositoryDirectory(root, repository));
  await syncDirectory(root);
}

/** Written anew at every start: what somebody else put into it is gone. */
export async function writeConfig(dir: string, hooks: string): Promise<void> {
  await writeDurable(join(dir, 'config'), CONFIG(hooks));
}

/** What a push put into the main store before its fact, so that an accepted push never lacks its objects. */
export interface KeptObjects {
  readonly push: string;
  /** Paths below `objects/`. */
  readonly files: readonly string[];
}

const keepMarker = (dir: string, push: string) => join(dir, 'waybill', `${push}.json`);

/**
 * Links the quarantine's objects into the main store, durably, after noting down which ones. An index comes after
 * its pack, so that git never sees half of one.
 */
export async function keepObjects(dir: string, quarantine: string, push: string): Promise<KeptObjects> {
  const found = await listFiles(quarantine);
  const wanted = found.filter((file) =>
    /^(?:pack\/pack-[0-9a-f]+\.(?:pack|rev|idx)|[0-9a-f]{2}\/[0-9a-f]+)$/.test(file),
  );
  const files = wanted.toSorted((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')));
  const fresh: string[] = [];
  for (const file of files) {
    if (!(await exists(join(dir, 'objects', file)))) fresh.push(file);
  }
  await ensureDirectory(join(dir, 'waybill'));
  await writeDurable(keepMarker(dir, push), JSON.stringify({ push, files: fresh }));
  const folders = new Set<string>();
  for (const file of fresh) {
    const target = join(dir, 'objects', file);
    await mkdir(dirname(target), { recursive: true });
    await link(join(quarantine, file), target);
    folders.add(dirname(target));
  }
  for (const folder of folders) await syncDirectory(folder);
  await syncDirectory(join(dir, 'objects'));
  return { push, files: fresh };
}

/** The push did not happen: its objects go. */
export async function dropObjects(dir: string, kept: KeptObjects): Promise<void> {
  for (const file of kept.files.toReversed()) await rm(join(dir, 'objects', file), { force: true });
  await forgetKept(dir, kept.push);
}

export async function forgetKept(dir: string, push: string): Promise<void> {
  await rm(keepMarker(dir, push), { force: true });
}

/** Pushes that were under way when the server ended. */
export async function listKept(dir: string): Promise<KeptObjects[]> {
  const names = await readdir(join(dir, 'waybill')).catch(() => []);
  const kept: KeptObjects[] = [];
  for (const name of names.filter((each) => each.endsWith('.json'))) {
    kept.push(JSON.parse(await readFile(join(dir, 'waybill', name), 'utf8')) as KeptObjects);
  }
  return kept;
}

/** Locks and quarantines of git processes that ended with the server. Call only while no push is under way. */
export async function sweep(dir: string): Promise<void> {
  for (const name of await readdir(join(dir, 'objects')).catch(() => [])) {
    if (/^(?:tmp_objdir-)?incoming-|^tmp_/.test(name))
      await rm(join(dir, 'objects', name), { recursive: true, force: true });
  }
  for (const file of await listFiles(join(dir, 'refs'))) {
    if (file.endsWith('.lock')) await unlink(join(dir, 'refs', file));
  }
  for (const name of ['HEAD.lock', 'packed-refs.lock', 'config.lock']) await rm(join(dir, name), { force: true });
}

/** A loose object that no accepted push holds: those are all in packs. */
export async function dropLooseObject(dir: string, id: string): Promise<void> {
  await rm(join(dir, 'objects', id.slice(0, 2), id.slice(2)), { force: true });
}

async function listFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(dir, join(entry.parentPath, entry.name)));
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
