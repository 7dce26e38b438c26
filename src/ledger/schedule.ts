import { Problem } from '#base';
import type { SignedCheckpoint } from './checkpoint.ts';
import { stopped } from './problems.ts';

interface ScheduleOptions {
  minIntervalMs: number;
  /** One run; runs never overlap. */
  publish(): Promise<SignedCheckpoint>;
  onSettled(checkpoint: SignedCheckpoint): void;
  /** After a failed run: can a later one succeed? */
  mayRetry(): boolean;
}

interface Waiter {
  index: number;
  resolve(checkpoint: SignedCheckpoint): void;
  reject(error: unknown): void;
}

/** When a log publishes: soon after a poke, at once if somebody waits, one run at a time. */
export interface Schedule {
  publish: () => Promise<SignedCheckpoint>;
  poke: () => void;
  /** Why the newest run failed; undefined after one that did not. */
  trouble: () => Problem | undefined;
  waitFor: (index: number) => Promise<SignedCheckpoint>;
  /** A run calls this for each checkpoint it exposed. */
  settle(checkpoint: SignedCheckpoint): void;
  /** Nothing will be published any more: whoever waits is told why. */
  halt(reason: Problem): void;
  close(reason: Problem): Promise<void>;
}

/** A failed run is repeated after this: the cause may pass (an altered file put back, a busy database). */
const RETRY_MS = 1000;

export function createSchedule(options: ScheduleOptions): Schedule {
  const waiters = new Set<Waiter>();
  let running: Promise<SignedCheckpoint> | undefined;
  let queued: Promise<SignedCheckpoint> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastRunAt = Number.NEGATIVE_INFINITY;
  let lastSettled = -1;
  let closing: Problem | undefined;
  let trouble: Problem | undefined;

  async function run(): Promise<SignedCheckpoint> {
    clearTimeout(timer);
    timer = undefined;
    try {
      const checkpoint = await options.publish();
      trouble = undefined;
      return checkpoint;
    } catch (error) {
      const problem = Problem.is(error) ? error : stopped(error);
      trouble = problem;
      rejectAll(problem);
      if (!closing && options.mayRetry()) later(RETRY_MS);
      throw problem;
    } finally {
      lastRunAt = performance.now();
      running = undefined;
    }
  }

  /** Joins the run that has not started yet: it will see everything the source has now. */
  function publish(): Promise<SignedCheckpoint> {
    if (closing) return Promise.reject(closing);
    if (queued) return queued;
    if (!running) return (running = run());
    queued = running
      .catch(() => undefined)
      .then(() => {
        queued = undefined;
        return (running = run());
      });
    return queued;
  }

  /** Failures reach whoever waits; a run nobody waits for is repeated by the timer. */
  function publishUnwatched(): void {
    publish().catch(() => undefined);
  }

  function later(delayMs: number): void {
    timer ??= setTimeout(publishUnwatched, delayMs).unref();
  }

  function rejectAll(problem: Problem): void {
    for (const waiter of waiters) waiter.reject(problem);
    waiters.clear();
  }

  return {
    publish,
    trouble: () => trouble,
    poke() {
      if (closing) return;
      if (waiters.size > 0) publishUnwatched();
      else later(Math.max(0, options.minIntervalMs - (performance.now() - lastRunAt)));
    },
    waitFor(index) {
      if (closing) return Promise.reject(closing);
      return new Promise((resolve, reject) => {
        waiters.add({ index, resolve, reject });
        publishUnwatched();
      });
    },
    settle(checkpoint) {
      for (const waiter of waiters) {
        if (waiter.index >= checkpoint.size) continue;
        waiters.delete(waiter);
        waiter.resolve(checkpoint);
      }
      if (checkpoint.size > lastSettled) options.onSettled(checkpoint);
      lastSettled = checkpoint.size;
    },
    halt(reason) {
      trouble = reason;
      rejectAll(reason);
    },
    async close(reason) {
      const wasPoked = timer !== undefined;
      clearTimeout(timer);
      timer = undefined;
      if (wasPoked) await publish().catch(() => undefined);
      closing = reason;
      await queued?.catch(() => undefined);
      await running?.catch(() => undefined);
      clearTimeout(timer);
      rejectAll(reason);
    },
  };
}
