import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Hash, hashesToBytes, leafHash } from './hash.ts';
import { consistencyPath, inclusionPath, type TileReader, verifyConsistency, verifyInclusion } from './proof.ts';
import { tileWidth } from './tile.ts';
import { appendLeaf, emptyRange, rangeRoot } from './tree.ts';

const SIZE_MAX = 1200;
const leaves = Array.from({ length: SIZE_MAX }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)));
const roots: Hash[] = [rangeRoot(emptyRange())];
const stored: Hash[][] = [];
const tree = emptyRange();
for (const leaf of leaves) {
  appendLeaf(tree, leaf, (level, hash) => {
    if (level % 8 === 0) (stored[level / 8] ??= []).push(hash);
  });
  roots.push(rangeRoot(tree));
}

/** Refuses to give what the tiles of a tree of `size` do not have. */
const tilesOf =
  (size: number): TileReader =>
  async (level, index, width) => {
    assert.equal(width, tileWidth(level, index, size));
    assert.ok(width > 0, 'a proof asks only for tiles that exist');
    return hashesToBytes((stored[level] ?? []).slice(index * 256, index * 256 + width));
  };

const flip = (hash: Hash, byte: number, bit: number): Hash =>
  (hash.slice(0, byte) + String.fromCharCode(hash.charCodeAt(byte) ^ (1 << bit)) + hash.slice(byte + 1)) as Hash;

const bitOf = fc.record({ byte: fc.nat(31), bit: fc.nat(7) });
const root = (size: number): Hash => roots[size] as Hash;

async function inclusion(index: number, size: number) {
  return {
    index,
    size,
    leaf: leaves[index] as Hash,
    path: await inclusionPath(tilesOf(size), index, size),
    root: root(size),
  };
}

async function consistency(oldSize: number, newSize: number) {
  const path = await consistencyPath(tilesOf(newSize), oldSize, newSize);
  return { oldSize, newSize, oldRoot: root(oldSize), newRoot: root(newSize), path };
}

test('every proof of a small tree verifies, at each size and index', async () => {
  for (let size = 1; size <= 70; size += 1) {
    for (let at = 0; at < size; at += 1) {
      assert.ok(verifyInclusion(await inclusion(at, size)), `leaf ${at} of ${size}`);
      assert.ok(verifyConsistency(await consistency(at + 1, size)), `${at + 1} to ${size}`);
    }
  }
});

const sizeAndIndex = fc
  .integer({ min: 1, max: SIZE_MAX })
  .chain((size) => fc.record({ size: fc.constant(size), index: fc.nat(size - 1) }));

test('inclusion proofs verify, and no mutation of them does', async () => {
  await fc.assert(
    fc.asyncProperty(sizeAndIndex, bitOf, fc.nat(20), async ({ size, index }, { byte, bit }, at) => {
      const proof = await inclusion(index, size);
      const { path } = proof;
      assert.ok(verifyInclusion(proof));
      const refused = (change: Partial<typeof proof>) =>
        assert.equal(verifyInclusion({ ...proof, ...change }), false, JSON.stringify(Object.keys(change)));
      refused({ leaf: flip(proof.leaf, byte, bit) });
      refused({ root: flip(proof.root, byte, bit) });
      refused({ path: [...path, proof.leaf] });
      refused({ path: [proof.leaf, ...path] });
      refused({ index: size });
      refused({ index: -1 });
      refused({ index: index + 0.5 });
      if (path.length === 0) return;
      const i = at % path.length;
      refused({ path: path.with(i, flip(path[i] as Hash, byte, bit)) });
      refused({ path: path.slice(1) });
      refused({ path: path.slice(0, -1) });
      // The same path at the sibling's place, or read as another leaf.
      refused({ index: index % 2 === 0 ? index + 1 : index - 1 });
    }),
    { numRuns: 150 },
  );
});

test('consistency proofs verify, and no mutation of them does', async () => {
  await fc.assert(
    fc.asyncProperty(sizeAndIndex, bitOf, fc.nat(20), async ({ size, index }, { byte, bit }, at) => {
      const proof = await consistency(index + 1, size);
      const { path } = proof;
      assert.ok(verifyConsistency(proof));
      const refused = (change: Partial<typeof proof>) =>
        assert.equal(verifyConsistency({ ...proof, ...change }), false, JSON.stringify(Object.keys(change)));
      refused({ oldRoot: flip(proof.oldRoot, byte, bit) });
      refused({ newRoot: flip(proof.newRoot, byte, bit) });
      refused({ path: [...path, proof.oldRoot] });
      refused({ oldSize: 0 });
      refused({ oldSize: size + 1 });
      if (path.length === 0) return;
      const i = at % path.length;
      refused({ path: path.with(i, flip(path[i] as Hash, byte, bit)) });
      refused({ path: path.slice(1) });
      refused({ path: path.slice(0, -1) });
      refused({ path: [] });
    }),
    { numRuns: 150 },
  );
});

test('from the empty tree nothing can be proven', () => {
  assert.equal(verifyConsistency({ oldSize: 0, newSize: 0, oldRoot: root(0), newRoot: root(0), path: [] }), false);
  assert.equal(verifyConsistency({ oldSize: 0, newSize: 5, oldRoot: root(0), newRoot: root(5), path: [] }), false);
});

test('sizes beyond 32 bits are computed exactly', () => {
  const size = 2 ** 40 + 2 ** 33 + 1;
  const path = [leafHash(Buffer.of(1)), leafHash(Buffer.of(2))];
  assert.equal(verifyInclusion({ index: 2 ** 40, size, leaf: leafHash(Buffer.of(0)), path, root: root(1) }), false);
  assert.equal(
    verifyInclusion({ index: 2 ** 53, size: 2 ** 53 + 2, leaf: leafHash(Buffer.of(0)), path, root: root(1) }),
    false,
  );
  assert.equal(tileWidth(0, Math.floor(size / 256), size), 1);
  assert.equal(tileWidth(5, 0, size), 1);
});
