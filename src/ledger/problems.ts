import { Problem } from '#base';
import type { Checkpoint } from './checkpoint.ts';
import { hashBase64 } from './hash.ts';

/** The refusals of a log, in one place: their codes are permanent. */

/** Two contradicting histories, with both sides as evidence. */
export function forkDetected(message: string, evidence: Readonly<Record<string, unknown>>): Problem {
  return new Problem({
    code: 'ledger.fork_detected',
    kind: 'unavailable',
    message,
    hint: 'Nothing is recorded until this is resolved. Keep the data directory as evidence, run `waybill ledger verify`, and restore the altered part from a backup.',
    details: evidence,
  });
}

export function rolledBack(signed: Checkpoint, sourceSize: number): Problem {
  return new Problem({
    code: 'ledger.rolled_back',
    kind: 'unavailable',
    message: `The log has signed ${signed.size} entries, but what it is made from has only ${sourceSize}.`,
    hint: 'An old copy was restored. Restore the newest backup of the whole data directory; a signed checkpoint is never taken back.',
    details: { origin: signed.origin, signedSize: signed.size, signedRoot: hashBase64(signed.root), sourceSize },
  });
}

export function damaged(path: string, reason: string): Problem {
  return new Problem({
    code: 'ledger.damaged',
    kind: 'unavailable',
    message: `The log's file ${path} ${reason}.`,
    hint: 'Run `waybill ledger verify` to see everything that was altered, and restore the file from a backup.',
    details: { path },
  });
}

export function stopped(cause: unknown): Problem {
  return new Problem({
    code: 'ledger.stopped',
    kind: 'unavailable',
    message: 'The log stopped after it could not write durably.',
    hint: 'Check the disk (space, errors) and restart the server; the log continues where it last was durable.',
    cause,
  });
}

export function sourceUnavailable(cause: unknown): Problem {
  return new Problem({
    code: 'ledger.source_unavailable',
    kind: 'unavailable',
    message: 'What the log is made from could not be read in full.',
    hint: 'It is tried again by itself; if it stays so, check the database.',
    cause,
  });
}

export function missing(): Problem {
  return new Problem({
    code: 'ledger.missing',
    kind: 'unavailable',
    message: 'This log has been begun before, but its files are gone.',
    hint: 'Restore the directory `ledger` from the newest backup; a new log would hide what the old one signed.',
  });
}

export function readOnly(): Problem {
  return new Problem({
    code: 'ledger.read_only',
    kind: 'unavailable',
    message: 'The log is open for reading only.',
    hint: 'See why with `waybill ledger verify`; a log that contradicts its own signed checkpoint does not go on.',
  });
}

export function closed(): Problem {
  return new Problem({
    code: 'ledger.closed',
    kind: 'unavailable',
    message: 'The log is closing.',
    hint: 'Repeat the request when the server runs again.',
  });
}

export function outOfRange(message: string): Problem {
  return new Problem({
    code: 'ledger.index_unknown',
    kind: 'not_found',
    message,
    hint: 'Read the newest checkpoint to see how many entries the log has signed.',
  });
}

export function empty(): Problem {
  return new Problem({
    code: 'ledger.no_checkpoint',
    kind: 'unavailable',
    message: 'This log has not signed a checkpoint yet.',
    hint: 'Start the server once; it signs the first checkpoint.',
  });
}

export function notWitnessed(size: number, states: readonly { name: string; trouble: string | undefined }[]): Problem {
  const troubles = states.flatMap(({ name, trouble }) => (trouble === undefined ? [] : [`${name}: ${trouble}`]));
  return new Problem({
    code: 'ledger.not_witnessed',
    kind: 'unavailable',
    message: `No checkpoint of ${size} entries has the cosignatures that the policy demands.`,
    hint: 'The policy is fail-closed: bring the missing witness back, or have an owner change the policy.',
    details: { size, troubles },
  });
}

export function unreachable(url: string, cause?: unknown): Problem {
  return new Problem({
    code: 'ledger.witness_unreachable',
    kind: 'unavailable',
    message: `The witness at ${url} cannot be reached.`,
    hint: 'It is asked again by itself; check address and network if it stays so.',
    ...(cause === undefined ? {} : { cause }),
  });
}
