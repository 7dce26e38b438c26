import { failed, passed } from '#base';
import type { Check } from '#base';
import { type Journal, systemActor } from '#journal';
import type { Db } from '#storage';
import type { SignedCheckpoint } from './checkpoint.ts';
import { signaturesCheckpoint } from './facts.ts';
import { hashBase64 } from './hash.ts';
import { forkDetected, rolledBack } from './problems.ts';
import { findAnchor } from './store.ts';
import type { TileLog } from './tilelog.ts';

/**
 * Puts the checkpoints of another log of ours (`signatures`) under the `events` log, as facts: whoever pins `events`, and every
 * witness of it, then vouches for both. At most one a second, and none while nothing was signed.
 */
export interface Anchor {
  /** Anchors the newest checkpoint now, unless it is anchored already. */
  flush(): Promise<void>;
  /** Is the log still the one that was anchored? */
  check(): Promise<Check>;
  close(): Promise<void>;
}

const ANCHOR_STREAM = 'log/signatures';

/** Refuses (`ledger.rolled_back`, `ledger.fork_detected`) a log that does not continue what was anchored. */
export async function openAnchor({
  journal,
  db,
  log,
  minIntervalMs = 1000,
}: {
  journal: Journal;
  db: Db;
  log: TileLog;
  minIntervalMs?: number;
}): Promise<Anchor> {
  const broken = await contradiction(db, log);
  if (broken) throw broken;
  let timer: NodeJS.Timeout | undefined;
  let lastAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> = Promise.resolve();
  let closing = false;

  async function record(): Promise<void> {
    const checkpoint = log.checkpoint();
    const before = await findAnchor(db, log.origin);
    if (checkpoint.size <= (before?.size ?? 0)) return;
    const { origin, size, root, note } = checkpoint;
    await journal.record({
      fact: signaturesCheckpoint,
      payload: { origin, size, root: hashBase64(root), vkey: log.verifier.vkey, note },
      stream: ANCHOR_STREAM,
      actor: systemActor('anchor'),
    });
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    lastAt = performance.now();
    running = running.catch(() => undefined).then(record);
    return running;
  }

  function schedule(): void {
    if (closing) return;
    const delayMs = Math.max(0, minIntervalMs - (performance.now() - lastAt));
    timer ??= setTimeout(() => {
      timer = undefined;
      // A full disk or a busy database: the next checkpoint, or the next start, anchors more.
      flush().catch(() => schedule());
    }, delayMs).unref();
  }

  const stop = log.onPublished(schedule);
  if (log.size() > ((await findAnchor(db, log.origin))?.size ?? 0)) schedule();

  return {
    flush,
    async check() {
      const problem = await contradiction(db, log);
      const anchored = await findAnchor(db, log.origin);
      if (!problem)
        return passed('ledger.anchor', `${log.origin} continues what was logged at size ${anchored?.size ?? 0}`);
      return failed('ledger.anchor', {
        code: problem.code,
        expected: `${log.origin} of size ${anchored?.size} with root ${anchored?.root}`,
        found: problem.message,
        fix: problem.hint,
      });
    },
    async close() {
      stop();
      closing = true;
      const pending = timer !== undefined;
      clearTimeout(timer);
      if (pending) await flush().catch(() => undefined);
      await running.catch(() => undefined);
    },
  };
}

async function contradiction(db: Db, log: TileLog) {
  const anchored = await findAnchor(db, log.origin);
  if (!anchored || anchored.size === 0) return undefined;
  const now: SignedCheckpoint = log.checkpoint();
  if (now.size < anchored.size) {
    return rolledBack({ origin: log.origin, size: anchored.size, root: now.root }, now.size);
  }
  const { oldRoot } = await log.consistencyProof(anchored.size);
  if (hashBase64(oldRoot) === anchored.root) return undefined;
  return forkDetected(`The log ${log.origin} is not the one whose checkpoints were logged.`, {
    size: anchored.size,
    anchoredRoot: anchored.root,
    foundRoot: hashBase64(oldRoot),
    note: now.note,
  });
}
