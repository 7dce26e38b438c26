/** Paths and widths of C2SP tlog-tiles. Pure. */

export const TILE_WIDTH = 256;
const MAX_LEVEL = 63;

/** A hash tile (`level` is a number) or an entry bundle (`level` is 'entries'); width 256 is full. */
export interface TileId {
  level: number | 'entries';
  index: number;
  width: number;
}

/** 1234067 → x001/x234/067 */
export function renderTileIndex(index: number): string {
  let text = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    text = `x${String(rest % 1000).padStart(3, '0')}/${text}`;
  }
  return text;
}

/** C2SP tlog-tiles: `tile/<L>/<N>[.p/<W>]`, relative to the prefix of the log. */
export function tilePath(tile: TileId): string {
  const path = `tile/${tile.level}/${renderTileIndex(tile.index)}`;
  return tile.width < TILE_WIDTH ? `${path}.p/${tile.width}` : path;
}

/** How many hashes (entries) tile `index` of `level` holds in a tree of `size` leaves: 0 to 256. */
export function tileWidth(level: number | 'entries', index: number, size: number): number {
  const hashes = level === 'entries' ? size : Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** The number of tile levels of a tree of `size` leaves: 0 for the empty tree, 2 from 256 leaves on. */
export function tileLevels(size: number): number {
  let levels = 0;
  for (let hashes = size; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH)) levels += 1;
  return levels;
}

const PATH = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*)([0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;

/** The tile an untrusted path names, or undefined for anything but the one canonical spelling. */
export function parseTilePath(path: string): TileId | undefined {
  if (path.length > 64) return undefined;
  const match = PATH.exec(path);
  if (!match) return undefined;
  const level = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const index = Number((match[2] ?? '').replace(/[x/]/g, '') + (match[3] ?? ''));
  const width = match[4] === undefined ? TILE_WIDTH : Number(match[4]);
  if (level !== 'entries' && level > MAX_LEVEL) return undefined;
  if (!Number.isSafeInteger(index * TILE_WIDTH) || (match[4] !== undefined && width >= TILE_WIDTH)) return undefined;
  const tile = { level, index, width } as const;
  return tilePath(tile) === path ? tile : undefined;
}
