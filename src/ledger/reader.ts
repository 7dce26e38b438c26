import { decodeBundle } from './bundle.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import type { LogFiles } from './files.ts';
import { hashAt, emptyRoot } from './hash.ts';
import type { Hash } from './hash.ts';
import { damaged, outOfRange } from './problems.ts';
import { consistencyPath, inclusionPath, rootFromTiles, verifyConsistency, verifyInclusion } from './proof.ts';
import type { ConsistencyProof, InclusionProof, TileReader } from './proof.ts';
import { parseTilePath, TILE_WIDTH, tileWidth } from './tile.ts';

/** What a log answers from its files. Nothing is cached: an answer says what is on the disk now. */
export interface LogReader {
  inclusionProof(index: number, size?: number): Promise<InclusionProof>;
  consistencyProof(oldSize: number, newSize?: number): Promise<ConsistencyProof>;
  entry(index: number): Promise<Buffer>;
  leafHash(index: number): Promise<Hash>;
  tileBytes(path: string): Promise<Buffer | undefined>;
}

export function createLogReader({ files, current }: { files: LogFiles; current: () => SignedCheckpoint }): LogReader {
  const readTile: TileReader = (level, index, width) => files.read({ level, index, width });

  async function leafHash(index: number): Promise<Hash> {
    return leafHashIn(index, current().size);
  }

  async function leafHashIn(index: number, size: number): Promise<Hash> {
    const tile = Math.floor(index / TILE_WIDTH);
    requireRange(index, size);
    return hashAt(await readTile(0, tile, tileWidth(0, tile, size)), index % TILE_WIDTH);
  }

  function requireRange(index: number, size: number): void {
    if (Number.isSafeInteger(index) && index >= 0 && index < size) return;
    throw outOfRange(`The log has no entry ${index}: it has ${size}.`);
  }

  function requireSize(size: number, least: number): void {
    const most = current().size;
    if (Number.isSafeInteger(size) && size >= least && size <= most) return;
    throw outOfRange(`The log has no checkpoint of size ${size}: it has ${most} entries.`);
  }

  /** The signed root where we have it, else what the tiles say. */
  async function rootAt(size: number, newest: SignedCheckpoint): Promise<Hash> {
    if (size === newest.size) return newest.root;
    return size === 0 ? emptyRoot : await rootFromTiles(readTile, size, newest.size);
  }

  return {
    leafHash,
    async inclusionProof(index, size = current().size) {
      const newest = current();
      requireSize(size, 0);
      requireRange(index, size);
      const [leaf, path, root] = await Promise.all([
        leafHashIn(index, size),
        inclusionPath(readTile, index, size),
        rootAt(size, newest),
      ]);
      const proof = { index, size, leaf, path, root };
      if (!verifyInclusion(proof)) throw damaged('tile', `set does not hash to the root at size ${size}`);
      return proof;
    },
    async consistencyProof(oldSize, newSize = current().size) {
      const newest = current();
      requireSize(newSize, 1);
      requireSize(oldSize, 1);
      if (oldSize > newSize) throw outOfRange(`Size ${oldSize} is not before size ${newSize}.`);
      const [oldRoot, newRoot, path] = await Promise.all([
        rootAt(oldSize, newest),
        rootAt(newSize, newest),
        consistencyPath(readTile, oldSize, newSize),
      ]);
      const proof = { oldSize, newSize, oldRoot, newRoot, path };
      if (!verifyConsistency(proof)) throw damaged('tile', `set does not hash to the root at size ${newSize}`);
      return proof;
    },
    async entry(index) {
      requireRange(index, current().size);
      const bundle = Math.floor(index / TILE_WIDTH);
      const within = index % TILE_WIDTH;
      const width = tileWidth('entries', bundle, current().size);
      const bytes = await files.read({ level: 'entries', index: bundle, width });
      return decodeBundle(bytes, width)?.[within] as Buffer;
    },
    async tileBytes(path) {
      if (path === 'checkpoint') return Buffer.from(current().note);
      const tile = parseTilePath(path);
      if (!tile || tile.width > tileWidth(tile.level, tile.index, current().size)) return undefined;
      return await files.read(tile);
    },
  };
}
