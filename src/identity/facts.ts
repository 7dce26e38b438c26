import { z } from 'zod';
import { Slug } from '#base';
import { defineFact } from '#journal';
import { Cidr } from './network.ts';
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
] as const;
