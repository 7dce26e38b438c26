import { Readable, Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '#base';
import { type App, sendProblem, toProblem } from '#http';
import { unauthenticated } from '#identity';
import type { GitAnswer, GitService, Source } from '#source';
import { errorLine, FLUSH, pktLine, sidebandError } from './pkt-line.ts';

export interface GitRoutes {
  source: Source;
}

const services: readonly GitService[] = ['git-upload-pack', 'git-receive-pack'];
/** Of a fetch: a list of object ids. */
const FETCH_REQUEST_BYTES_MAX = 64 * 1024 * 1024;
/** Of a push, unpacked from gzip; git itself limits the pack. */
const PUSH_REQUEST_BYTES_MAX = 4 * 1024 ** 3;

const streams = { config: { streams: true } };

/** `/<project>/<repository>.git/{info/refs,git-upload-pack,git-receive-pack}`. */
export function registerGitRoutes(app: App, { source }: GitRoutes): void {
  app.register(async (scope) => {
    // Bodies flow to git; nothing parses or buffers them.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.setErrorHandler((error, request, reply) => sendPlain(reply, toProblem(error, request)));
    scope.get('/:project/:repository/info/refs', { exposeHeadRoute: false }, (request, reply) =>
      advertise(source, request, reply),
    );
    scope.post('/:project/:repository/git-upload-pack', streams, (request, reply) => fetchPack(source, request, reply));
    scope.post('/:project/:repository/git-receive-pack', streams, (request, reply) =>
      receivePack(source, request, reply),
    );
  });
}

async function advertise(source: Source, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const name = repositoryOf(request);
  const wanted = (request.query as Record<string, unknown>)['service'];
  const service = services.find((each) => each === wanted);
  if (service === undefined) throw dumbProtocol();
  const protocol = protocolOf(request);
  // Version 2 starts with its own first line; the older ones and pushes with the service's name.
  const announced =
    protocol === 'version=2' && service === 'git-upload-pack' ? '' : pktLine(`# service=${service}\n`) + FLUSH;
  reply.type(`application/x-${service}-advertisement`);
  try {
    const answer = await source.advertise(request.caller, name, service, protocol);
    return sendAnswer(reply, answer, announced);
  } catch (error) {
    if (!Problem.is(error) || error.kind !== 'rejected') throw error;
    return reply.send(announced + errorLine(`${error.message} ${error.hint}`));
  }
}

async function fetchPack(source: Source, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  requireType(request, 'git-upload-pack');
  reply.type('application/x-git-upload-pack-result');
  const body = bodyOf(request, FETCH_REQUEST_BYTES_MAX);
  try {
    const answer = await source.uploadPack(request.caller, repositoryOf(request), { body, ...protocolField(request) });
    return sendAnswer(reply, answer);
  } catch (error) {
    if (!Problem.is(error) || error.kind !== 'rejected') throw error;
    return reply.send(errorLine(`${error.message} ${error.hint}`));
  }
}

async function receivePack(source: Source, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  requireType(request, 'git-receive-pack');
  reply.type('application/x-git-receive-pack-result');
  const body = bodyOf(request, PUSH_REQUEST_BYTES_MAX);
  try {
    const answer = await source.receivePack(request.caller, repositoryOf(request), { body, ...protocolField(request) });
    return sendAnswer(
      reply,
      answer,
      '',
      sidebandError(['The push broke off on the server.', 'Fetch to see what arrived, then push again.']),
    );
  } catch (error) {
    if (!Problem.is(error) || (error.kind !== 'rejected' && error.kind !== 'unavailable')) throw error;
    // With a status of failure the client would show nothing but its number.
    return reply.send(sidebandError([error.message, error.hint]));
  }
}

/** `onDeath` is sent when git died half way: a client that waits for a report would otherwise wait for ever. */
function sendAnswer(reply: FastifyReply, answer: GitAnswer, prefix = '', onDeath = ''): FastifyReply {
  // The response, not the request: that one is over as soon as its body is read.
  reply.raw.on('close', () => {
    if (!reply.raw.writableFinished) answer.stop();
  });
  return reply.send(Readable.from(framed(answer, prefix, onDeath), { objectMode: false }));
}

const GIT_DIED = 128;

async function* framed(answer: GitAnswer, prefix: string, onDeath: string): AsyncGenerator<Buffer> {
  if (prefix !== '') yield Buffer.from(prefix);
  yield* answer.output;
  const status = await answer.status;
  if (onDeath !== '' && (status === GIT_DIED || status === -1)) yield Buffer.from(onDeath);
}

/** Anonymous callers learn nothing but that a credential is wanted; without that answer git never sends one. */
function repositoryOf(request: FastifyRequest): string {
  if (request.caller.kind === 'anonymous') throw unauthenticated();
  const { project, repository } = request.params as { project: string; repository: string };
  if (!repository.endsWith('.git')) throw notHere();
  return `${project}/${repository.slice(0, -'.git'.length)}`;
}

/** Only what names a version reaches git's environment. */
function protocolOf(request: FastifyRequest): string | undefined {
  const header = request.headers['git-protocol'];
  return typeof header === 'string' && /^version=[0-9]$/.test(header) ? header : undefined;
}

function protocolField(request: FastifyRequest): { protocol?: string } {
  const protocol = protocolOf(request);
  return protocol === undefined ? {} : { protocol };
}

function requireType(request: FastifyRequest, service: GitService): void {
  // A browser cannot be made to send this type across sites without asking first.
  if (request.headers['content-type'] !== `application/x-${service}-request`) throw notHere();
}

function bodyOf(request: FastifyRequest, bytesMax: number): Readable {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && !['identity', 'gzip', 'x-gzip'].includes(encoding)) throw badEncoding();
  const limited = limitBytes(bytesMax);
  const unpacked = encoding === undefined || encoding === 'identity' ? request.raw : request.raw.pipe(createGunzip());
  request.raw.on('error', (error) => limited.destroy(error));
  request.raw.on('aborted', () => limited.destroy(new Error('the client went away')));
  if (unpacked !== request.raw) unpacked.on('error', (error) => limited.destroy(error));
  return unpacked.pipe(limited);
}

function limitBytes(bytesMax: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > bytesMax) done(new Error(`the request is larger than ${bytesMax} bytes`));
      else done(null, chunk);
    },
  });
}

/** git shows the body of a failed request only if it is plain text. */
async function sendPlain(reply: FastifyReply, problem: Problem): Promise<void> {
  if (problem.kind === 'unauthenticated') return await sendProblem(reply, problem);
  const { raw } = reply.request;
  const status = {
    invalid: 400,
    forbidden: 403,
    not_found: 404,
    conflict: 409,
    rejected: 422,
    limited: 429,
    unavailable: 503,
  }[problem.kind];
  if (!raw.complete) reply.header('connection', 'close');
  await reply
    .code(status)
    .type('text/plain; charset=utf-8')
    .send(`${problem.message}\n${problem.hint}\n[${problem.code}]\n`);
}

const notHere = () =>
  new Problem({
    code: 'source.repository_not_found',
    kind: 'not_found',
    message: 'There is no such repository, or you may not see it.',
    hint: 'Clone with https://<server>/<project>/<repository>.git.',
  });

const dumbProtocol = () =>
  new Problem({
    code: 'source.dumb_protocol',
    kind: 'invalid',
    message: 'This server speaks the smart protocol only.',
    hint: 'Use a git client of this decade.',
  });

const badEncoding = () =>
  new Problem({
    code: 'source.encoding_unknown',
    kind: 'invalid',
    message: 'The request body has an unknown encoding.',
    hint: 'Send it plain or with gzip.',
  });
