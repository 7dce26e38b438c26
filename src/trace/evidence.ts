import type { Published } from '#artifact';
import type { JobFinished, JobStarted, ProvenanceSigned, RunFinished, RunQueued } from '#build';
import type { Check, Digest, Verdict } from '#base';
import type { Drifted, Stopped, Verified } from '#deploy';
import type { Fact } from '#journal';
import type { Promoted } from '#release';
import type { PushAccepted } from '#source';

/** A fact together with what the ledger says of it. */
export interface Proven<P = unknown> {
  fact: Fact<P>;
  ledger: Verdict;
}

/** An object as it lies in the store now. */
export interface ObjectState {
  digest: Digest;
  /** What its bytes hash to; null if there are none. */
  found: string | null;
}

export interface BundleState extends ObjectState {
  /** Null when they are gone or not what they were. */
  bytes: Uint8Array | null;
}

export interface FileEvidence {
  path: string;
  /** Measured by whoever asks; null if only the path was given. */
  digest: Digest | null;
}

export interface DeploymentEvidence {
  verified: Proven<Verified>;
  later: readonly Proven<Drifted | Stopped>[];
  target: Proven<{ target: string; environmentName: string; agent: string; name: string }> | null;
  rows: readonly Check[];
}

export interface PromotionEvidence {
  requested: Proven<{ promotion: string; digest: string; artifact: string }> | null;
  approvals: readonly Proven<{ promotion: string; digest: string }>[];
  decided: Proven<Promoted>;
  summary: BundleState;
  /** Every fact of the promotion there is. */
  stream: readonly Fact[];
  rows: readonly Check[];
}

export interface RunEvidence {
  queued: Proven<RunQueued> | null;
  started: readonly Proven<JobStarted>[];
  finishedJobs: readonly Proven<JobFinished>[];
  finished: Proven<RunFinished> | null;
  /** Every fact of the run there is. */
  stream: readonly Fact[];
  rows: readonly Check[];
}

export interface CommitEvidence {
  enrolled: Proven<{ fingerprint: string; principal: string; publicKey: string }> | null;
  revoked: Proven | null;
  person: Proven<{ principal: string; name: string }> | null;
  rows: readonly Check[];
  /** Is the commit in the repository? */
  repository: Check;
}

/**
 * Everything a trace is judged from, newest first. What was looked for and not found is null: a hop without its fact is broken,
 * never skipped.
 */
export interface ChainEvidence {
  digest: Digest;
  tracedAt: number;
  publicUrl: string;
  trustedRoot: unknown;
  file: FileEvidence | null;
  deployment: DeploymentEvidence | null;
  promotions: readonly PromotionEvidence[];
  publication: Proven<Published> | null;
  publicationRows: readonly Check[];
  /** Uploads of the same bytes to a playground: named when there is nothing else. */
  uploads: readonly Proven[];
  object: ObjectState;
  signed: Proven<ProvenanceSigned> | null;
  provenance: BundleState | null;
  run: RunEvidence | null;
  /** The push that set the ref the run was of. */
  push: Proven<PushAccepted> | null;
  pushRows: readonly Check[];
  /** The push that brought the commit; often the same one. */
  origin: Proven<PushAccepted> | null;
  commit: CommitEvidence | null;
}
