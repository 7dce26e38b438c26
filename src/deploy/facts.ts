import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';

const Id = z.string().min(1).max(64);
const Name = z.string().min(1).max(300);
const Text = z.string().max(2000);
/** A path on the host of an agent. */
const HostPath = z.string().max(4096);

const CheckRecord = z.strictObject({
  name: z.string().max(200),
  status: z.enum(['passed', 'failed', 'not_checked']),
  code: z.string().max(100).optional(),
  expected: Text.optional(),
  found: Text.optional(),
  detail: Text.optional(),
  fix: z.string().max(1000).optional(),
});

/** An agent is to serve an environment. */
export const targetCreated = defineFact({
  type: 'deploy.target_created',
  version: 1,
  schema: z.strictObject({
    target: Id,
    project: Id,
    environment: Id,
    environmentName: Name,
    name: Name,
    /** Principal of the agent; nobody else reports for this target. */
    agent: Id,
  }),
});
export type TargetCreated = z.output<typeof targetCreated.schema>;

const Deployable = {
  project: Id,
  environment: Id,
  promotion: Id,
  artifact: Id,
  digest: DigestText,
  name: Name,
  version: Name,
};

/** Somebody chose which of the promoted artifacts of a name is to run. */
export const requested = defineFact({
  type: 'deploy.requested',
  version: 1,
  schema: z.strictObject({ ...Deployable, environmentName: Name }),
});
export type Requested = z.output<typeof requested.schema>;

const Reported = {
  /** Made by the agent; the same report again is the same report. */
  report: Id,
  target: Id,
  project: Id,
  environment: Id,
  /** When the agent saw it, by its own clock. */
  seenAt: z.int().min(0),
};

/** The agent verified bytes and bundles against its own trust root, and placed the file. */
export const verified = defineFact({
  type: 'deploy.verified',
  version: 1,
  schema: z.strictObject({
    ...Reported,
    deployment: Id,
    promotion: Id,
    artifact: Id,
    digest: DigestText,
    name: Name,
    version: Name,
    provenance: DigestText,
    summary: DigestText,
    path: HostPath,
    started: z.boolean(),
    checks: z.array(CheckRecord).max(200),
  }),
});
export type Verified = z.output<typeof verified.schema>;

/** The agent did not let it in. */
export const refused = defineFact({
  type: 'deploy.refused',
  version: 1,
  schema: z.strictObject({
    ...Reported,
    promotion: Id,
    digest: DigestText,
    name: Name,
    version: Name,
    checks: z.array(CheckRecord).max(200),
  }),
});

/** What runs is no longer what was verified. */
export const drifted = defineFact({
  type: 'deploy.drifted',
  version: 1,
  schema: z.strictObject({
    ...Reported,
    deployment: Id,
    digest: DigestText,
    kind: z.enum(['file_altered', 'file_gone', 'process_altered', 'link_altered']),
    path: HostPath,
    expected: Text,
    found: Text,
  }),
});
export type Drifted = z.output<typeof drifted.schema>;

export const stopped = defineFact({
  type: 'deploy.stopped',
  version: 1,
  schema: z.strictObject({
    ...Reported,
    deployment: Id,
    digest: DigestText,
    reason: z.enum(['exited', 'killed', 'gone', 'replaced', 'agent_stopped', 'drifted', 'start_failed']),
    detail: Text,
  }),
});
export type Stopped = z.output<typeof stopped.schema>;
