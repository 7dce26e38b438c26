import type { ProblemKind } from '#base';

/** Every exit status that this program ends with, and when. Scripts may rely on it. */
export const exitCodes = {
  yes: { status: 0, meaning: 'Done, and the answer is yes.' },
  failed: { status: 1, meaning: 'Failed for a reason that is not listed here.' },
  usage: { status: 2, meaning: 'Wrong usage: an argument or option is missing, unknown or malformed.' },
  no: { status: 3, meaning: 'Ran correctly, and the verdict is no: not verified, refused, or drifted.' },
  denied: { status: 4, meaning: 'Not logged in, or not allowed.' },
  notFound: { status: 5, meaning: 'Not found.' },
  conflict: { status: 6, meaning: 'Conflict: it exists already, or changed meanwhile.' },
  unavailable: { status: 7, meaning: 'The server or the network cannot be reached; safe to try again.' },
  pending: { status: 8, meaning: 'Still pending.' },
  interrupted: { status: 130, meaning: 'Interrupted.' },
} as const;

export type ExitName = keyof typeof exitCodes;

const BY_KIND: Readonly<Record<ProblemKind, ExitName>> = {
  invalid: 'usage',
  unauthenticated: 'denied',
  forbidden: 'denied',
  not_found: 'notFound',
  conflict: 'conflict',
  rejected: 'no',
  limited: 'failed',
  unavailable: 'unavailable',
};

/** What is shown of a failure: the fields of a `Problem`, whichever class carried them. */
export interface Failure {
  code: string;
  kind: ProblemKind;
  message: string;
  hint: string;
  details?: Readonly<Record<string, unknown>>;
}

/** Wrong usage. It has the fields of a `Problem`; that module is not loaded for it, so that usage errors stay instant. */
export class UsageError extends Error implements Failure {
  readonly code = 'cli.usage';
  readonly kind = 'invalid';
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** Whatever was thrown → what may be shown. Our own mistakes are shown without their stack. */
export function failureOf(error: unknown): Failure {
  if (isFailure(error)) return error;
  const code = (error as { code?: unknown } | undefined)?.code;
  const reason = error instanceof Error ? error.message : String(error);
  if (typeof code === 'string' && FILE_ERRORS.has(code)) {
    return {
      code: 'cli.file_unusable',
      kind: 'invalid',
      message: `${reason}.`,
      hint: 'Check the path and its permissions.',
    };
  }
  return {
    code: 'cli.internal',
    kind: 'unavailable',
    message: `Waybill made a mistake: ${reason.split('\n')[0] ?? ''}`,
    hint: 'Run it again with WAYBILL_TRACE_ERRORS=1 to see where, and report that.',
  };
}

const FILE_ERRORS = new Set(['ENOENT', 'EACCES', 'EISDIR', 'ENOTDIR', 'EPERM', 'EROFS', 'ENOSPC']);

function isFailure(error: unknown): error is Error & Failure {
  return error instanceof Error && 'kind' in error && 'hint' in error && 'code' in error;
}

const MISTAKES = new Set(['cli.internal', 'http.unexpected']);

export function exitOf(failure: Failure): ExitName {
  // A mistake of this program or of the server is no matter of trying again; "slow down" is.
  if (MISTAKES.has(failure.code)) return 'failed';
  if (failure.details?.['status'] === 429) return 'unavailable';
  return BY_KIND[failure.kind];
}
