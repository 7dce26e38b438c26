/** The endpoints of the source module, as data. */
import { z } from 'zod';
import { CheckView, defineEndpoint, PageQuery, Slug } from '#base';
import { ProtectedPathList, PushCertificates } from './facts.ts';

const Time = z.iso.datetime();
const Id = z.string().max(60);
const inProject = z.object({ project: Slug });
const inRepository = z.object({ project: Slug, repository: Slug });

export const RepositoryView = z.object({
  id: Id,
  name: z.string(),
  cloneUrl: z.string(),
  protectedPaths: z.array(z.string()),
  pushCertificates: PushCertificates,
  createdAt: Time,
  refs: z.array(z.object({ ref: z.string(), target: z.string(), push: Id })).optional(),
});

export const PushView = z.object({
  id: Id,
  repository: z.string(),
  pusher: Id,
  state: z.enum(['accepted', 'refused', 'aborted']),
  at: Time,
  fact: z.number().int(),
  updates: z.array(z.object({ ref: z.string(), old: z.string(), new: z.string() })),
  checks: z.array(CheckView),
  certificate: z.string().nullable(),
  reason: z.string().nullable(),
});

const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() });

export const listRepositories = defineEndpoint({
  name: 'source.list_repositories',
  method: 'GET',
  path: '/api/v1/projects/:project/repositories',
  summary: 'List the git repositories of a project.',
  auth: 'required',
  permission: 'source:read',
  params: inProject,
  response: listOf(RepositoryView),
});

export const createRepository = defineEndpoint({
  name: 'source.create_repository',
  method: 'POST',
  path: '/api/v1/projects/:project/repositories',
  summary: 'Create a git repository.',
  auth: 'required',
  permission: 'project:admin',
  params: inProject,
  body: z.strictObject({
    name: Slug,
    protectedPaths: ProtectedPathList.optional(),
    pushCertificates: PushCertificates.optional(),
  }),
  response: RepositoryView,
  status: 201,
});

export const showRepository = defineEndpoint({
  name: 'source.show_repository',
  method: 'GET',
  path: '/api/v1/projects/:project/repositories/:repository',
  summary: 'Show a git repository with its refs.',
  auth: 'required',
  permission: 'source:read',
  params: inRepository,
  response: RepositoryView,
});

export const showGate = defineEndpoint({
  name: 'source.show_gate',
  method: 'GET',
  path: '/api/v1/projects/:project/repositories/:repository/gate',
  summary: 'Explain what the push gate of a repository checks.',
  auth: 'required',
  permission: 'source:read',
  params: inRepository,
  response: z.object({
    repository: z.string(),
    controls: z.array(z.object({ name: z.string(), on: z.boolean(), rule: z.string() })),
    protectedPaths: z.array(z.string()),
    pushCertificates: PushCertificates,
    limits: z.record(z.string(), z.number()),
  }),
});

export const changeGate = defineEndpoint({
  name: 'source.change_gate',
  method: 'PUT',
  path: '/api/v1/projects/:project/repositories/:repository/gate',
  summary: 'Change protected paths and the need for signed pushes.',
  auth: 'required',
  permission: 'project:admin',
  params: inRepository,
  body: z.strictObject({ protectedPaths: ProtectedPathList.optional(), pushCertificates: PushCertificates.optional() }),
  response: RepositoryView,
});

export const listPushes = defineEndpoint({
  name: 'source.list_pushes',
  method: 'GET',
  path: '/api/v1/projects/:project/pushes',
  summary: 'List pushes, accepted and refused, newest first.',
  auth: 'required',
  permission: 'source:read',
  params: inProject,
  query: PageQuery.extend({ repository: Slug.optional() }),
  response: listOf(PushView),
});

export const showPush = defineEndpoint({
  name: 'source.show_push',
  method: 'GET',
  path: '/api/v1/pushes/:push',
  summary: 'Show a push and every check of its decision.',
  auth: 'required',
  permission: 'source:read',
  params: z.object({ push: Id }),
  response: PushView,
});
