import { decodeBundle, encodeEntry } from './bundle.ts';
import { HASH_BYTES, hashAt, hashesToBytes, leafHash } from './hash.ts';
import type { Hash } from './hash.ts';
import { TILE_WIDTH, tileLevels, tileWidth } from './tile.ts';
import type { TileId } from './tile.ts';
import { appendLeaf, copyRange, emptyRange, perfectRoot } from './tree.ts';
import type { CompactRange } from './tree.ts';

/**
 * What must be in memory to append to a log: the compact range, and the content of the tiles and the
 * entry bundle that are not full yet. A value: growing gives a new one, so nothing changes before all is durable.
 */
export interface Edge {
  readonly range: Readonly<CompactRange>;
  /** For each tile level the hashes of its partial tile; empty where the last tile is full. */
  readonly tiles: readonly (readonly Hash[])[];
  /** The entries of the partial bundle, encoded. */
  readonly bundle: readonly Buffer[];
}

export interface TileFile extends TileId {
  bytes: Buffer;
}

export const emptyEdge: Edge = { range: emptyRange(), tiles: [], bundle: [] };

/** Appends entries: the edge after them, and every full tile, full bundle and partial they make. */
export function growEdge(edge: Edge, entries: readonly Uint8Array[]): { edge: Edge; files: TileFile[] } {
  const range = copyRange(edge.range);
  const tiles = edge.tiles.map((tile) => [...tile]);
  let bundle = [...edge.bundle];
  const files: TileFile[] = [];
  const grown = new Set<number>();

  for (const entry of entries) {
    bundle.push(encodeEntry(entry));
    if (bundle.length === TILE_WIDTH) {
      files.push({
        level: 'entries',
        index: Math.floor(range.size / TILE_WIDTH),
        width: TILE_WIDTH,
        bytes: Buffer.concat(bundle),
      });
      bundle = [];
    }
    // Nodes complete at any level; tiles store every eighth.
    appendLeaf(range, leafHash(entry), (level, hash) => {
      if (level % 8 === 0) store(level / 8, hash);
    });
  }

  function store(level: number, hash: Hash): void {
    const tile = (tiles[level] ??= []);
    tile.push(hash);
    grown.add(level);
    if (tile.length < TILE_WIDTH) return;
    // The leaf being appended is number range.size, and it is the last one under this tile.
    files.push({
      level,
      index: Math.floor(range.size / TILE_WIDTH ** (level + 1)),
      width: TILE_WIDTH,
      bytes: hashesToBytes(tile),
    });
    tiles[level] = [];
  }

  const next: Edge = { range, tiles, bundle };
  const changed = partialFiles(next).filter(({ level }) => level === 'entries' || grown.has(level));
  return { edge: next, files: [...files, ...(entries.length === 0 ? [] : changed)] };
}

/** The partial tiles and the partial bundle of an edge, as they must stand on disk. */
export function partialFiles(edge: Edge): TileFile[] {
  const { size } = edge.range;
  const files: TileFile[] = [];
  if (edge.bundle.length > 0) {
    files.push({
      level: 'entries',
      index: Math.floor(size / TILE_WIDTH),
      width: edge.bundle.length,
      bytes: Buffer.concat(edge.bundle),
    });
  }
  edge.tiles.forEach((tile, level) => {
    if (tile.length === 0) return;
    files.push({
      level,
      index: Math.floor(size / TILE_WIDTH ** (level + 1)),
      width: tile.length,
      bytes: hashesToBytes(tile),
    });
  });
  return files;
}

/** The names of the partial files of a log of `size` leaves. */
export function partialTiles(size: number): TileId[] {
  const levels: (number | 'entries')[] = ['entries', ...Array.from({ length: tileLevels(size) }, (_, level) => level)];
  return levels.flatMap((level) => {
    const index = Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 1 : level + 1));
    const width = tileWidth(level, index, size);
    return width === 0 ? [] : [{ level, index, width }];
  });
}

/** The edge of a log of `size` leaves from its partial files, or undefined if one is malformed. Nothing is trusted yet: compare the root. */
export function edgeFromFiles(size: number, files: readonly TileFile[]): Edge | undefined {
  const tiles: Hash[][] = Array.from({ length: tileLevels(size) }, () => []);
  let bundle: Buffer[] = [];
  for (const { level, width, bytes } of files) {
    if (level === 'entries') {
      const entries = decodeBundle(bytes, width);
      if (!entries) return undefined;
      bundle = entries.map(encodeEntry);
    } else {
      if (bytes.length !== width * HASH_BYTES) return undefined;
      tiles[level] = Array.from({ length: width }, (_, i) => hashAt(bytes, i));
    }
  }
  return { range: { size, roots: rangeRoots(tiles) }, tiles, bundle };
}

/** The perfect subtrees of a tree, largest first: each partial tile holds up to eight of them. */
function rangeRoots(tiles: readonly (readonly Hash[])[]): Hash[] {
  const roots: Hash[] = [];
  for (const tile of tiles.toReversed()) {
    let at = 0;
    for (let row = TILE_WIDTH / 2; row >= 1; row /= 2) {
      if (tile.length - at < row) continue;
      roots.push(perfectRoot(tile.slice(at, at + row)));
      at += row;
    }
  }
  return roots;
}
