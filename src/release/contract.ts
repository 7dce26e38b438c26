import { z } from 'zod';
import { CheckView, defineEndpoint, DigestText, PageQuery, Slug } from '#base';
import { PolicyDocument } from '#policy';

const Time = z.iso.datetime();
const Id = z.string().max(64);
const Status = z.enum(['waiting', 'promoted', 'refused']);

export const EnvironmentView = z.object({
  id: z.string(),
  name: z.string(),
  position: z.int(),
  policy: PolicyDocument,
  policyDigest: DigestText,
  policyVersion: z.int(),
  createdAt: Time,
});

export const PromotionView = z.object({
  id: z.string(),
  environment: z.string(),
  artifact: z.string(),
  digest: DigestText,
  name: z.string(),
  version: z.string(),
  requester: z.string(),
  comment: z.string(),
  status: Status,
  requestedAt: Time,
  decidedAt: Time.nullable(),
  /** The bundle with the signed verification summary. */
  summary: DigestText.nullable(),
  resourceUri: z.string().nullable(),
  policyDigest: DigestText.nullable(),
  checks: z.array(CheckView),
  approvals: z.array(z.object({ principal: z.string(), comment: z.string(), approvedAt: Time })),
  fact: z.int(),
  decidedFact: z.int().nullable(),
});

export const listEnvironments = defineEndpoint({
  name: 'environment.list',
  method: 'GET',
  path: '/api/v1/projects/:project/environments',
  summary: 'List the environments of a project in the order artifacts pass them.',
  auth: 'required',
  permission: 'project:read',
  params: z.object({ project: Slug }),
  response: z.object({ items: z.array(EnvironmentView), next: z.null() }),
});

export const showEnvironment = defineEndpoint({
  name: 'environment.show',
  method: 'GET',
  path: '/api/v1/projects/:project/environments/:environment',
  summary: 'Show an environment, its policy and what it is to run.',
  auth: 'required',
  permission: 'project:read',
  params: z.object({ project: Slug, environment: Slug }),
  response: EnvironmentView.extend({ desired: z.array(PromotionView) }),
});

export const setPolicy = defineEndpoint({
  name: 'environment.set-policy',
  method: 'PUT',
  path: '/api/v1/projects/:project/environments/:environment/policy',
  summary: 'Replace the policy of an environment.',
  auth: 'required',
  permission: 'environment:admin',
  params: z.object({ project: Slug, environment: Slug }),
  body: PolicyDocument,
  response: EnvironmentView,
});

export const requestPromotion = defineEndpoint({
  name: 'promotion.request',
  method: 'POST',
  path: '/api/v1/projects/:project/promotions',
  summary: 'Ask for an artifact to be let into an environment. Decided as soon as the evidence is complete.',
  auth: 'required',
  permission: 'release:request',
  params: z.object({ project: Slug }),
  body: z.strictObject({
    /** A digest, or name@version. */
    artifact: z.string().max(500),
    to: Slug,
    comment: z.string().max(1000).optional(),
  }),
  response: PromotionView,
  status: 201,
});

export const listPromotions = defineEndpoint({
  name: 'promotion.list',
  method: 'GET',
  path: '/api/v1/projects/:project/promotions',
  summary: 'List promotions, newest first.',
  auth: 'required',
  permission: 'project:read',
  params: z.object({ project: Slug }),
  query: PageQuery.extend({
    environment: Slug.optional(),
    digest: DigestText.optional(),
    status: Status.optional(),
  }),
  response: z.object({ items: z.array(PromotionView), next: z.string().nullable() }),
});

export const showPromotion = defineEndpoint({
  name: 'promotion.show',
  method: 'GET',
  path: '/api/v1/promotions/:promotion',
  summary: 'Show a promotion with every check of its decision.',
  auth: 'required',
  permission: 'project:read',
  params: z.object({ promotion: Id }),
  response: PromotionView,
});

export const approvePromotion = defineEndpoint({
  name: 'promotion.approve',
  method: 'POST',
  path: '/api/v1/promotions/:promotion/approvals',
  summary: 'Approve a promotion that somebody else requested.',
  auth: 'required',
  permission: 'release:approve',
  params: z.object({ promotion: Id }),
  body: z.strictObject({ comment: z.string().max(1000).optional() }),
  response: PromotionView,
  status: 201,
});
