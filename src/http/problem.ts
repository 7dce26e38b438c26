import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Problem, type ProblemKind } from '#base';

const statusOf: Record<ProblemKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  rejected: 422,
  limited: 429,
  unavailable: 503,
};

export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  kind: ProblemKind;
  hint: string;
  requestId: string;
  [extension: string]: unknown;
}

/** RFC 9457. `details` of the problem become extension members. */
export function problemDocument(problem: Problem, request: FastifyRequest): ProblemDocument {
  return {
    ...problem.details,
    type: `/problems/${problem.code}`,
    title: problem.kind.replaceAll('_', ' '),
    status: statusFor(problem),
    detail: problem.message,
    instance: request.url.split('?')[0] ?? '/',
    code: problem.code,
    kind: problem.kind,
    hint: problem.hint,
    requestId: request.id,
  };
}

export function statusFor(problem: Problem): number {
  return problem.code.endsWith('_too_large') ? 413 : statusOf[problem.kind];
}

/** Anything thrown → a problem that may be shown. Our own mistakes are logged and shown as nothing more than that. */
export function toProblem(error: unknown, request: FastifyRequest): Problem {
  if (Problem.is(error)) {
    if (error.kind === 'unavailable') request.log.error({ err: error, code: error.code }, error.message);
    return error;
  }
  const framework = error as FastifyError;
  if (typeof framework.statusCode === 'number' && framework.statusCode < 500) {
    const known = fromStatus(framework);
    if (known) return known;
  }
  request.log.error({ err: error }, 'unexpected error');
  return new Problem({
    code: 'http.unexpected',
    kind: 'unavailable',
    message: 'The server made a mistake; nothing was changed that was not acknowledged.',
    hint: `Report it with the request id ${request.id}; the server's log says more.`,
    cause: error,
  });
}

function fromStatus(error: FastifyError): Problem | undefined {
  if (error.statusCode === 413) {
    return new Problem({
      code: 'http.body_too_large',
      kind: 'limited',
      message: 'The request body is larger than this endpoint takes.',
      hint: 'Send less at once.',
    });
  }
  if (error.statusCode === 404) return notFound();
  return new Problem({
    code: error.statusCode === 415 ? 'http.media_type' : 'http.bad_request',
    kind: 'invalid',
    message: error.statusCode === 415 ? 'This content type is not taken here.' : 'The request is not well formed.',
    hint: 'Compare it with /api/openapi.json.',
    cause: error,
  });
}

export const notFound = () =>
  new Problem({
    code: 'http.not_found',
    kind: 'not_found',
    message: 'There is nothing at this address, or you may not see it.',
    hint: 'Check the address; /api/openapi.json lists the endpoints.',
  });

export async function sendProblem(reply: FastifyReply, problem: Problem): Promise<void> {
  if (problem.kind === 'unauthenticated') reply.header('www-authenticate', 'Basic realm="waybill", charset="UTF-8"');
  if (problem.kind === 'limited' || problem.kind === 'unavailable') reply.header('retry-after', '5');
  await reply
    .code(statusFor(problem))
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemDocument(problem, reply.request)));
}
