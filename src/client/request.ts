import type { z } from 'zod';
import { type Endpoint, Problem } from '#base';

/** What a call takes: only the parts its endpoint declares; a part whose fields are all optional may be left out. */
export type CallInput<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = Part<'params', P> &
  Part<'query', Q> &
  Part<'body', B>;

type Part<K extends string, S extends z.ZodType> = S extends z.ZodNever
  ? unknown
  : object extends z.input<S>
    ? { readonly [key in K]?: z.input<S> }
    : { readonly [key in K]: z.input<S> };

/** The same without its types, for the code that walks over it. */
export interface LooseInput {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
}

/** Path and query of a call. A parameter is always one whole segment, so no value can reach another route. */
export function targetOf(endpoint: Endpoint, input: LooseInput): string {
  const params = (input.params ?? {}) as Readonly<Record<string, unknown>>;
  const path = endpoint.path
    .split('/')
    .map((segment) => {
      if (segment === '*') return encodeRest(params['*']);
      return segment.startsWith(':') ? encodeSegment(segment.slice(1), params[segment.slice(1)]) : segment;
    })
    .join('/');
  const query = encodeQuery((input.query ?? {}) as Readonly<Record<string, unknown>>);
  return query === '' ? path : `${path}?${query}`;
}

function encodeSegment(name: string, value: unknown): string {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || text === '' || text === '.' || text === '..') throw invalidParameter(name);
  return encodeURIComponent(text);
}

/** A wildcard keeps its slashes; everything between them is a segment. */
function encodeRest(value: unknown): string {
  if (typeof value !== 'string') throw invalidParameter('path');
  return value
    .split('/')
    .map((part) => encodeSegment('path', part))
    .join('/');
}

function encodeQuery(query: Readonly<Record<string, unknown>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) search.append(name, String(one));
    }
  }
  return search.toString();
}

function invalidParameter(name: string): Problem {
  return new Problem({
    code: 'client.parameter_invalid',
    kind: 'invalid',
    message: `The value of "${name}" cannot be part of an address.`,
    hint: `Give a value for "${name}" that is not empty, "." or "..".`,
  });
}
