/** One thing that was looked at. `not_checked` is its own state: it never counts as passed. */
export interface Check {
  name: string;
  status: 'passed' | 'failed' | 'not_checked';
  /** Stable reason code of a failure, `module.reason`. */
  code?: string;
  expected?: string;
  found?: string;
  detail?: string;
  fix?: string;
}

/** The answer to "is it true?": yes only if something was checked and nothing failed or was left out. */
export interface Verdict {
  ok: boolean;
  checks: readonly Check[];
}

type Notes = Omit<Check, 'name' | 'status'>;

export function passed(name: string, detail?: string): Check {
  return { name, status: 'passed', ...(detail === undefined ? {} : { detail }) };
}

export function failed(name: string, notes: Notes = {}): Check {
  return { name, status: 'failed', ...notes };
}

export function notChecked(name: string, detail: string): Check {
  return { name, status: 'not_checked', detail };
}

/** Cannot tell is a refusal: an empty list and a check that was not made both say no, unless the caller allows the latter. */
export function verdictOf(checks: readonly Check[], options: { allowNotChecked?: boolean } = {}): Verdict {
  const made = checks.filter((check) => check.status !== 'not_checked');
  const complete = made.length === checks.length || options.allowNotChecked === true;
  return { ok: made.length > 0 && complete && made.every((check) => check.status === 'passed'), checks };
}

/** The first check that failed, or, failing that, the first that was not made. */
export function firstRefusal(verdict: Verdict): Check | undefined {
  return (
    verdict.checks.find((check) => check.status === 'failed') ??
    verdict.checks.find((check) => check.status === 'not_checked')
  );
}
