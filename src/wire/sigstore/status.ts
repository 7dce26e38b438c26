import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ProblemKind, Problem } from '#base';
import { type App, statusFor, toProblem } from '#http';

/** gRPC's numbers for what went wrong: Fulcio and Rekor answer `{code, message}` with them. */
const grpcCodes: Readonly<Record<ProblemKind, number>> = {
  invalid: 3,
  unauthenticated: 16,
  forbidden: 7,
  not_found: 5,
  conflict: 6,
  rejected: 9,
  limited: 8,
  unavailable: 14,
};

/** Errors in the words of the protocol, with our code and hint beside them. Rekor v1 has the HTTP status as its code. */
export function answerErrors(scope: App, numbers: 'grpc' | 'http'): void {
  scope.setErrorHandler(async (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const problem = toProblem(error, request);
    const status = statusFor(problem);
    if (problem.kind === 'limited' || problem.kind === 'unavailable') reply.header('retry-after', '5');
    const code = numbers === 'grpc' ? grpcCodes[problem.kind] : status;
    await reply.code(status).send({
      code,
      message: `${problem.message} ${problem.hint}`,
      details: [],
      problem: problem.code,
      requestId: request.id,
    });
  });
}

/** So many requests an address and minute; what is left is counted in memory, which a restart may forget. */
export function createRateLimit(perMinute: number, now: () => number) {
  const seen = new Map<string, { tokens: number; at: number }>();
  const ADDRESSES_MAX = 10_000;
  return (request: FastifyRequest): void => {
    const address = request.socket.remoteAddress ?? '';
    const at = now();
    const before = seen.get(address) ?? { tokens: perMinute, at };
    const refilled = Math.min(perMinute, before.tokens + (Math.max(0, at - before.at) * perMinute) / 60_000);
    if (!seen.has(address) && seen.size >= ADDRESSES_MAX) seen.clear();
    if (refilled < 1) {
      seen.set(address, { tokens: refilled, at });
      throw new Problem({
        code: 'wire.too_many_requests',
        kind: 'limited',
        message: 'Too many requests came from this address.',
        hint: 'Wait some seconds, then go on more slowly.',
      });
    }
    seen.set(address, { tokens: refilled - 1, at });
  };
}
