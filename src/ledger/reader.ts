import type { Problem } from '#base';
import { decodeBundle } from './bundle.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import type { LogFiles } from './files.ts';
import { hashAt } from './hash.ts';
import type { Hash } from './hash.ts';
import { damaged, outOfRange } from './problems.ts';
import { consistencyPath, inclusionPath, rootFromTiles, verifyConsistency, verifyInclusion } from './proof.ts';
import type { ConsistencyProof, InclusionProof, TileReader } from './proof.ts';
import { parseTilePath, TILE_WIDTH, tilePath, tileWidth } from './tile.ts';

/** What a log answers from its files. Nothing is cached: an answer says what is on the disk now. */
export interface LogReader {
  inclusionProof(index: number, size?: number): Promise<InclusionProof>;
  consistencyProof(oldSize: number, newSize?: number): Promise<ConsistencyProof>;
  entry(index: number): Promise<Buffer>;
  entries(first: number, count: number): Promise<Buffer[]>;
  leafHash(index: number): Promise<Hash>;
  tileBytes(path: string): Promise<Buffer | undefined>;
}

export function createLogReader({ files, current }: { files: LogFiles; current: () => SignedCheckpoint }): LogReader {
  const readTile: TileReader = (level, index, width) => files.read({ level, index, width });

  async function leafHashIn(read: TileReader, index: number, size: number): Promise<Hash> {
    const tile = Math.floor(index / TILE_WIDTH);
    return hashAt(await read(0, tile, tileWidth(0, tile, size)), index % TILE_WIDTH);
  }

  /** The root at a size we have signed, proven consistent with the newest signed root. */
  async function provenRoot(read: TileReader, size: number, newest: SignedCheckpoint): Promise<Hash> {
    if (size === newest.size) return newest.root;
    const oldRoot = await rootFromTiles(read, size, newest.size);
    const path = await consistencyPath(read, size, newest.size);
    const proof = { oldSize: size, newSize: newest.size, oldRoot, newRoot: newest.root, path };
    if (!verifyConsistency(proof)) throw doNotHash(size);
    return oldRoot;
  }

  return {
    async leafHash(index) {
      const { size } = current();
      requireIndex(index, size);
      return await leafHashIn(readTile, index, size);
    },
    async inclusionProof(index, size = current().size) {
      const newest = current();
      requireSize(size, newest);
      requireIndex(index, size);
      const read = readOnce(readTile);
      const [leaf, path, root] = await Promise.all([
        leafHashIn(read, index, size),
        inclusionPath(read, index, size),
        provenRoot(read, size, newest),
      ]);
      const proof = { index, size, leaf, path, root };
      if (!verifyInclusion(proof)) throw doNotHash(size);
      return proof;
    },
    async consistencyProof(oldSize, newSize = current().size) {
      const newest = current();
      requireSize(newSize, newest);
      requireSize(oldSize, newest);
      if (oldSize > newSize) throw outOfRange(`Size ${oldSize} is not before size ${newSize}.`);
      const read = readOnce(readTile);
      const [oldRoot, newRoot, path] = await Promise.all([
        provenRoot(read, oldSize, newest),
        provenRoot(read, newSize, newest),
        consistencyPath(read, oldSize, newSize),
      ]);
      const proof = { oldSize, newSize, oldRoot, newRoot, path };
      if (!verifyConsistency(proof)) throw doNotHash(newSize);
      return proof;
    },
    async entry(index) {
      const { size } = current();
      requireIndex(index, size);
      const bundle = Math.floor(index / TILE_WIDTH);
      const width = tileWidth('entries', bundle, size);
      const bytes = await files.read({ level: 'entries', index: bundle, width });
      return decodeBundle(bytes, width)?.[index % TILE_WIDTH] as Buffer;
    },
    async entries(first, count) {
      const { size } = current();
      if (count === 0) return [];
      requireIndex(first, size);
      requireIndex(first + count - 1, size);
      const found: Buffer[] = [];
      for (let bundle = Math.floor(first / TILE_WIDTH); bundle * TILE_WIDTH < first + count; bundle += 1) {
        const width = tileWidth('entries', bundle, size);
        const all = decodeBundle(await files.read({ level: 'entries', index: bundle, width }), width) ?? [];
        const begin = Math.max(0, first - bundle * TILE_WIDTH);
        found.push(...all.slice(begin, first + count - bundle * TILE_WIDTH));
      }
      return found;
    },
    async tileBytes(path) {
      if (path === 'checkpoint') return Buffer.from(current().note);
      const tile = parseTilePath(path);
      if (!tile || tile.width > tileWidth(tile.level, tile.index, current().size)) return undefined;
      return await files.read(tile);
    },
  };
}

/** Within one proof each tile is read once: a path takes many nodes from the same few tiles. */
function readOnce(read: TileReader): TileReader {
  const tiles = new Map<string, Promise<Buffer>>();
  return (level, index, width) => {
    const name = tilePath({ level, index, width });
    const tile = tiles.get(name) ?? read(level, index, width);
    tiles.set(name, tile);
    return tile;
  };
}

function requireIndex(index: number, size: number): void {
  if (Number.isSafeInteger(index) && index >= 0 && index < size) return;
  throw outOfRange(`The log has no entry ${index}: it has ${size}.`);
}

/** Of the empty tree nothing can be proven. */
function requireSize(size: number, newest: SignedCheckpoint): void {
  if (Number.isSafeInteger(size) && size >= 1 && size <= newest.size) return;
  throw outOfRange(`The log has no checkpoint of size ${size} to prove from: it has ${newest.size} entries.`);
}

function doNotHash(size: number): Problem {
  return damaged('tile', `set does not hash to the root at size ${size}`);
}
