import { HASH_BYTES, hashAt, nodeHash } from './hash.ts';
import type { Hash } from './hash.ts';
import { TILE_WIDTH, tileWidth } from './tile.ts';
import { floorLog2, foldRight, perfectRoot } from './tree.ts';

/** The leaf with `leaf` is number `index` of the tree with `size` leaves and `root`. */
export interface InclusionProof {
  index: number;
  size: number;
  leaf: Hash;
  path: readonly Hash[];
  root: Hash;
}

/** The tree with `newRoot` starts with the leaves of the tree with `oldRoot`. */
export interface ConsistencyProof {
  oldSize: number;
  newSize: number;
  oldRoot: Hash;
  newRoot: Hash;
  path: readonly Hash[];
}

/** RFC 9162 §2.1.3.2. */
export function verifyInclusion(proof: InclusionProof): boolean {
  const { index, size } = proof;
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let node = index;
  let last = size - 1;
  let hash = proof.leaf;
  for (const sibling of proof.path) {
    if (last === 0 || sibling.length !== HASH_BYTES) return false;
    if (isOdd(node) || node === last) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && hash === proof.root;
}

/**
 * RFC 9162 §2.1.4.2. The old tree must not be empty: from the empty tree nothing is proven, and a
 * caller who has nothing to compare must say so himself.
 */
export function verifyConsistency(proof: ConsistencyProof): boolean {
  const { oldSize, newSize, oldRoot, newRoot, path } = proof;
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(newSize) || oldSize < 1 || oldSize > newSize)
    return false;
  if (oldSize === newSize) return path.length === 0 && oldRoot === newRoot;
  if (path.length === 0 || path.some((hash) => hash.length !== HASH_BYTES)) return false;

  const [first, ...rest] = 2 ** floorLog2(oldSize) === oldSize ? [oldRoot, ...path] : path;
  let node = oldSize - 1;
  let last = newSize - 1;
  while (isOdd(node)) [node, last] = [half(node), half(last)];
  let oldHash = first as Hash;
  let newHash = oldHash;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && oldHash === oldRoot && newHash === newRoot;
}

/** Gives at least the first `width` hashes of a hash tile. */
export type TileReader = (level: number, index: number, width: number) => Promise<Buffer>;

/** RFC 9162 §2.1.3.1 PATH, from the tiles of a tree of `size` leaves. */
export function inclusionPath(read: TileReader, index: number, size: number): Promise<Hash[]> {
  const ranges: LeafRange[] = [];
  let [begin, end] = [0, size];
  while (end - begin > 1) {
    const middle = begin + splitPoint(end - begin);
    if (index < middle) {
      ranges.unshift([middle, end]);
      end = middle;
    } else {
      ranges.unshift([begin, middle]);
      begin = middle;
    }
  }
  return Promise.all(ranges.map((range) => rangeHash(read, range, size)));
}

/** RFC 9162 §2.1.4.1 SUBPROOF, from the tiles of a tree of `newSize` leaves; 1 ≤ oldSize ≤ newSize. */
export function consistencyPath(read: TileReader, oldSize: number, newSize: number): Promise<Hash[]> {
  const ranges: LeafRange[] = [];
  let [begin, end] = [0, newSize];
  while (end !== oldSize) {
    const middle = begin + splitPoint(end - begin);
    if (oldSize <= middle) {
      ranges.unshift([middle, end]);
      end = middle;
    } else {
      ranges.unshift([begin, middle]);
      begin = middle;
    }
  }
  // The old tree's own root is left out while the verifier knows it: when it is a subtree from leaf 0.
  if (begin !== 0) ranges.unshift([begin, end]);
  return Promise.all(ranges.map((range) => rangeHash(read, range, newSize)));
}

/** The root of the first `at` leaves, read from the tiles of a tree of `size` ≥ at ≥ 1 leaves. */
export function rootFromTiles(read: TileReader, at: number, size: number): Promise<Hash> {
  return rangeHash(read, [0, at], size);
}

type LeafRange = readonly [begin: number, end: number];

/** MTH of a range that arises in RFC 9162's recursion: its begin is a multiple of its perfect subtrees. */
async function rangeHash(read: TileReader, [begin, end]: LeafRange, size: number): Promise<Hash> {
  const parts: Promise<Hash>[] = [];
  for (let at = begin; at < end;) {
    const level = floorLog2(end - at);
    parts.push(subtreeHash(read, level, at / 2 ** level, size));
    at += 2 ** level;
  }
  return foldRight(await Promise.all(parts));
}

/** The node at tree level `level`: a row of 2^(level mod 8) hashes of the tile below, hashed together. */
export async function subtreeHash(read: TileReader, level: number, index: number, size: number): Promise<Hash> {
  const tileLevel = Math.floor(level / 8);
  const rowLength = 2 ** (level % 8);
  const nodesPerTile = TILE_WIDTH / rowLength;
  const tileIndex = Math.floor(index / nodesPerTile);
  const tile = await read(tileLevel, tileIndex, tileWidth(tileLevel, tileIndex, size));
  const first = (index - tileIndex * nodesPerTile) * rowLength;
  return perfectRoot(Array.from({ length: rowLength }, (_, i) => hashAt(tile, first + i)));
}

/** The largest power of two below n (n ≥ 2). */
function splitPoint(n: number): number {
  return 2 ** floorLog2(n - 1);
}

function isOdd(n: number): boolean {
  return n % 2 === 1;
}

function half(n: number): number {
  return Math.floor(n / 2);
}
