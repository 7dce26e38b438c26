import { z } from 'zod';
import { defineEndpoint, Slug } from '#base';
import { DisplayName, Email, IssuerKeys } from './facts.ts';
import { Cidr } from './network.ts';
import { issuerKinds, TrustRule } from './oidc/rule.ts';
import { roleNames } from './role.ts';

const Time = z.iso.datetime();
const Id = z.string().max(60);
export const ProjectView = z.object({ id: Id, slug: z.string(), createdAt: Time });
export const PrincipalView = z.object({
  id: Id,
  kind: z.enum(['person', 'machine']),
  name: z.string(),
  emails: z.array(z.string()),
  active: z.boolean(),
  createdAt: Time,
});
export const GrantBody = z.strictObject({
  role: z.enum(roleNames),
  project: Slug.optional(),
  networks: z.array(Cidr).max(32).optional(),
  expiresAt: Time.optional(),
  reason: z.string().max(500).optional(),
});
const KeyView = z.object({
  fingerprint: z.string(),
  keyType: z.string(),
  publicKey: z.string(),
  label: z.string(),
  enrolledAt: Time,
  revokedAt: Time.nullable(),
});
const Issued = z.object({ id: Id, token: z.string(), expiresAt: Time });
const Done = z.object({ done: z.literal(true) });

export const whoami = defineEndpoint({
  name: 'identity.whoami',
  method: 'GET',
  path: '/api/v1/whoami',
  summary: 'Say who the credential belongs to.',
  auth: 'required',
  response: z.object({
    principal: z.string(),
    kind: z.string(),
    name: z.string(),
    credential: z.object({ type: z.string(), id: z.string() }),
  }),
});

export const redeemEnrolment = defineEndpoint({
  name: 'identity.enrol',
  method: 'POST',
  path: '/api/v1/enrolments/redeem',
  summary: 'Use a one-time enrolment token; answers with a short-lived access token.',
  auth: 'public',
  body: z.strictObject({ enrolment: z.string().max(64) }),
  response: Issued,
  status: 201,
});

export const createProject = defineEndpoint({
  name: 'project.create',
  method: 'POST',
  path: '/api/v1/projects',
  summary: 'Create a project with its release and playground repositories and its environments.',
  auth: 'required',
  permission: 'project:create',
  body: z.strictObject({ slug: Slug }),
  response: ProjectView,
  status: 201,
});

export const listProjects = defineEndpoint({
  name: 'project.list',
  method: 'GET',
  path: '/api/v1/projects',
  summary: 'List the projects you may read.',
  auth: 'required',
  permission: 'project:read',
  response: z.object({ items: z.array(ProjectView), next: z.string().nullable() }),
});

export const showProject = defineEndpoint({
  name: 'project.show',
  method: 'GET',
  path: '/api/v1/projects/:project',
  summary: 'Show a project.',
  auth: 'required',
  permission: 'project:read',
  params: z.object({ project: Slug }),
  response: ProjectView,
});

export const listPeople = defineEndpoint({
  name: 'person.list',
  method: 'GET',
  path: '/api/v1/principals',
  summary: 'List people and machines.',
  auth: 'required',
  permission: 'identity:admin',
  response: z.object({ items: z.array(PrincipalView), next: z.string().nullable() }),
});

export const invitePerson = defineEndpoint({
  name: 'person.invite',
  method: 'POST',
  path: '/api/v1/people',
  summary: 'Add a person and make a one-use enrolment link for them.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({ name: DisplayName, emails: z.array(Email).max(10), grants: z.array(GrantBody).max(20) }),
  response: z.object({ principal: PrincipalView, enrolment: z.string(), link: z.string(), expiresAt: Time }),
  status: 201,
});

export const inviteAgain = defineEndpoint({
  name: 'person.invite-again',
  method: 'POST',
  path: '/api/v1/people/:person/enrolments',
  summary: 'Make a new enrolment link for a person; open ones end.',
  auth: 'required',
  permission: 'identity:admin',
  params: z.object({ person: z.string().max(100) }),
  response: z.object({ enrolment: z.string(), link: z.string(), expiresAt: Time }),
  status: 201,
});

export const createMachine = defineEndpoint({
  name: 'machine.create',
  method: 'POST',
  path: '/api/v1/machines',
  summary: 'Add a runner or an agent; answers with its credential, once.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({
    name: DisplayName,
    grants: z.array(GrantBody).min(1).max(20),
    networks: z.array(Cidr).max(32).optional(),
  }),
  response: z.object({ principal: PrincipalView, token: z.string(), expiresAt: Time }),
  status: 201,
});

export const giveGrant = defineEndpoint({
  name: 'access.grant',
  method: 'POST',
  path: '/api/v1/grants',
  summary: 'Give a role to a person, machine or group.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({
    principal: z.string().max(100).optional(),
    group: Slug.optional(),
    grant: GrantBody,
  }),
  response: z.object({ grant: Id }),
  status: 201,
});

export const revokeGrant = defineEndpoint({
  name: 'access.revoke',
  method: 'DELETE',
  path: '/api/v1/grants/:grant',
  summary: 'Take a grant back.',
  auth: 'required',
  permission: 'identity:admin',
  params: z.object({ grant: Id }),
  response: Done,
});

export const explainAccess = defineEndpoint({
  name: 'access.explain',
  method: 'GET',
  path: '/api/v1/access',
  summary: 'Ask the engine about yourself: would this be allowed, and why?',
  auth: 'required',
  query: z.object({ permission: z.string().max(60), project: Slug.optional() }),
  response: z.object({ allowed: z.boolean(), permission: z.string(), reasons: z.array(z.string()) }),
});

export const createGroup = defineEndpoint({
  name: 'group.create',
  method: 'POST',
  path: '/api/v1/groups',
  summary: 'Create a group.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({ name: Slug }),
  response: z.object({ group: Id }),
  status: 201,
});

export const addMember = defineEndpoint({
  name: 'group.add',
  method: 'POST',
  path: '/api/v1/groups/:group/members',
  summary: 'Add somebody to a group.',
  auth: 'required',
  permission: 'identity:admin',
  params: z.object({ group: Slug }),
  body: z.strictObject({ principal: z.string().max(100) }),
  response: Done,
});

export const enrolKey = defineEndpoint({
  name: 'key.enrol',
  method: 'POST',
  path: '/api/v1/keys',
  summary: 'Enrol your own SSH key for signing commits.',
  auth: 'required',
  body: z.strictObject({ publicKey: z.string().max(4096), label: z.string().max(100).default('') }),
  response: KeyView,
  status: 201,
});

export const listKeys = defineEndpoint({
  name: 'key.list',
  method: 'GET',
  path: '/api/v1/keys',
  summary: 'List your signing keys.',
  auth: 'required',
  response: z.object({ items: z.array(KeyView), next: z.string().nullable() }),
});

export const revokeKey = defineEndpoint({
  name: 'key.revoke',
  method: 'POST',
  path: '/api/v1/keys/revoke',
  summary: 'Revoke a signing key: commits it signs from now on are refused.',
  auth: 'required',
  body: z.strictObject({ fingerprint: z.string().max(60), reason: z.string().max(500).default('') }),
  response: Done,
});

export const createToken = defineEndpoint({
  name: 'token.create',
  method: 'POST',
  path: '/api/v1/tokens',
  summary: 'Make a token for yourself, at most as wide as the one you use.',
  auth: 'required',
  body: z.strictObject({
    label: z.string().min(1).max(100),
    ttlSeconds: z
      .number()
      .int()
      .min(60)
      .max(90 * 86_400)
      .optional(),
    project: Slug.optional(),
    permissions: z.array(z.string().max(60)).max(30).optional(),
    networks: z.array(Cidr).max(32).optional(),
  }),
  response: Issued,
  status: 201,
});

export const listTokens = defineEndpoint({
  name: 'token.list',
  method: 'GET',
  path: '/api/v1/tokens',
  summary: 'List your live tokens and when they were last used.',
  auth: 'required',
  response: z.object({
    items: z.array(
      z.object({
        id: Id,
        purpose: z.string(),
        label: z.string(),
        createdAt: Time,
        expiresAt: Time,
        lastUsedAt: Time.nullable(),
        lastAddress: z.string().nullable(),
      }),
    ),
    next: z.string().nullable(),
  }),
});

export const revokeToken = defineEndpoint({
  name: 'token.revoke',
  method: 'DELETE',
  path: '/api/v1/tokens/:token',
  summary: 'End a token at once.',
  auth: 'required',
  params: z.object({ token: Id }),
  response: Done,
});

const TrustedIssuerView = z.object({
  issuer: z.string(),
  kind: z.enum(issuerKinds),
  keys: IssuerKeys,
  maxAgeSeconds: z.int(),
});

export const issueIdentityToken = defineEndpoint({
  name: 'identity.token',
  method: 'POST',
  path: '/api/v1/identity-tokens',
  summary: 'A short-lived OpenID token that says who you are, to ask for a signing certificate with.',
  auth: 'required',
  response: z.object({ token: z.string(), expiresAt: Time }),
  status: 201,
});

export const trustIssuer = defineEndpoint({
  name: 'trust.issuer.add',
  method: 'POST',
  path: '/api/v1/trust/issuers',
  summary: 'Trust an outside OpenID issuer. Which of its tokens are believed, rules say.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({
    issuer: z.url().max(500),
    kind: z.enum(issuerKinds),
    keys: IssuerKeys,
    maxAgeSeconds: z.int().min(60).max(3600).optional(),
  }),
  response: Done,
});

export const listIssuers = defineEndpoint({
  name: 'trust.issuer.list',
  method: 'GET',
  path: '/api/v1/trust/issuers',
  summary: 'List the outside issuers that are trusted.',
  auth: 'required',
  permission: 'identity:admin',
  response: z.object({ items: z.array(TrustedIssuerView), next: z.string().nullable() }),
});

export const dropIssuer = defineEndpoint({
  name: 'trust.issuer.drop',
  method: 'POST',
  path: '/api/v1/trust/issuers/drop',
  summary: 'Stop trusting an issuer. What was signed on its word stays as it is.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({ issuer: z.string().max(500) }),
  response: Done,
});

export const setRule = defineEndpoint({
  name: 'trust.rule.set',
  method: 'PUT',
  path: '/api/v1/trust/rules/:name',
  summary: 'Write a trust rule. It replaces the one of that name as a whole; unsafe rules are refused.',
  auth: 'required',
  permission: 'identity:admin',
  params: z.object({ name: Slug }),
  body: TrustRule.omit({ name: true }),
  response: z.object({ name: z.string(), generation: z.int() }),
});

export const listRules = defineEndpoint({
  name: 'trust.rule.list',
  method: 'GET',
  path: '/api/v1/trust/rules',
  summary: 'List the trust rules.',
  auth: 'required',
  permission: 'identity:admin',
  response: z.object({
    items: z.array(TrustRule.extend({ generation: z.int() })),
    next: z.string().nullable(),
  }),
});

export const dropRule = defineEndpoint({
  name: 'trust.rule.drop',
  method: 'DELETE',
  path: '/api/v1/trust/rules/:name',
  summary: 'Remove a trust rule.',
  auth: 'required',
  permission: 'identity:admin',
  params: z.object({ name: Slug }),
  response: Done,
});

export const explainToken = defineEndpoint({
  name: 'trust.rule.check',
  method: 'POST',
  path: '/api/v1/trust/rules/check',
  summary: 'Say which rule and which condition a token passes or fails. Nothing is recorded or used up.',
  auth: 'required',
  permission: 'identity:admin',
  body: z.strictObject({ token: z.string().max(17_000) }),
  response: z.object({
    ok: z.boolean(),
    checks: z.array(
      z.object({
        name: z.string(),
        status: z.enum(['passed', 'failed', 'not_checked']),
        code: z.string().optional(),
        expected: z.string().optional(),
        found: z.string().optional(),
        detail: z.string().optional(),
        fix: z.string().optional(),
      }),
    ),
  }),
});
