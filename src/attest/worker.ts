import type { Attest } from './attest.ts';

export interface TrustKeeper {
  stop(): Promise<void>;
}

const EVERY_MS = 60 * 60_000;

/** Keeps what clients follow fresh: the TUF repository is signed anew when it is a day old or the trust has changed. */
export function startTrustKeeper({
  attest,
  onError,
}: {
  attest: Attest;
  onError: (error: unknown) => void;
}): TrustKeeper {
  const refresh = () => attest.tuf.refresh().catch(onError);
  let running = refresh();
  const timer = setInterval(() => {
    running = running.then(refresh);
  }, EVERY_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
