import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Endpoint, parseWith } from '#base';
import { type Caller, unauthenticated } from '#identity';
import type { App } from './app.ts';

export interface Call<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  caller: Caller;
  /** The raw body, for an endpoint with `stream: 'request'`. */
  stream: Readable;
  /** Aborts when the caller goes away, or the server stops. */
  signal: AbortSignal;
  request: FastifyRequest;
  reply: FastifyReply;
}

export type Handler<P, Q, B, R> = (call: Call<P, Q, B>) => Promise<R>;

type OutputOf<S> = S extends z.ZodType ? z.output<S> : never;

/**
 * Ties an endpoint's description to what answers it: checks every part of the request against its schema, refuses anonymous
 * callers unless it is public, and sends the answer. With `stream: 'response' | 'sse'` the handler sends by itself.
 */
export function bindEndpoint<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(
  app: App,
  endpoint: Endpoint<P, Q, B, R>,
  handler: Handler<OutputOf<P>, OutputOf<Q>, OutputOf<B>, z.input<R> | void>,
): void {
  app.endpoints.push(endpoint);
  const register = (scope: App) =>
    scope.route({
      method: endpoint.method,
      url: endpoint.path,
      config: { streams: endpoint.stream === 'request' },
      // Before the body is read: a stranger makes the server hold nothing.
      async onRequest(request) {
        if (endpoint.auth !== 'public' && request.caller.kind === 'anonymous') throw unauthenticated();
      },
      async handler(request, reply) {
        const call = {
          params: part(endpoint.params, request.params, 'http.params_invalid'),
          query: part(endpoint.query, request.query, 'http.query_invalid'),
          body: endpoint.stream === 'request' ? undefined : part(endpoint.body, request.body, 'http.body_invalid'),
          caller: request.caller,
          stream: request.raw,
          signal: AbortSignal.any([abortedWith(reply), app.closing]),
          request,
          reply,
        } as Call<OutputOf<P>, OutputOf<Q>, OutputOf<B>>;
        const answer = await handler(call);
        if (endpoint.stream === 'response' || endpoint.stream === 'sse') return reply;
        return await reply.code(endpoint.status ?? 200).send(answer);
      },
    });
  if (endpoint.stream === 'request') {
    app.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
      register(scope as unknown as App);
    });
  } else {
    register(app);
  }
}

function part(schema: z.ZodType | undefined, value: unknown, code: string): unknown {
  return schema === undefined ? undefined : parseWith(schema, value ?? {}, code);
}

function abortedWith(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
