/** What the pusher reads, line by line, behind git's `remote:`. */
import type { Check } from '#base';

const PROBLEMS_A_CONTROL_MAX = 8;

export function renderRefusal(checks: readonly Check[], link: string): string[] {
  const lines = ['', 'PUSH REFUSED by the Waybill source gate. Nothing was stored.', ''];
  for (const [name, problems] of byControl(checks.filter((check) => check.status === 'failed'))) {
    lines.push(`  ${name}`);
    for (const problem of problems.slice(0, PROBLEMS_A_CONTROL_MAX)) lines.push(...renderProblem(problem));
    if (problems.length > PROBLEMS_A_CONTROL_MAX)
      lines.push(`    … and ${problems.length - PROBLEMS_A_CONTROL_MAX} more`);
  }
  lines.push('', `  details: ${link}`, '');
  return lines;
}

function renderProblem(check: Check): string[] {
  return [
    `    × ${check.found ?? check.detail ?? 'refused'}  [${check.code ?? 'source.refused'}]`,
    ...(check.expected === undefined ? [] : [`      expected: ${check.expected}`]),
    ...(check.fix === undefined ? [] : [`      fix: ${check.fix}`]),
  ];
}

export function renderAcceptance(input: {
  commits: number;
  checks: readonly Check[];
  warnings: readonly string[];
  link: string;
}): string[] {
  const made = input.checks.filter((check) => check.status === 'passed').length;
  const lines = [
    '',
    `Push accepted: ${made} checks passed, ${input.commits} new commit${input.commits === 1 ? '' : 's'} on record.`,
  ];
  for (const warning of input.warnings.slice(0, PROBLEMS_A_CONTROL_MAX))
    lines.push(`  look again: possibly a secret, ${warning}`);
  lines.push(`  details: ${input.link}`, '');
  return lines;
}

function byControl(checks: readonly Check[]): Map<string, Check[]> {
  const groups = new Map<string, Check[]>();
  for (const check of checks) groups.set(check.name, [...(groups.get(check.name) ?? []), check]);
  return groups;
}
