import type { Db } from '#storage';
import type { Fact } from './fact.ts';
import type { Journal } from './journal.ts';
import { readCursor, writeCursor } from './store.ts';

export interface FollowOptions {
  /** Names the durable cursor; one follower a name. */
  name: string;
  types: readonly string[];
  /** Called for each fact in order, at least once; must be idempotent by `fact.number`. An error is retried with back-off. */
  handle(fact: Fact): Promise<void>;
  onError?(error: unknown, fact: Fact): void;
}

export interface Follower {
  readonly name: string;
  /** Number of the last fact it is done with. */
  position(): number;
  /** The fact it cannot get past, and since when; undefined while it gets on. */
  stuckOn(): { fact: number; since: number } | undefined;
  stop(): Promise<void>;
}

const PAGE = 100;
const RETRY_MS_FIRST = 100;
const RETRY_MS_MAX = 10_000;

type Readable = Pick<Journal, 'read' | 'head' | 'onCommit'>;

export function createFollowers({
  db,
  journal,
}: {
  db: Db;
  journal: Readable;
}): Pick<Journal, 'follow' | 'followers' | 'idle' | 'close'> {
  const followers = new Map<string, Follower & { wake(): void; settled(): Promise<void> }>();
  return {
    follow(options) {
      if (followers.has(options.name)) throw new TypeError(`journal: a follower named ${options.name} runs already`);
      const follower = startFollower(db, journal, options, () => followers.delete(options.name));
      followers.set(options.name, follower);
      return follower;
    },
    followers: () => [...followers.values()],
    async idle() {
      for (;;) {
        const head = await journal.head();
        for (const follower of followers.values()) await follower.settled();
        const behind = [...followers.values()].some((follower) => follower.position() < head);
        if (!behind && (await journal.head()) === head) return;
        for (const follower of followers.values()) follower.wake();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async close() {
      for (const follower of followers.values()) await follower.stop();
    },
  };
}

function startFollower(db: Db, journal: Readable, options: FollowOptions, onStop: () => void) {
  let position = 0;
  let stopped = false;
  let awake = true;
  let wakeUp: () => void = () => undefined;
  const wake = () => {
    awake = true;
    wakeUp();
  };
  const unsubscribe = journal.onCommit(wake);
  let busy: Promise<void> = Promise.resolve();

  /** Handles what there is; leaves the cursor behind the last fact that was handled. */
  async function catchUp(): Promise<void> {
    while (!stopped) {
      const head = await journal.head();
      const facts = await journal.read({ after: position, types: options.types, limit: PAGE });
      const start = position;
      for (const fact of facts) {
        if (!(await handleWithRetry(fact))) return;
        position = fact.number;
      }
      if (facts.length < PAGE) position = Math.max(position, head);
      if (facts.length > 0 && position > start) await writeCursor(db, options.name, position);
      if (facts.length < PAGE) return;
    }
  }

  let stuck: { fact: number; since: number } | undefined;

  async function handleWithRetry(fact: Fact): Promise<boolean> {
    for (let delayMs = RETRY_MS_FIRST; !stopped; delayMs = Math.min(delayMs * 2, RETRY_MS_MAX)) {
      try {
        await options.handle(fact);
        stuck = undefined;
        return true;
      } catch (error) {
        stuck ??= { fact: fact.number, since: Date.now() };
        options.onError?.(error, fact);
        if (!stopped) await pause(delayMs);
      }
    }
    return false;
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      if (stopped) {
        clearTimeout(timer);
        resolve();
      }
      releasePause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  let releasePause: () => void = () => undefined;

  const loop = (async () => {
    position = await readCursor(db, options.name);
    while (!stopped) {
      if (!awake) await new Promise<void>((resolve) => (wakeUp = resolve));
      awake = false;
      busy = catchUp();
      await busy;
    }
  })();

  return {
    name: options.name,
    position: () => position,
    wake,
    settled: () => busy,
    stuckOn: () => stuck,
    async stop() {
      stopped = true;
      unsubscribe();
      onStop();
      releasePause();
      wake();
      await loop;
    },
  };
}
