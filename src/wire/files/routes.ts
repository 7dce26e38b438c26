import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ArtifactPath, type ArtifactRecord, type Artifacts, parseArtifactPath } from '#artifact';
import { Problem } from '#base';
import type { App } from '#http';
import { unauthenticated } from '#identity';
import { announcedDigest, etagOf, matchesEtag, parseRange, reprDigest } from './headers.ts';

export interface FileRoutes {
  artifacts: Artifacts;
}

const ADDRESS = '/files/:project/:repository/*';

export function registerFileRoutes(app: App, { artifacts }: FileRoutes): void {
  app.register(async (scope) => {
    // Bodies are bytes of any type; they flow to the store and are never parsed.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.put(ADDRESS, { config: { streams: true } }, (request, reply) => upload(artifacts, request, reply));
    scope.get(ADDRESS, { exposeHeadRoute: false }, (request, reply) => download(artifacts, request, reply));
    scope.head(ADDRESS, (request, reply) => describe(artifacts, request, reply));
    scope.delete(ADDRESS, (request) => refuseDelete(artifacts, request));
  });
}

async function upload(artifacts: Artifacts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const path = locationOf(request);
  if (request.headers['if-none-match'] === '*') await requireFree(artifacts, request, path);
  const { record, created } = await artifacts.upload(request.caller, {
    repository: path.repository,
    name: path.name,
    version: path.version,
    file: path.file,
    mediaType: mediaTypeOf(request),
    digest: announcedDigest(request.headers),
    body: request.raw,
  });
  return reply
    .headers({ etag: etagOf(record.digest), 'repr-digest': reprDigest(record.digest) })
    .code(created ? 201 : 200)
    .header('location', request.url.split('?')[0])
    .send({ id: record.id, digest: record.digest, size: record.size, fact: record.fact });
}

async function download(artifacts: Artifacts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const record = await artifacts.locate(request.caller, locationOf(request));
  if (matchesEtag(request.headers['if-none-match'], record.digest)) return sendUnchanged(reply, record);
  const conditional = request.headers['if-range'];
  const ranged = conditional === undefined || conditional === etagOf(record.digest);
  const range = ranged ? parseRange(request.headers.range, record.size) : undefined;
  if (range === 'unsatisfiable') return sendUnsatisfiable(reply, record.size);
  const sent = await artifacts.download(request.caller, record.id, range);
  describeRecord(reply, record);
  if (sent.range) {
    reply.code(206).header('content-range', `bytes ${sent.range.start}-${sent.range.end}/${sent.size}`);
    reply.header('content-length', sent.range.end - sent.range.start + 1);
  } else {
    reply.header('content-length', sent.size);
  }
  return reply.send(sent.stream);
}

/** No bytes leave, so nothing is recorded. */
async function describe(artifacts: Artifacts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const record = await artifacts.locate(request.caller, locationOf(request));
  if (matchesEtag(request.headers['if-none-match'], record.digest)) return sendUnchanged(reply, record);
  describeRecord(reply, record);
  return reply.header('content-length', record.size).send();
}

async function refuseDelete(artifacts: Artifacts, request: FastifyRequest): Promise<never> {
  await artifacts.locate(request.caller, locationOf(request));
  throw new Problem({
    code: 'artifact.deletion_refused',
    kind: 'forbidden',
    message: 'Nothing is deleted here: a version stays as long as anything may be traced back to it.',
    hint: 'Publish a new version instead.',
  });
}

/** The address → a checked path. Anonymous callers learn nothing, not even whether the address is well formed. */
function locationOf(request: FastifyRequest): ArtifactPath {
  if (request.caller.kind === 'anonymous') throw unauthenticated();
  const { project, repository, '*': rest } = request.params as { project: string; repository: string; '*': string };
  const segments = rest.split('/');
  const file = segments.pop() ?? '';
  const version = segments.pop() ?? '';
  return parseArtifactPath({
    repository: `${project}/${repository}`,
    name: [project, ...segments].join('/'),
    version,
    file,
  });
}

async function requireFree(artifacts: Artifacts, request: FastifyRequest, path: ArtifactPath): Promise<void> {
  try {
    await artifacts.locate(request.caller, path);
  } catch (error) {
    if (Problem.is(error) && error.code === 'artifact.not_found') return;
    throw error;
  }
  throw new Problem({
    code: 'artifact.exists',
    kind: 'conflict',
    message: 'There is a file at this address already.',
    hint: 'Leave out If-None-Match: * to learn whether it has the same bytes, or use a new version.',
  });
}

function mediaTypeOf(request: FastifyRequest): string | undefined {
  const value = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  // What curl -d would send for want of a better type says nothing about the file.
  if (value === undefined || value === 'application/x-www-form-urlencoded') return undefined;
  return /^[a-z0-9][a-z0-9!#$&^_.+-]{0,60}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,100}$/.test(value) ? value : undefined;
}

/** Always an attachment, never a page: what somebody uploaded does not run in the browser of who looks at it. */
function describeRecord(reply: FastifyReply, record: ArtifactRecord): void {
  reply.headers({
    'content-type': record.mediaType.startsWith('text/') ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    'content-disposition': `attachment; filename="${record.file}"`,
    'content-security-policy': "sandbox; default-src 'none'",
    'accept-ranges': 'bytes',
    'repr-digest': reprDigest(record.digest),
    'x-checksum-sha256': record.digest.slice('sha256:'.length),
    'x-waybill-repository-kind': record.kind,
    etag: etagOf(record.digest),
  });
}

const sendUnchanged = (reply: FastifyReply, { digest }: ArtifactRecord): FastifyReply =>
  reply.code(304).header('etag', etagOf(digest)).send();

function sendUnsatisfiable(reply: FastifyReply, size: number): FastifyReply {
  return reply
    .code(416)
    .header('content-range', `bytes */${size}`)
    .type('application/problem+json; charset=utf-8')
    .send(
      JSON.stringify({
        type: '/problems/artifact.range_invalid',
        title: 'invalid',
        status: 416,
        detail: `The file has ${size} bytes; the range lies outside.`,
        code: 'artifact.range_invalid',
        kind: 'invalid',
        hint: 'Ask for bytes within the file.',
        requestId: reply.request.id,
      }),
    );
}
