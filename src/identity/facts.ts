import { z } from 'zod';
import { DigestText, Slug } from '#base';
import { defineFact } from '#journal';
import { Cidr } from './network.ts';
import { Condition, ClaimName, issuerKinds } from './oidc/rule.ts';
import { permissions, roleNames } from './role.ts';

const id = z.string().max(60);
const networks = z.array(Cidr).max(32);
export const Email = z
  .string()
  .max(254)
  .regex(/^[^\s@<>]+@[^\s@<>]+$/, 'write an e-mail address');
export const DisplayName = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[^\p{C}]+$/u, 'use printable characters');

export const principalCreated = defineFact({
  type: 'identity.principal_created',
  version: 1,
  schema: z.strictObject({
    principal: id,
    kind: z.enum(['person', 'machine']),
    name: DisplayName,
    emails: z.array(Email).max(10),
  }),
});

export const projectCreated = defineFact({
  type: 'identity.project_created',
  version: 1,
  schema: z.strictObject({ project: id, slug: Slug }),
});

export const groupCreated = defineFact({
  type: 'identity.group_created',
  version: 1,
  schema: z.strictObject({ group: id, name: Slug }),
});

export const memberAdded = defineFact({
  type: 'identity.member_added',
  version: 1,
  schema: z.strictObject({ group: id, principal: id }),
});

export const memberRemoved = defineFact({
  type: 'identity.member_removed',
  version: 1,
  schema: z.strictObject({ group: id, principal: id }),
});

export const grantGiven = defineFact({
  type: 'identity.grant_given',
  version: 1,
  schema: z.strictObject({
    grant: id,
    subject: z.strictObject({ kind: z.enum(['principal', 'group']), id }),
    role: z.enum(roleNames),
    scope: z.enum(['instance', 'project']),
    project: id.nullable(),
    networks,
    expiresAt: z.number().int().nullable(),
    reason: z.string().max(500),
  }),
});

export const grantRevoked = defineFact({
  type: 'identity.grant_revoked',
  version: 1,
  schema: z.strictObject({ grant: id }),
});

export const tokenIssued = defineFact({
  type: 'identity.token_issued',
  version: 1,
  schema: z.strictObject({
    token: id,
    principal: id,
    purpose: z.enum(['access', 'machine', 'enrolment', 'session']),
    /** HMAC under the server's pepper, not the token. */
    hash: z.string().length(64),
    label: z.string().max(100),
    expiresAt: z.number().int(),
    networks,
    limits: z.strictObject({
      project: id.nullable(),
      permissions: z.array(z.enum(permissions)).nullable(),
    }),
  }),
});

export const enrolmentRedeemed = defineFact({
  type: 'identity.enrolment_redeemed',
  version: 1,
  schema: z.strictObject({ token: id, principal: id }),
});

export const tokenRevoked = defineFact({
  type: 'identity.token_revoked',
  version: 1,
  schema: z.strictObject({ token: id, reason: z.string().max(500) }),
});

export const keyEnrolled = defineFact({
  type: 'identity.key_enrolled',
  version: 1,
  schema: z.strictObject({
    fingerprint: z.string().max(60),
    principal: id,
    keyType: z.string().max(60),
    publicKey: z.string().max(4096),
    label: z.string().max(100),
  }),
});

export const keyRevoked = defineFact({
  type: 'identity.key_revoked',
  version: 1,
  schema: z.strictObject({ fingerprint: z.string().max(60), reason: z.string().max(500) }),
});

const IssuerUrl = z.string().max(500);
const Pem = z.string().max(20_000);

/** Where the keys of an outside issuer come from. */
export const IssuerKeys = z.discriminatedUnion('from', [
  /** JSON Web Keys, for an issuer that cannot be reached from here. */
  z.strictObject({ from: z.literal('inline'), keys: z.array(z.record(z.string(), z.json())).min(1).max(64) }),
  z.strictObject({ from: z.literal('address'), url: z.url({ protocol: /^https$/ }).max(500), ca: Pem.nullable() }),
  z.strictObject({ from: z.literal('discovery'), ca: Pem.nullable() }),
]);
export type IssuerKeys = z.infer<typeof IssuerKeys>;

export const issuerTrusted = defineFact({
  type: 'identity.issuer_trusted',
  version: 1,
  schema: z.strictObject({
    issuer: IssuerUrl,
    kind: z.enum(issuerKinds),
    keys: IssuerKeys,
    /** Tokens older than this are refused, whatever end they name. */
    maxAgeSeconds: z.int().min(60).max(3600),
  }),
});

export const issuerDropped = defineFact({
  type: 'identity.issuer_dropped',
  version: 1,
  schema: z.strictObject({ issuer: IssuerUrl }),
});

/** A rule as a whole: the next generation replaces it, nothing is merged. */
export const ruleSet = defineFact({
  type: 'identity.rule_set',
  version: 1,
  schema: z.strictObject({
    name: Slug,
    issuer: IssuerUrl,
    audience: z.string().max(500),
    when: z.record(ClaimName, Condition),
    generation: z.int().min(1),
  }),
});

export const ruleDropped = defineFact({
  type: 'identity.rule_dropped',
  version: 1,
  schema: z.strictObject({ name: Slug }),
});

/** A person got a token that says who they are; on record before it left. */
export const personTokenIssued = defineFact({
  type: 'identity.person_token_issued',
  version: 1,
  schema: z.strictObject({
    jti: id,
    audience: z.string().max(200),
    /** The credential it was asked for with. */
    credential: id,
    expiresAt: z.int(),
  }),
});

export const jobTokenIssued = defineFact({
  type: 'identity.job_token_issued',
  version: 1,
  schema: z.strictObject({
    jti: id,
    audience: z.string().min(1).max(200),
    job: id,
    subject: z.string().max(1024),
    /** Digest of the claims about the job. */
    claims: DigestText,
    expiresAt: z.int(),
  }),
});

export const all = [
  principalCreated,
  projectCreated,
  groupCreated,
  memberAdded,
  memberRemoved,
  grantGiven,
  grantRevoked,
  tokenIssued,
  enrolmentRedeemed,
  tokenRevoked,
  keyEnrolled,
  keyRevoked,
  issuerTrusted,
  issuerDropped,
  ruleSet,
  ruleDropped,
  personTokenIssued,
  jobTokenIssued,
] as const;
