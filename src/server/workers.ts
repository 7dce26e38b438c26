import { startPublisher } from '#artifact';
import { startCertificateMonitor } from '#attest';
import { passed, verdictOf } from '#base';
import { startBuildWorkers } from '#build';
import type { Fact, Follower } from '#journal';
import { startDecider, startSeeder } from '#release';
import type { Controls, Platform } from './platform.ts';

/** Starts what reads facts and does the next thing, in the order of the data. */
export function startWorkers(
  platform: Platform,
  {
    controls,
    version,
    onError,
  }: { controls: Controls; version: string; onError: (error: unknown, fact: Fact) => void },
): Follower[] {
  const common = { ...platform, publicUrl: platform.instance.publicUrl, onError };
  return [
    startCertificateMonitor(common),
    startSeeder(common),
    ...Object.values(startBuildWorkers({ ...common, version })),
    startPublisher({ ...common, ...(controls.publisher ? { controls: controls.publisher } : {}) }),
    startDecider({
      ...common,
      version,
      controls: { policy: controls.promotion?.policy !== false },
      ...(controls.promotion?.askLedger === false ? { ledger: credulous } : {}),
    }),
  ];
}

/** Stands in for the ledger where a drill shows what asking it is for. */
const credulous = { verifyFact: async () => verdictOf([passed('not asked')]) };
