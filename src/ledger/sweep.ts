import { Problem } from '#base';
import { decodePrefix } from './bundle.ts';
import type { LogFiles } from './files.ts';
import { HASH_BYTES, hashAt, hashesToBytes, hashHex, leafHash } from './hash.ts';
import type { Hash } from './hash.ts';
import { readLeaves } from './source.ts';
import type { LeafSource } from './source.ts';
import { TILE_WIDTH, tilePath, tileWidth } from './tile.ts';
import type { TileId } from './tile.ts';
import { appendLeaf, emptyRange, rangeRoot } from './tree.ts';
import type { CompactRange } from './tree.ts';

/** Who can tell what the leaf hashes were. `majority` takes each leaf from two that agree. */
export const witnesses = ['entries', 'tiles', 'source', 'majority'] as const;
export type Witness = (typeof witnesses)[number];

type LeafHashes = (Hash | undefined)[];

export interface Finding {
  count: number;
  first?: number | string;
  expected?: string;
  found?: string;
}

export interface Sweep {
  /** The root each witness arrives at; undefined if it lacks a leaf. */
  roots: Record<Witness, Hash | undefined>;
  /** What differs from the chosen witness. */
  entries: Finding;
  tiles: Finding;
  source: Finding;
  history: Finding;
  tileCount: number;
  leaf: { truth: Hash | undefined; entry: Hash | undefined; source: Hash | undefined } | undefined;
}

interface SweepOptions {
  files: LogFiles;
  source: LeafSource;
  size: number;
  /** Signed roots by size, to be compared as the tree grows past them. */
  history: ReadonlyMap<number, Hash>;
  witness: Witness;
  index?: number;
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** One pass over a whole log, bundle by bundle, in constant memory. Compares everything with what `witness` tells. */
export async function sweepLog({
  files,
  source,
  size,
  history,
  witness,
  index,
  onProgress,
}: SweepOptions): Promise<Sweep> {
  const ranges = Object.fromEntries(witnesses.map((name) => [name, emptyRange()])) as Record<
    Witness,
    CompactRange | undefined
  >;
  const sweep: Sweep = {
    roots: { entries: undefined, tiles: undefined, source: undefined, majority: undefined },
    entries: { count: 0 },
    tiles: { count: 0 },
    source: { count: 0 },
    history: { count: 0 },
    tileCount: 0,
    leaf: undefined,
  };
  const rows: Hash[][] = [];

  for (let bundle = 0; bundle * TILE_WIDTH < size; bundle += 1) {
    const first = bundle * TILE_WIDTH;
    const width = tileWidth('entries', bundle, size);
    const told: Record<Witness, LeafHashes> = {
      entries: await entryHashes(files, bundle, width),
      tiles: await tileHashes(files, bundle, width),
      source: await sourceHashes(source, first, width),
      majority: [],
    };
    for (let i = 0; i < width; i += 1) told.majority.push(agreed(told.entries[i], told.tiles[i], told.source[i]));
    for (let i = 0; i < width; i += 1) {
      const at = first + i;
      const truth = told[witness][i];
      compare(sweep.entries, at, truth, told.entries[i]);
      compare(sweep.source, at, truth, told.source[i]);
      if (at === index) sweep.leaf = { truth, entry: told.entries[i], source: told.source[i] };
      for (const name of witnesses) extend(ranges, name, told[name][i], name === witness ? store : undefined);
      compareHistory(at + 1);
    }
    await compareFullTiles();
    onProgress?.({ done: first + width, total: size });
  }
  await comparePartialTiles();
  for (const name of witnesses) sweep.roots[name] = ranges[name] && rangeRoot(ranges[name]);
  return sweep;

  function store(level: number, hash: Hash): void {
    if (level % 8 === 0) (rows[level / 8] ??= []).push(hash);
  }

  function compareHistory(at: number): void {
    const signed = history.get(at);
    const range = ranges[witness];
    if (signed !== undefined && range) compare(sweep.history, at, signed, rangeRoot(range));
  }

  /** A row is full at the end of a bundle only, and only rows above full rows fill up with it. */
  async function compareFullTiles(): Promise<void> {
    for (const [level, row] of rows.entries()) {
      if (row.length < TILE_WIDTH) return;
      const leaves = ranges[witness]?.size ?? 0;
      await compareTile({ level, index: leaves / TILE_WIDTH ** (level + 1) - 1, width: TILE_WIDTH }, row);
      rows[level] = [];
    }
  }

  async function comparePartialTiles(): Promise<void> {
    for (const [level, row] of rows.entries()) {
      const index = Math.floor(size / TILE_WIDTH ** (level + 1));
      if (row.length > 0 && ranges[witness]) await compareTile({ level, index, width: row.length }, row);
    }
  }

  async function compareTile(tile: TileId, row: readonly Hash[]): Promise<void> {
    sweep.tileCount += 1;
    const found = await readIfSound(files, tile);
    if (found?.equals(hashesToBytes(row))) return;
    sweep.tiles.count += 1;
    sweep.tiles.first ??= tilePath(tile);
  }
}

function compare(finding: Finding, at: number, expected: Hash | undefined, found: Hash | undefined): void {
  if (expected === found) return;
  finding.count += 1;
  if (finding.count > 1) return;
  finding.first = at;
  finding.expected = expected === undefined ? 'unknown' : hashHex(expected);
  finding.found = found === undefined ? 'missing' : hashHex(found);
}

/** A witness that lacks one leaf has no root. */
function extend(
  ranges: Record<Witness, CompactRange | undefined>,
  name: Witness,
  hash: Hash | undefined,
  store?: (level: number, hash: Hash) => void,
): void {
  const range = ranges[name];
  if (!range) return;
  if (hash === undefined) ranges[name] = undefined;
  else appendLeaf(range, hash, store);
}

function agreed(a: Hash | undefined, b: Hash | undefined, c: Hash | undefined): Hash | undefined {
  return a !== undefined && (a === b || a === c) ? a : b !== undefined && b === c ? b : undefined;
}

async function entryHashes(files: LogFiles, index: number, width: number): Promise<LeafHashes> {
  const tile: TileId = { level: 'entries', index, width };
  // The exactly named file must end where its last entry ends; a longer partial may stand in for it.
  const exact = await files.readExact(tile);
  const { entries, rest } = decodePrefix(exact ?? (await readIfSound(files, tile)) ?? Buffer.alloc(0), width);
  const hashes: LeafHashes = Array.from({ length: width }, (_, i) => entries[i] && leafHash(entries[i]));
  if (exact && rest > 0) hashes[width - 1] = undefined;
  return hashes;
}

async function tileHashes(files: LogFiles, index: number, width: number): Promise<LeafHashes> {
  const bytes = await readIfSound(files, { level: 0, index, width });
  return Array.from({ length: width }, (_, i) => (bytes ? hashAt(bytes, i) : undefined));
}

async function readIfSound(files: LogFiles, tile: TileId): Promise<Buffer | undefined> {
  const exact = await files.readExact(tile);
  if (exact) return tile.level !== 'entries' && exact.length !== tile.width * HASH_BYTES ? undefined : exact;
  return await orUndefined(files.read(tile));
}

async function sourceHashes(source: LeafSource, first: number, width: number): Promise<LeafHashes> {
  const leaves = await orUndefined(readLeaves(source, first, width));
  if (leaves) return leaves.map(leafHash);
  // Something is missing: find out which.
  const hashes: LeafHashes = [];
  for (let i = 0; i < width; i += 1) {
    const [leaf] = (await orUndefined(readLeaves(source, first + i, 1))) ?? [];
    hashes.push(leaf && leafHash(leaf));
  }
  return hashes;
}

/** A missing or unreadable part is a finding, whatever its cause; anything but a `Problem` is our own mistake. */
async function orUndefined<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (Problem.is(error)) return undefined;
    throw error;
  }
}
