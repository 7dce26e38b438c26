import { emptyRoot, nodeHash } from './hash.ts';
import type { Hash } from './hash.ts';

/**
 * The right edge of an append-only Merkle tree: the roots of its perfect subtrees, largest first
 * (one for each 1 bit of the size). This is all that is needed to append and to know the root.
 */
export interface CompactRange {
  size: number;
  roots: Hash[];
}

export function emptyRange(): CompactRange {
  return { size: 0, roots: [] };
}

export function copyRange(range: CompactRange): CompactRange {
  return { size: range.size, roots: [...range.roots] };
}

/**
 * Appends one leaf hash in place. `complete(level, hash)` is called for every node that this leaf
 * completes, bottom up, the leaf itself (level 0) included.
 * Sizes exceed 32 bits, so no bit operators here.
 */
export function appendLeaf(range: CompactRange, leaf: Hash, complete?: (level: number, hash: Hash) => void): void {
  let hash = leaf;
  let level = 0;
  complete?.(level, hash);
  for (let rest = range.size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    hash = nodeHash(range.roots.pop() as Hash, hash);
    level += 1;
    complete?.(level, hash);
  }
  range.roots.push(hash);
  range.size += 1;
}

/** RFC 9162 §2.1.1 MTH: folds the perfect subtrees from the right. */
export function rangeRoot(range: CompactRange): Hash {
  return range.roots.length === 0 ? emptyRoot : foldRight(range.roots);
}

/** The hash over adjacent subtrees, largest first. */
export function foldRight(parts: readonly Hash[]): Hash {
  return parts.reduceRight((right, left) => nodeHash(left, right));
}

/** The root of a row of 2^n hashes. */
export function perfectRoot(row: readonly Hash[]): Hash {
  let level = row;
  while (level.length > 1) {
    const above: Hash[] = [];
    for (let i = 0; i < level.length; i += 2) above.push(nodeHash(level[i] as Hash, level[i + 1] as Hash));
    level = above;
  }
  return level[0] as Hash;
}

/** The largest k with 2^k ≤ n, for 1 ≤ n ≤ 2^53 − 1. */
export function floorLog2(n: number): number {
  let k = 0;
  for (let rest = n; rest > 1; rest = Math.floor(rest / 2)) k += 1;
  return k;
}
