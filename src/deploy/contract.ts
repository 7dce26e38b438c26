import { z } from 'zod';
import { defineEndpoint, DigestText, PageQuery, Slug } from '#base';
import { HostPath, Plan, PlanItem, Report } from './agent/protocol.ts';

const Time = z.iso.datetime();
const Id = z.string().max(64);
const Status = z.enum(['running', 'placed', 'drifted', 'stopped']);

export const TargetView = z.object({
  id: z.string(),
  environment: z.string(),
  name: z.string(),
  agent: z.string(),
  createdAt: Time,
  seenAt: Time.nullable(),
});

export const DeploymentView = z.object({
  id: z.string(),
  target: z.string(),
  digest: DigestText,
  name: z.string(),
  version: z.string(),
  artifact: z.string(),
  promotion: z.string(),
  path: z.string(),
  status: Status,
  verifiedAt: Time,
  drift: z.object({ kind: z.string(), path: z.string(), expected: z.string(), found: z.string() }).nullable(),
  driftedAt: Time.nullable(),
  stopReason: z.string().nullable(),
  stoppedAt: Time.nullable(),
  fact: z.int(),
});

export const createTarget = defineEndpoint({
  name: 'target.create',
  method: 'POST',
  path: '/api/v1/projects/:project/environments/:environment/targets',
  summary: 'Let an agent serve an environment.',
  auth: 'required',
  permission: 'environment:admin',
  params: z.object({ project: Slug, environment: Slug }),
  /** `agent`: name or id of the machine. */
  body: z.strictObject({ name: Slug, agent: z.string().max(100) }),
  response: TargetView,
  status: 201,
});

export const listTargets = defineEndpoint({
  name: 'target.list',
  method: 'GET',
  path: '/api/v1/projects/:project/environments/:environment/targets',
  summary: 'List the targets of an environment and when their agents were last heard of.',
  auth: 'required',
  permission: 'deploy:read',
  params: z.object({ project: Slug, environment: Slug }),
  response: z.object({ items: z.array(TargetView), next: z.null() }),
});

export const requestDeploy = defineEndpoint({
  name: 'deployment.request',
  method: 'POST',
  path: '/api/v1/projects/:project/environments/:environment/deployments',
  summary: 'Choose which promoted version of an artifact an environment is to run.',
  auth: 'required',
  permission: 'deploy:request',
  params: z.object({ project: Slug, environment: Slug }),
  /** A digest, or name@version. */
  body: z.strictObject({ artifact: z.string().max(500) }),
  response: PlanItem,
  status: 201,
});

export const listDeployments = defineEndpoint({
  name: 'deployment.list',
  method: 'GET',
  path: '/api/v1/projects/:project/deployments',
  summary: 'List what agents report: running, drifted, stopped.',
  auth: 'required',
  permission: 'deploy:read',
  params: z.object({ project: Slug }),
  query: PageQuery.extend({
    environment: Slug.optional(),
    digest: DigestText.optional(),
    path: HostPath.optional(),
    status: Status.optional(),
  }),
  response: z.object({ items: z.array(DeploymentView), next: z.string().nullable() }),
});

export const showPlan = defineEndpoint({
  name: 'target.plan',
  method: 'GET',
  path: '/api/v1/targets/:target/plan',
  summary: 'For the agent of a target: what it is to run.',
  auth: 'required',
  permission: 'deploy:read',
  params: z.object({ target: Id }),
  response: Plan,
});

export const reportDeployment = defineEndpoint({
  name: 'target.report',
  method: 'POST',
  path: '/api/v1/targets/:target/reports',
  summary: 'For the agent of a target: say what happened on its host.',
  auth: 'required',
  permission: 'deploy:report',
  params: z.object({ target: Id }),
  body: Report,
  response: z.object({ report: z.string(), fact: z.int() }),
  status: 201,
});
