import { Problem } from '#base';
import { decodeBundle } from './bundle.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { edgeFromFiles, emptyEdge, partialFiles, partialTiles } from './edge.ts';
import type { Edge, TileFile } from './edge.ts';
import type { LogFiles } from './files.ts';
import { hashBase64, hashHex, leafHash } from './hash.ts';
import type { History } from './history.ts';
import { damaged, forkDetected, rolledBack } from './problems.ts';
import { readLeaves } from './source.ts';
import type { LeafSource } from './source.ts';
import { TILE_WIDTH, tileLevels, tilePath, tileWidth } from './tile.ts';
import { rangeRoot } from './tree.ts';
import type { NoteVerifier } from './vkey.ts';

interface Recovery {
  files: LogFiles;
  history: History;
  source: LeafSource;
  origin: string;
  verifier: NoteVerifier;
}

/**
 * Decides whether a log may go on, before anything is written: exposed ≤ recorded ≤ source, the recorded
 * checkpoint is ours, its right edge hashes to its root, and the source still has those very leaves.
 * `ledger.fork_detected`, `ledger.rolled_back` or `ledger.damaged` with the evidence otherwise.
 */
export async function recoverEdge(log: Recovery): Promise<{ edge: Edge; signed: SignedCheckpoint | undefined }> {
  const signed = verifyHead(log);
  await compareExposed(log, signed);
  if (!signed) return { edge: emptyEdge, signed };
  const sourceSize = await log.source.size();
  if (sourceSize < signed.size) throw rolledBack(signed, sourceSize);
  const edge = await loadEdge(log.files, signed);
  await compareSource(log, signed.size);
  return { edge, signed };
}

function verifyHead({ history, origin, verifier }: Recovery): SignedCheckpoint | undefined {
  const head = history.head();
  if (!head) return undefined;
  try {
    return openCheckpoint(head.note, origin, [verifier]);
  } catch (error) {
    if (!Problem.is(error)) throw error;
    throw forkDetected(`The newest recorded checkpoint is not ours: ${error.message}`, { note: head.note });
  }
}

/** A crash may leave the exposed checkpoint behind the recorded one, never ahead of it or beside it. */
async function compareExposed(
  { files, origin, verifier }: Recovery,
  signed: SignedCheckpoint | undefined,
): Promise<void> {
  const note = await files.readCheckpoint();
  if (note === undefined) return;
  let exposed: SignedCheckpoint;
  try {
    exposed = openCheckpoint(note, origin, [verifier]);
  } catch (error) {
    if (!Problem.is(error)) throw error;
    throw forkDetected(`The exposed checkpoint is not ours: ${error.message}`, {
      exposed: note,
      recorded: signed?.note,
    });
  }
  const ahead = exposed.size > (signed?.size ?? -1);
  if (ahead || (exposed.size === signed?.size && exposed.root !== signed.root)) {
    throw forkDetected('The exposed checkpoint is not the one this log recorded.', {
      exposed: note,
      recorded: signed?.note,
    });
  }
}

/** The right edge as the files have it; it must hash to the signed root. */
export async function loadEdge(files: LogFiles, { size, root }: SignedCheckpoint): Promise<Edge> {
  const partials: TileFile[] = [];
  for (const tile of partialTiles(size)) partials.push({ ...tile, bytes: await files.read(tile) });
  const edge = edgeFromFiles(size, partials);
  const found = edge && rangeRoot(edge.range);
  if (!edge || found !== root) {
    throw forkDetected('The tiles at the right edge do not hash to the signed root.', {
      size,
      signedRoot: hashBase64(root),
      ...(found === undefined ? {} : { foundRoot: hashBase64(found) }),
    });
  }
  // The bundle is what readers get: it must say what the tile above it hashes.
  edge.bundle.forEach((encoded, i) => {
    if (leafHash(encoded.subarray(2)) !== edge.tiles[0]?.[i]) {
      const index = Math.floor(size / TILE_WIDTH) * TILE_WIDTH + i;
      throw forkDetected(`Entry ${index} of the log is not the one that was signed.`, { index });
    }
  });
  return edge;
}

/** The last bundle must still be what the source says: a source that was replaced differs at least at its end. */
async function compareSource({ files, source }: Recovery, size: number): Promise<void> {
  if (size === 0) return;
  const index = Math.floor((size - 1) / TILE_WIDTH);
  const count = size - index * TILE_WIDTH;
  const logged = decodeBundle(await files.read({ level: 'entries', index, width: count }), count) ?? [];
  const leaves = await readLeaves(source, index * TILE_WIDTH, count);
  logged.forEach((entry, i) => {
    const leaf = leaves[i];
    if (leaf?.equals(entry)) return;
    const at = index * TILE_WIDTH + i;
    throw forkDetected(`What entry ${at} of the log was made from has changed.`, {
      index: at,
      loggedLeafHash: hashHex(leafHash(entry)),
      ...(leaf === undefined ? {} : { sourceLeafHash: hashHex(leafHash(leaf)) }),
    });
  });
}

/** Before a partial is superseded it must still be what was written: otherwise an alteration would vanish unseen. */
export async function compareEdgeFiles(files: LogFiles, edge: Edge): Promise<void> {
  await Promise.all(
    partialFiles(edge).map(async (file) => {
      const found = await files.readExact(file);
      if (!found) throw damaged(tilePath(file), 'is missing');
      if (!found.equals(file.bytes)) throw damaged(tilePath(file), 'was altered');
    }),
  );
}

/** After recovery: exactly the partials of this edge, whatever a crash left behind. */
export async function tidyPartials(files: LogFiles, edge: Edge): Promise<void> {
  const { size } = edge.range;
  for (const file of partialFiles(edge)) await files.store(file);
  const levels: (number | 'entries')[] = ['entries', ...Array.from({ length: tileLevels(size) }, (_, level) => level)];
  for (const level of levels) {
    const index = Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 1 : level + 1));
    await files.dropPartials({ level, index, width: tileWidth(level, index, size) });
    if (index > 0) await files.dropPartials({ level, index: index - 1, width: 0 });
  }
}
