import type { z } from 'zod';

/** What went wrong, for whoever has to act on it. It becomes an HTTP status or an exit code only at the edges. */
export type ProblemKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'rejected'
  | 'limited'
  | 'unavailable';

export interface ProblemFields {
  /** `module.reason`; permanent once released. */
  code: string;
  kind: ProblemKind;
  /** Safe to show to the caller: no secret, no path of the server. */
  message: string;
  /** What to do about it. */
  hint: string;
  details?: Readonly<Record<string, unknown>>;
  /** Logged, never shown. */
  cause?: unknown;
}

/** What a caller did wrong or may retry. Negative verdicts are values (`Verdict`); our own mistakes are assertions. */
export class Problem extends Error {
  readonly code: string;
  readonly kind: ProblemKind;
  readonly hint: string;
  readonly details?: Readonly<Record<string, unknown>>;

  constructor(fields: ProblemFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = 'Problem';
    this.code = fields.code;
    this.kind = fields.kind;
    this.hint = fields.hint;
    if (fields.details) this.details = fields.details;
  }

  static is(value: unknown): value is Problem {
    return value instanceof Problem;
  }
}

const ERRORS_LISTED_MAX = 20;

/** Untrusted value → typed value, or a `Problem` of kind `invalid` that lists each fault with its JSON pointer. */
export function parseWith<S extends z.ZodType>(schema: S, value: unknown, code: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.slice(0, ERRORS_LISTED_MAX).map((issue) => ({
    pointer: issue.path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''),
    message: issue.message,
  }));
  const first = errors[0];
  throw new Problem({
    code,
    kind: 'invalid',
    message: first ? `${first.pointer || '/'}: ${first.message}` : 'The value does not have the expected shape.',
    hint: 'Compare the request with the schema in /api/openapi.json.',
    details: { errors },
  });
}
