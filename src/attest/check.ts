import { type Check, failed, notChecked, passed, Problem } from '#base';

/** A check that was made and the value it found, for the checks after it. */
export interface Finding<T> {
  check: Check;
  value?: T;
}

export interface Refusal {
  code: string;
  expected: string;
  found: string;
  fix?: string;
}

/** Thrown inside a check to end it with a no. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.found);
    this.refusal = refusal;
  }
}

export function refuse(code: string, expected: string, found: string, fix?: string): never {
  throw new Refused({ code, expected, found, ...(fix === undefined ? {} : { fix }) });
}

/** Runs one check. Whatever goes wrong inside it, untrusted input being what it is, is a no of this check and of no other. */
export function check<T>(name: string, run: () => { value: T; detail?: string }): Finding<T> {
  try {
    const { value, detail } = run();
    return { check: passed(name, detail), value };
  } catch (error) {
    return { check: failed(name, refusalOf(error)) };
  }
}

export const skipped = (name: string, because: string): Finding<never> => ({ check: notChecked(name, because) });

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (Problem.is(error))
    return { code: error.code, expected: 'something that can be read', found: error.message, fix: error.hint };
  return {
    code: 'attest.unreadable',
    expected: 'something that can be read',
    found: error instanceof Error ? error.message : 'an error',
  };
}
