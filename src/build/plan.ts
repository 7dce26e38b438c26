/** The plan of a workflow: what may run, in which order. Made of a parsed file; everything it does not support is a problem with its place. */
import { z } from 'zod';

/** Literal text, or an expression whose value becomes the text. */
export const Text = z.union([z.strictObject({ text: z.string() }), z.strictObject({ expression: z.string() })]);
export type Text = z.output<typeof Text>;
const TextMap = z.record(z.string(), Text);

const stepBase = {
  id: z.string().nullable(),
  name: Text.nullable(),
  condition: z.string().nullable(),
  env: TextMap,
  continueOnError: z.boolean(),
  timeoutMinutes: z.number().nullable(),
};

export const supportedActions = {
  'actions/checkout': ['fetch-depth', 'persist-credentials', 'submodules', 'lfs'],
  'actions/upload-artifact': ['name', 'path', 'if-no-files-found', 'retention-days', 'compression-level', 'overwrite'],
  'waybill/build-image': ['context', 'file', 'output', 'name', 'tag'],
} as const;
export type ActionName = keyof typeof supportedActions;

export const StepPlan = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('run'),
    ...stepBase,
    script: Text,
    shell: z.enum(['bash', 'bash-default', 'sh', 'python']),
    workingDirectory: Text.nullable(),
  }),
  z.strictObject({
    kind: z.literal('uses'),
    ...stepBase,
    action: z.enum(Object.keys(supportedActions) as [ActionName, ...ActionName[]]),
    with: TextMap,
  }),
]);
export type StepPlan = z.output<typeof StepPlan>;

export const JobPlan = z.strictObject({
  /** `build`, or `build (a, b)` for one cell of a matrix. */
  key: z.string(),
  /** Key of the job in the file. */
  id: z.string(),
  name: z.string(),
  needs: z.array(z.string()),
  condition: z.string().nullable(),
  env: z.array(TextMap),
  matrix: z.record(z.string(), z.unknown()).nullable(),
  timeoutMinutes: z.number(),
  outputs: TextMap,
  steps: z.array(StepPlan),
});
export type JobPlan = z.output<typeof JobPlan>;

export interface PushFilter {
  readonly branches: readonly string[] | null;
  readonly branchesIgnore: readonly string[] | null;
  readonly tags: readonly string[] | null;
  readonly tagsIgnore: readonly string[] | null;
}

export interface WorkflowPlan {
  readonly path: string;
  readonly name: string;
  readonly push: PushFilter;
  readonly jobs: readonly JobPlan[];
}

/** Something in a workflow file that cannot be run, and where it stands. */
export interface PlanProblem {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint: string;
}

export const planLimits = { jobs: 64, matrixCells: 64, steps: 200, timeoutMinutes: 360 } as const;

/** Does a push to this ref start the workflow? GitHub's filter patterns: `*`, `**`, `?`, and `!` to exclude. */
export function isTriggered(filter: PushFilter, ref: string): boolean {
  const [, kind, name] = /^refs\/(heads|tags)\/(.+)$/s.exec(ref) ?? [];
  if (kind === undefined || name === undefined) return false;
  const [mine, ignored] =
    kind === 'heads' ? [filter.branches, filter.branchesIgnore] : [filter.tags, filter.tagsIgnore];
  if (mine !== null) return matches(mine, name);
  if (ignored !== null) return !matches(ignored, name);
  const filtersOtherKind =
    kind === 'heads' ? (filter.tags ?? filter.tagsIgnore) : (filter.branches ?? filter.branchesIgnore);
  return filtersOtherKind === null;
}

function matches(patterns: readonly string[], name: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    const isNegative = pattern.startsWith('!');
    if (patternToRegExp(isNegative ? pattern.slice(1) : pattern).test(name)) matched = !isNegative;
  }
  return matched;
}

function patternToRegExp(pattern: string): RegExp {
  const source = pattern.replaceAll(/\*\*|[*?+]|[[\]-]|[^*?+[\]-]+/g, (part) => {
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?' || part === '+' || part === '[' || part === ']' || part === '-') return part;
    return part.replaceAll(/[.\\^$|(){}]/g, String.raw`\$&`);
  });
  try {
    return new RegExp(`^(?:${source})$`, 's');
  } catch {
    return /^(?!)/; // a pattern that means nothing matches nothing
  }
}
