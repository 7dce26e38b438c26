import type { Attest } from './attest.ts';
import { findUnusedCertificates, type MonitorOptions } from './monitor.ts';

export interface TrustKeeper {
  stop(): Promise<void>;
}

const EVERY_MS = 60 * 60_000;

/**
 * Once an hour: the TUF repository is signed anew when it is a day old or the trust has changed, and certificates of the control
 * plane that signed nothing are put on record.
 */
export function startTrustKeeper({
  onError,
  ...options
}: Omit<MonitorOptions, 'onError' | 'attest'> & { attest: Attest; onError: (error: unknown) => void }): TrustKeeper {
  const refresh = async () => {
    await options.attest.tuf.refresh().catch(onError);
    await findUnusedCertificates(options).catch(onError);
  };
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
