import type { Check, Clock, Verdict } from '#base';
import { faultPoint, Problem } from '#base';
import { auditCheckpoint, auditLog } from './audit.ts';
import type { AuditProgress, LogAudit } from './audit.ts';
import { openCheckpoint, renderCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { growEdge } from './edge.ts';
import type { Edge } from './edge.ts';
import type { WriteFaults } from './faults.ts';
import { logFiles } from './files.ts';
import { emptyRoot } from './hash.ts';
import type { Hash } from './hash.ts';
import { hasHistory, openHistory } from './history.ts';
import { closed, empty, missing, readOnly, rolledBack, stopped } from './problems.ts';
import type { ConsistencyProof, InclusionProof } from './proof.ts';
import { createLogReader } from './reader.ts';
import { compareEdgeFiles, recoverEdge, tidyPartials } from './recover.ts';
import { createSchedule } from './schedule.ts';
import { entriesSource, readLeaves } from './source.ts';
import type { LeafSource, SourceName } from './source.ts';
import { TILE_WIDTH } from './tile.ts';
import { rangeRoot } from './tree.ts';
import type { NoteSigner, NoteVerifier } from './vkey.ts';
import { signNote } from './vkey.ts';

export interface TileLogOptions {
  dir: string;
  /** First line of every checkpoint. */
  origin: string;
  signer: NoteSigner;
  source: LeafSource;
  clock: Clock;
  /** Checkpoints are at least this far apart unless somebody waits for one. */
  minIntervalMs?: number;
  /** 'read': never writes and never refuses; for verify and trace when a log must not go on. */
  access?: 'read' | 'write';
  /** The log was begun before: without its files it is refused with `ledger.missing`, not begun anew. */
  expectHistory?: boolean;
  /** How `verify` speaks of the source. */
  sourceName?: SourceName;
  onPublished?: (checkpoint: SignedCheckpoint) => void;
  /** What is served as `checkpoint` instead of the newest one: the newest that witnesses cosigned, where the policy demands it. */
  servedNote?: () => string | undefined;
  /** For crash tests only. */
  faults?: WriteFaults;
}

/** A C2SP tlog-tiles log on disk. Nobody sees a checkpoint whose entries and tiles are not durable. */
export interface TileLog {
  readonly origin: string;
  readonly verifier: NoteVerifier;
  /** Entries covered by the newest checkpoint. */
  size(): number;
  /** The newest checkpoint that was exposed. */
  checkpoint(): SignedCheckpoint;
  /** Takes in everything the source has now and publishes; at once. */
  publish(): Promise<SignedCheckpoint>;
  /** The source has grown: publish soon (within minInterval; at once if somebody waits). */
  poke(): void;
  /** Resolves with a signed checkpoint that covers entry `index`. */
  waitFor(index: number): Promise<SignedCheckpoint>;
  /** Why the log takes nothing in at present; undefined while it does. It is tried again unless a durable write failed. */
  trouble(): Problem | undefined;
  /** The following read the disk anew each time; `ledger.damaged` if what they read does not hash to the signed root. */
  inclusionProof(index: number, size?: number): Promise<InclusionProof>;
  consistencyProof(oldSize: number, newSize?: number): Promise<ConsistencyProof>;
  entry(index: number): Promise<Buffer>;
  leafHash(index: number): Promise<Hash>;
  /** For HTTP: bytes of `checkpoint` or of any tile or bundle that a checkpoint so far implies; undefined for any other path. */
  tileBytes(path: string): Promise<Buffer | undefined>;
  /** `count` entries from `first` on, whole bundles at a time; nothing is compared with the tree. */
  entries(first: number, count: number): Promise<Buffer[]>;
  /**
   * Puts more signatures under the newest checkpoint: `note` has the same text, ours among its signatures. False, and nothing
   * done, if a newer one was exposed meanwhile.
   */
  addSignatures(note: string): Promise<boolean>;
  /** Calls `listener` after every checkpoint that is exposed. Returns how to stop. */
  onPublished(listener: (checkpoint: SignedCheckpoint) => void): () => void;
  /** The log must not go on: somebody holds proof that it contradicts what it signed. Everything new is refused with `reason`. */
  halt(reason: Problem): void;
  /** Reads and hashes everything again. */
  verify(onProgress?: AuditProgress): Promise<Verdict>;
  /** What `verify` judges from. With `index`, also the hashes found for that leaf. */
  audit(options?: { index?: number; onProgress?: AuditProgress }): Promise<LogAudit>;
  /** Reads the checkpoint file again; gives the newest checkpoint whose signature is good, if any. */
  auditCheckpoint(): Promise<{ checkpoint: SignedCheckpoint | undefined; check: Check }>;
  close(): Promise<void>;
}

const BATCH_ENTRIES = 4096;

/**
 * Opens a log, for writing by default. `ledger.fork_detected`, `ledger.rolled_back` or `ledger.damaged` if what is
 * on disk and the source contradict what was signed; it can then still be opened with `access: 'read'`.
 */
export async function openTileLog(options: TileLogOptions): Promise<TileLog> {
  const { dir, origin, signer, source, clock, access = 'write', minIntervalMs = 200 } = options;
  if (options.expectHistory && access === 'write' && !(await hasHistory(dir))) throw missing();
  const files = logFiles(dir, options.faults);
  const history = await openHistory(dir, access, options.faults);
  const listeners = new Set<(checkpoint: SignedCheckpoint) => void>();
  const { verifier } = signer;
  let exposed: SignedCheckpoint | undefined;
  let edge: Edge | undefined;
  let failure: Problem | undefined;
  let exposing: Promise<unknown> = Promise.resolve();

  try {
    if (access === 'read') exposed = (await checkCheckpoint(history.head())).checkpoint ?? history.head();
    else await resume();
  } catch (error) {
    await history.close();
    throw error;
  }

  function checkCheckpoint(known: SignedCheckpoint | undefined): ReturnType<TileLog['auditCheckpoint']> {
    return auditCheckpoint({ files, origin, verifier, checkpoint: known });
  }

  /** A crash may have come between record and exposure; and a new log starts with the empty tree. */
  async function resume(): Promise<void> {
    const recovered = await recoverEdge({ files, history, source, origin, verifier });
    edge = recovered.edge;
    await durably(() => tidyPartials(files, recovered.edge));
    if (recovered.signed) await expose(recovered.signed);
    else await signAndExpose({ origin, size: 0, root: emptyRoot });
  }

  async function signAndExpose(checkpoint: { origin: string; size: number; root: Hash }): Promise<void> {
    const note = await signNote(renderCheckpoint(checkpoint), [signer]);
    const signed = { ...checkpoint, note };
    await durably(() => history.append(signed, clock.now()));
    faultPoint('ledger.after_checkpoint');
    await expose(signed);
  }

  /** One at a time: added signatures must not put an older checkpoint over a newer one. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = exposing.then(work, work);
    exposing = done.catch(() => undefined);
    return done;
  }

  async function expose(signed: SignedCheckpoint): Promise<void> {
    await inTurn(async () => {
      const there = await files.readCheckpoint();
      // After a restart the same checkpoint may stand there with cosignatures.
      const kept = there !== undefined && isSameCheckpoint(there, signed, verifier) ? there : signed.note;
      if (there !== kept) await durably(() => files.exposeCheckpoint(kept));
      exposed = { ...signed, note: kept };
    });
  }

  function addSignatures(note: string): Promise<boolean> {
    return inTurn(async () => {
      if (access === 'read') throw readOnly();
      if (failure) throw failure;
      const now = current();
      if (!isSameCheckpoint(note, now, verifier)) return false;
      if (note !== now.note) await durably(() => files.exposeCheckpoint(note));
      exposed = { ...now, note };
      return true;
    });
  }

  /** After a failed fsync nobody knows what is on the disk: the log stops, and recovery at the next start decides. */
  async function durably(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      failure = Problem.is(error) ? error : stopped(error);
      throw failure;
    }
  }

  /** Takes in one batch. True if there may be more. */
  async function publishBatch(): Promise<boolean> {
    if (access === 'read') throw readOnly();
    if (failure) throw failure;
    const before = edge as Edge;
    const signed = current();
    const available = await source.size();
    if (available < signed.size) throw rolledBack(signed, available);
    if (available === signed.size) return false;
    const entries = await readLeaves(source, signed.size, Math.min(BATCH_ENTRIES, available - signed.size));
    await compareEdgeFiles(files, before);

    const { edge: after, files: made } = growEdge(before, entries);
    faultPoint('ledger.before_tiles');
    await durably(async () => void (await Promise.all(made.map((file) => files.store(file)))));
    faultPoint('ledger.after_tiles');
    await signAndExpose({ origin, size: after.range.size, root: rangeRoot(after.range) });
    edge = after;
    schedule.settle(current());

    // Nobody waits for this but the next batch, whose partials it must not meet.
    await Promise.all(
      made.map(async (tile) => {
        const width = tile.width === TILE_WIDTH ? 0 : tile.width;
        await files.dropPartials({ ...tile, width }).catch(() => undefined);
      }),
    );
    return after.range.size < available;
  }

  const schedule = createSchedule({
    minIntervalMs,
    async publish() {
      while (await publishBatch());
      schedule.settle(current());
      return current();
    },
    onSettled(checkpoint) {
      options.onPublished?.(checkpoint);
      for (const listener of listeners) listener(checkpoint);
    },
    mayRetry: () => access === 'write' && !failure,
  });

  function current(): SignedCheckpoint {
    if (!exposed) throw empty();
    return exposed;
  }

  const reader = createLogReader({ files, current });
  const audit = (what: { index?: number; onProgress?: AuditProgress } = {}) =>
    auditLog({
      dir,
      files,
      origin,
      verifier,
      source,
      checkpoint: current(),
      sourceName: options.sourceName ?? entriesSource,
      ...what,
    });

  return {
    origin,
    verifier,
    size: () => exposed?.size ?? 0,
    checkpoint: current,
    publish: schedule.publish,
    poke: access === 'write' ? schedule.poke : () => undefined,
    waitFor: (index) => (index < (exposed?.size ?? 0) ? Promise.resolve(current()) : schedule.waitFor(index)),
    trouble: schedule.trouble,
    ...reader,
    tileBytes: async (path) => {
      const served = path === 'checkpoint' ? options.servedNote?.() : undefined;
      return served === undefined ? await reader.tileBytes(path) : Buffer.from(served);
    },
    addSignatures,
    onPublished(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    halt(reason) {
      failure ??= reason;
      schedule.halt(failure);
    },
    audit,
    verify: async (onProgress) => (await audit(onProgress ? { onProgress } : {})).verdict,
    auditCheckpoint: () => checkCheckpoint(exposed),
    async close() {
      await schedule.close(closed());
      await exposing;
      await history.close();
    },
  };
}

/** Is `note` this very checkpoint, signed by the log, whatever other signatures it has? */
function isSameCheckpoint(note: string, signed: SignedCheckpoint, verifier: NoteVerifier): boolean {
  try {
    const { size, root } = openCheckpoint(note, signed.origin, [verifier]);
    return size === signed.size && root === signed.root;
  } catch (error) {
    if (Problem.is(error)) return false;
    throw error;
  }
}
