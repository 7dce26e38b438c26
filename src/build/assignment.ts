/** What a runner is handed, and what it hands back: the schemas both sides check. */
import { z } from 'zod';
import { DigestText } from '#base';
import { JobResult, Output, SandboxRecord, StepRecord } from './facts.ts';
import { JobPlan } from './plan.ts';

export const ClaimRequest = z.strictObject({
  sandbox: SandboxRecord,
  /** How long to wait for work, seconds. */
  waitSeconds: z.int().min(0).max(25).default(20),
});
export type ClaimRequest = z.output<typeof ClaimRequest>;

export const Assignment = z.strictObject({
  run: z.string(),
  job: z.string(),
  attempt: z.int(),
  /** Good for this attempt only; ends with it. */
  token: z.string(),
  leaseSeconds: z.int(),
  commit: z.string(),
  repository: z.string(),
  plan: JobPlan,
  github: z.record(z.string(), z.unknown()),
  needs: z.record(z.string(), z.unknown()),
});
export type Assignment = z.output<typeof Assignment>;

export const Completion = z.strictObject({
  result: JobResult.exclude(['skipped']),
  reason: z.string().max(500),
  steps: z.array(StepRecord).max(300),
  log: z.strictObject({ size: z.int().min(0), digest: DigestText }),
  /** Names and digests of what was uploaded; the control plane compares them with what it hashed itself. */
  outputs: z.array(z.strictObject({ name: Output.shape.name, digest: DigestText })).max(200),
  values: z.record(z.string().max(100), z.string().max(10_000)),
});
export type Completion = z.output<typeof Completion>;

export const leaseTimes = { leaseMs: 15_000, heartbeatMs: 3_000, attemptsMax: 3, graceMs: 10 * 60_000 } as const;
