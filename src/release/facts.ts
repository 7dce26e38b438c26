import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';
import { PolicyDocument } from '#policy';

const Id = z.string().min(1).max(64);
const Name = z.string().min(1).max(300);
const Uri = z.string().max(1000);

const CheckRecord = z.strictObject({
  name: z.string().max(200),
  status: z.enum(['passed', 'failed', 'not_checked']),
  code: z.string().max(100).optional(),
  expected: z.string().max(4000).optional(),
  found: z.string().max(4000).optional(),
  detail: z.string().max(4000).optional(),
  fix: z.string().max(1000).optional(),
});
export type CheckRecord = z.output<typeof CheckRecord>;

export const environmentCreated = defineFact({
  type: 'release.environment_created',
  version: 1,
  schema: z.strictObject({
    environment: Id,
    project: Id,
    name: Name,
    /** From 1; an artifact passes environments in this order. */
    position: z.int().min(1),
    policy: PolicyDocument,
    policyDigest: DigestText,
  }),
});
export type EnvironmentCreated = z.output<typeof environmentCreated.schema>;

export const policyChanged = defineFact({
  type: 'release.policy_changed',
  version: 1,
  schema: z.strictObject({
    environment: Id,
    project: Id,
    policy: PolicyDocument,
    policyDigest: DigestText,
    policyVersion: z.int().min(2),
    previousDigest: DigestText,
  }),
});
export type PolicyChanged = z.output<typeof policyChanged.schema>;

const About = {
  promotion: Id,
  project: Id,
  environment: Id,
  environmentName: Name,
  artifact: Id,
  digest: DigestText,
  name: Name,
  version: Name,
};

export const promotionRequested = defineFact({
  type: 'release.promotion_requested',
  version: 1,
  schema: z.strictObject({ ...About, comment: z.string().max(1000) }),
});
export type PromotionRequested = z.output<typeof promotionRequested.schema>;

export const promotionApproved = defineFact({
  type: 'release.promotion_approved',
  version: 1,
  schema: z.strictObject({
    promotion: Id,
    digest: DigestText,
    approverKind: z.literal('person'),
    comment: z.string().max(1000),
  }),
});
export type PromotionApproved = z.output<typeof promotionApproved.schema>;

const Decided = {
  ...About,
  requester: Id,
  approvers: z.array(Id).max(100),
  /** Digest of the bundle with the verification summary. */
  summary: DigestText,
  resourceUri: Uri,
  policyDigest: DigestText,
  checks: z.array(CheckRecord).max(300),
};

export const promoted = defineFact({
  type: 'release.promoted',
  version: 1,
  schema: z.strictObject(Decided),
});
export type Promoted = z.output<typeof promoted.schema>;

export const promotionRefused = defineFact({
  type: 'release.promotion_refused',
  version: 1,
  schema: z.strictObject(Decided),
});

/** Somebody asked for what can never be: nothing was decided, because there is nothing to decide about. */
export const requestRefused = defineFact({
  type: 'release.request_refused',
  version: 1,
  schema: z.strictObject({
    project: Id,
    environment: Id,
    environmentName: Name,
    /** As asked for. */
    artifact: Name,
    digest: DigestText.nullable(),
    code: z.string().max(100),
  }),
});
