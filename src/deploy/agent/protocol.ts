import { z } from 'zod';
import { ArtifactName, PathSegment } from '#artifact';
import { DigestText } from '#base';

const Id = z.string().max(64);
const Text = z.string().max(2000);
export const HostPath = z.string().max(4096);
const MakeId = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[a-z2-7]{20}$`));

const CheckView = z.strictObject({
  name: z.string().max(200),
  status: z.enum(['passed', 'failed', 'not_checked']),
  code: z.string().max(100).optional(),
  expected: Text.optional(),
  found: Text.optional(),
  detail: Text.optional(),
  fix: z.string().max(1000).optional(),
});

/** One file an environment is to run, and the names of the bundles that say why it may. */
export const PlanItem = z.object({
  /** Number of the fact that chose it: a later choice of the same bytes is a new order. */
  order: z.int().min(1),
  promotion: Id,
  artifact: Id,
  digest: DigestText,
  size: z.int().min(0),
  name: ArtifactName,
  version: PathSegment,
  /** Becomes a name on the host: one segment, so that a server that lies cannot point it elsewhere. */
  file: PathSegment,
  provenance: DigestText,
  /** Identity the provenance claims; the agent holds it against its own list before it believes it. */
  provenanceSan: z.string().max(1000),
  summary: DigestText,
});
export type PlanItem = z.output<typeof PlanItem>;

export const Plan = z.object({
  target: Id,
  project: z.string(),
  environment: z.string(),
  items: z.array(PlanItem).max(1000),
});
export type Plan = z.output<typeof Plan>;

const Common = { report: MakeId('rpt'), seenAt: z.int().min(0), digest: DigestText };
const About = { promotion: Id, name: z.string().max(300), version: z.string().max(300) };
const Deployment = { deployment: MakeId('dep') };

/** What an agent says happened on its host. */
export const Report = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('verified'),
    ...Common,
    ...About,
    ...Deployment,
    artifact: Id,
    provenance: DigestText,
    summary: DigestText,
    path: HostPath,
    started: z.boolean(),
    checks: z.array(CheckView).max(200),
  }),
  z.strictObject({ kind: z.literal('refused'), ...Common, ...About, checks: z.array(CheckView).max(200) }),
  z.strictObject({
    kind: z.literal('drifted'),
    ...Common,
    ...Deployment,
    drift: z.enum(['file_altered', 'file_gone', 'process_altered', 'link_altered']),
    path: HostPath,
    expected: Text,
    found: Text,
  }),
  z.strictObject({
    kind: z.literal('stopped'),
    ...Common,
    ...Deployment,
    reason: z.enum(['exited', 'killed', 'gone', 'replaced', 'agent_stopped', 'drifted', 'start_failed']),
    detail: Text,
  }),
]);
export type Report = z.output<typeof Report>;
