import { z } from 'zod';
import { defineEndpoint, DigestText, PageQuery, Slug } from '#base';
import { ArtifactName, ArtifactRepositoryName, PathSegment, repositoryKinds } from './path.ts';

const Time = z.iso.datetime();
const Kind = z.enum(repositoryKinds);
const IdOrDigest = z.string().max(80);

export const ArtifactView = z.object({
  id: z.string(),
  kind: Kind,
  repository: z.string(),
  name: z.string(),
  version: z.string(),
  file: z.string(),
  digest: DigestText,
  size: z.int(),
  mediaType: z.string(),
  run: z.string().nullable(),
  commit: z.string().nullable(),
  provenance: DigestText.nullable(),
  /** Who put it there: the control plane (`system`) or a person. */
  principal: z.string(),
  fact: z.int(),
  publishedAt: Time,
});

export const listRepositories = defineEndpoint({
  name: 'artifact.repositories',
  method: 'GET',
  path: '/api/v1/projects/:project/artifact-repositories',
  summary: 'List the artifact repositories of a project.',
  auth: 'required',
  permission: 'artifact:read',
  params: z.object({ project: Slug }),
  response: z.object({ items: z.array(z.object({ name: z.string(), kind: Kind })), next: z.null() }),
});

export const listArtifacts = defineEndpoint({
  name: 'artifact.list',
  method: 'GET',
  path: '/api/v1/artifacts',
  summary: 'List and search artifacts, newest first. With name and version: all files of that version.',
  auth: 'required',
  permission: 'artifact:read',
  query: PageQuery.extend({
    project: Slug.optional(),
    repository: ArtifactRepositoryName.optional(),
    kind: Kind.optional(),
    name: ArtifactName.optional(),
    version: PathSegment.optional(),
    digest: DigestText.optional(),
    run: z.string().max(64).optional(),
    search: z.string().max(200).optional(),
  }),
  response: z.object({ items: z.array(ArtifactView), next: z.string().nullable() }),
});

export const showArtifact = defineEndpoint({
  name: 'artifact.show',
  method: 'GET',
  path: '/api/v1/artifacts/:artifact',
  summary: 'Show the records of an artifact, by id or digest. One digest may have several: they stay apart.',
  auth: 'required',
  permission: 'artifact:read',
  params: z.object({ artifact: IdOrDigest }),
  response: z.object({ items: z.array(ArtifactView), next: z.null() }),
});

export const uploadArtifact = defineEndpoint({
  name: 'artifact.upload',
  method: 'PUT',
  path: '/api/v1/projects/:project/artifact-repositories/:repository/upload',
  summary: 'Put a file into the playground. Release repositories refuse everybody.',
  auth: 'required',
  permission: 'artifact:upload-playground',
  params: z.object({ project: Slug, repository: Kind }),
  query: z.object({
    name: ArtifactName,
    version: PathSegment,
    file: PathSegment,
    mediaType: z.string().max(200).optional(),
    digest: DigestText.optional(),
  }),
  response: ArtifactView,
  status: 201,
  stream: 'request',
});

export const downloadArtifact = defineEndpoint({
  name: 'artifact.download',
  method: 'GET',
  path: '/api/v1/artifacts/:artifact/content',
  summary: 'Download an artifact, by id or digest. The download is recorded before the first byte leaves.',
  auth: 'required',
  permission: 'artifact:read',
  params: z.object({ artifact: IdOrDigest }),
  response: z.never(),
  stream: 'response',
});

export const listRefusals = defineEndpoint({
  name: 'artifact.refusals',
  method: 'GET',
  path: '/api/v1/projects/:project/artifact-refusals',
  summary: 'List uploads to release repositories that were refused.',
  auth: 'required',
  permission: 'artifact:read',
  params: z.object({ project: Slug }),
  response: z.object({
    items: z.array(
      z.object({
        id: z.string(),
        repository: z.string(),
        path: z.string(),
        code: z.string(),
        principal: z.string(),
        fact: z.int(),
        refusedAt: Time,
      }),
    ),
    next: z.null(),
  }),
});
