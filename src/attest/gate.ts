/** Lets work through side by side, and holds it up while a change that must not happen in its midst is made. */
export interface Gate {
  /** Runs when no change is being made. */
  pass<R>(work: () => Promise<R>): Promise<R>;
  /** Waits until nothing is running any more, then makes the change; one at a time. */
  change<R>(work: () => Promise<R>): Promise<R>;
}

export function createGate(): Gate {
  const running = new Set<Promise<unknown>>();
  let changing: Promise<unknown> = Promise.resolve();
  return {
    async pass(work) {
      for (let seen; seen !== changing;) await (seen = changing);
      const done = work();
      const settled = done.catch(() => undefined).finally(() => running.delete(settled));
      running.add(settled);
      return await done;
    },
    async change(work) {
      const made = changing.then(async () => {
        await Promise.all(running);
        return await work();
      });
      changing = made.catch(() => undefined);
      return await made;
    },
  };
}
