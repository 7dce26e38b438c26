import { readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ensureDirectory, writeDurable } from '#storage';
import { bundlePrefix } from './bundle.ts';
import type { TileFile } from './edge.ts';
import { type WriteFaults, writeStep } from './faults.ts';
import { HASH_BYTES } from './hash.ts';
import { damaged, forkDetected } from './problems.ts';
import { TILE_WIDTH, tilePath } from './tile.ts';
import type { TileId } from './tile.ts';

/**
 * The files of one log: C2SP tlog-tiles under `dir`, plus `checkpoint` as it is served.
 * A file once written is never changed; a partial is superseded by a longer one, then removed.
 */
export interface LogFiles {
  /** Durable when it resolves. A file that is already there must have the same bytes: `ledger.fork_detected` otherwise. */
  store(file: TileFile): Promise<void>;
  /** The file exactly as it is named; undefined if there is none. */
  readExact(tile: TileId): Promise<Buffer | undefined>;
  /** The first `width` hashes or entries, from the full file or any partial that is long enough. `ledger.damaged` if there is none. */
  read(tile: TileId): Promise<Buffer>;
  /** Removes every partial of this tile but the one of `width` (0: all). Best effort: a left-over does no harm. */
  dropPartials(tile: TileId): Promise<void>;
  readCheckpoint(): Promise<string | undefined>;
  exposeCheckpoint(note: string): Promise<void>;
}

const CHECKPOINT_MAX_BYTES = 256 * 1024;

export function logFiles(dir: string, faults?: WriteFaults): LogFiles {
  const pathOf = (tile: TileId): string => join(dir, tilePath(tile));
  const partialsOf = (tile: TileId): string => join(dir, `${tilePath({ ...tile, width: TILE_WIDTH })}.p`);

  const files: LogFiles = {
    async store(file) {
      const path = pathOf(file);
      const existing = await readIfThere(path);
      if (existing?.equals(file.bytes)) return;
      if (existing) {
        throw forkDetected(`The log's file ${tilePath(file)} exists with other content.`, { path: tilePath(file) });
      }
      await writeStep(faults, tilePath(file), async () => {
        await ensureDirectory(dirname(path));
        await writeDurable(path, file.bytes, 0o444);
      });
    },
    readExact: (tile) => readIfThere(pathOf(tile)),
    async read(tile) {
      const full = await readIfThere(pathOf({ ...tile, width: TILE_WIDTH }));
      const bytes = full ?? (await readLongPartial(tile));
      if (!bytes) throw damaged(tilePath(tile), 'is missing');
      const wanted = cut(tile, bytes);
      if (!wanted) throw damaged(tilePath(tile), 'is cut short');
      return wanted;
    },
    async dropPartials(tile) {
      const directory = partialsOf(tile);
      const keep = String(tile.width);
      const names = await readdir(directory).catch((): string[] => []);
      for (const name of names) if (name !== keep) await rm(join(directory, name), { force: true });
      if (!names.includes(keep)) await rm(directory, { recursive: true, force: true });
    },
    async readCheckpoint() {
      const bytes = await readIfThere(join(dir, 'checkpoint'));
      return bytes && bytes.length <= CHECKPOINT_MAX_BYTES ? bytes.toString() : bytes && '';
    },
    exposeCheckpoint: (note) =>
      writeStep(faults, 'checkpoint', () => writeDurable(join(dir, 'checkpoint'), note, 0o644)),
  };

  /** The exact partial if it is there, else the longest: a reader may be behind the newest one. */
  async function readLongPartial(tile: TileId): Promise<Buffer | undefined> {
    // Between listing and reading the log may supersede the file, at most once a publish.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const exact = await files.readExact(tile);
      if (exact) return exact;
      const names = await readdir(partialsOf(tile)).catch((): string[] => []);
      const widths = names.map(Number).filter((width) => width > tile.width);
      const longer = widths.length === 0 ? undefined : await files.readExact({ ...tile, width: Math.max(...widths) });
      const found = longer ?? (await readIfThere(pathOf({ ...tile, width: TILE_WIDTH })));
      if (found) return found;
    }
    return undefined;
  }

  return files;
}

function cut(tile: TileId, bytes: Buffer): Buffer | undefined {
  if (tile.level === 'entries') return bundlePrefix(bytes, tile.width);
  return bytes.length >= tile.width * HASH_BYTES ? bytes.subarray(0, tile.width * HASH_BYTES) : undefined;
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
