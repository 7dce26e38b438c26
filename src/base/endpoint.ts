import type { z } from 'zod';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * One endpoint as data: what the API binds, the OpenAPI document describes, the client calls and the tests read.
 * `permission` is documentation; the use case behind the endpoint asks the identity engine itself.
 */
export interface Endpoint<
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
  R extends z.ZodType = z.ZodType,
> {
  /** `noun.verb`; also the OpenAPI operation id. */
  name: string;
  method: Method;
  /** Fastify path, `/api/v1/…/:param`. */
  path: string;
  summary: string;
  /** `public`: answers callers without a credential. Everything else refuses them before the handler runs. */
  auth: 'required' | 'public';
  permission?: string;
  params?: P;
  query?: Q;
  body?: B;
  response: R;
  /** Status of success; 200 unless said. */
  status?: 200 | 201 | 202 | 204;
  /** Raw bytes in, raw bytes out, or server-sent events. */
  stream?: 'request' | 'response' | 'sse';
}

export function defineEndpoint<
  P extends z.ZodType = z.ZodNever,
  Q extends z.ZodType = z.ZodNever,
  B extends z.ZodType = z.ZodNever,
  R extends z.ZodType = z.ZodType,
>(endpoint: Endpoint<P, Q, B, R>): Endpoint<P, Q, B, R> {
  return endpoint;
}
