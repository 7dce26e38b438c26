/** Parsed workflow file → plan, or the list of everything in it that Waybill does not run. Pure but for the parsing Worker. */
import { findExpressionFault, findUntrustedContext } from './expressions.ts';
import {
  type ActionName,
  type JobPlan,
  planLimits,
  type PlanProblem,
  type PushFilter,
  type StepPlan,
  supportedActions,
  type Text,
  type WorkflowPlan,
} from './plan.ts';
import type { Position, Tree } from './tree.ts';
import { createWorkflowParser, type WorkflowFile, type WorkflowParser } from './workflow.ts';

export interface Planning {
  readonly plans: readonly WorkflowPlan[];
  readonly problems: readonly PlanProblem[];
}

const FILES_MAX = 50;

/** Plans files that arrive one push after the other. */
export interface Planner {
  /** Plans every file. A file with any problem has no plan. */
  plan(files: readonly WorkflowFile[]): Promise<Planning>;
  close(): Promise<void>;
}

export function createPlanner(): Planner {
  const parser = createWorkflowParser();
  return { plan: (files) => planFiles(parser, files), close: () => parser.close() };
}

/** The same for once: what a check before a push, or a command, asks. */
export async function planWorkflows(files: readonly WorkflowFile[]): Promise<Planning> {
  const planner = createPlanner();
  try {
    return await planner.plan(files);
  } finally {
    await planner.close();
  }
}

async function planFiles(parser: WorkflowParser, files: readonly WorkflowFile[]): Promise<Planning> {
  const plans: WorkflowPlan[] = [];
  const problems: PlanProblem[] = [];
  if (files.length > FILES_MAX) return { plans, problems: [tooManyFiles(files.length)] };
  for (const file of files) {
    const { errors, root } = await parser.parse(file);
    const hint = 'See the syntax of GitHub Actions workflow files.';
    problems.push(...errors.map((error) => ({ path: file.path, ...error, hint })));
    if (root === null) continue;
    const reader = createReader(file.path);
    const plan = readWorkflow(reader, file.path, root);
    problems.push(...reader.problems);
    if (reader.problems.length === 0) plans.push(plan);
  }
  return { plans, problems };
}

function tooManyFiles(count: number): PlanProblem {
  return {
    path: '.github/workflows',
    line: 1,
    column: 1,
    message: `${count} workflow files`,
    hint: `Keep at most ${FILES_MAX}.`,
  };
}

type Reader = ReturnType<typeof createReader>;
type Fields = ReadonlyMap<string, { readonly at: Position; readonly value: Tree }>;

function createReader(path: string) {
  const problems: PlanProblem[] = [];
  const refuse = (at: Position, message: string, hint: string): void => {
    problems.push({ path, line: at.line, column: at.column, message, hint });
  };
  return {
    problems,
    refuse,
    /** Fields of a mapping; one that is not in `known` is refused. */
    fields(tree: Tree | undefined, known: readonly string[] | 'any', what: string): Fields {
      if (tree === undefined) return new Map();
      if (tree.kind === 'scalar' && tree.value === null) return new Map();
      if (tree.kind !== 'mapping') {
        refuse(tree.at, `${what} has to be a mapping here`, 'Expressions that make whole mappings are not supported.');
        return new Map();
      }
      for (const entry of tree.entries) {
        if (known !== 'any' && !known.includes(entry.key)) {
          refuse(entry.at, `${what}.${entry.key} is not supported`, `Supported here: ${known.join(', ')}.`);
        }
      }
      return new Map(tree.entries.map((entry) => [entry.key, { at: entry.at, value: entry.value }]));
    },
    text(tree: Tree | undefined): Text {
      if (tree?.kind === 'expression') {
        const fault = findExpressionFault(tree.expression);
        if (fault !== undefined)
          refuse(tree.at, fault, 'Supported contexts: github, env, steps, needs, matrix, runner, job.');
        return { expression: tree.expression };
      }
      if (tree?.kind === 'scalar') return { text: tree.value === null ? '' : String(tree.value) };
      if (tree !== undefined) refuse(tree.at, 'a text is needed here', 'Write a plain value.');
      return { text: '' };
    },
    literal(tree: Tree | undefined, what: string): string | null {
      if (tree === undefined) return null;
      if (tree.kind === 'scalar') return tree.value === null ? '' : String(tree.value);
      refuse(tree.at, `${what} has to be a plain value`, 'Expressions are not supported here.');
      return null;
    },
    strings(tree: Tree | undefined, what: string): string[] | null {
      if (tree === undefined) return null;
      const items = tree.kind === 'sequence' ? tree.items : [tree];
      return items.map((item) => this.literal(item, what) ?? '');
    },
    minutes(tree: Tree | undefined): number | null {
      if (tree === undefined) return null;
      if (tree.kind === 'scalar' && typeof tree.value === 'number' && tree.value > 0) {
        return Math.min(tree.value, planLimits.timeoutMinutes);
      }
      refuse(tree.at, 'timeout-minutes has to be a positive number', 'Write it as a plain number.');
      return null;
    },
    flag(tree: Tree | undefined, what: string): boolean {
      const text = this.literal(tree, what);
      return text === 'true';
    },
    condition(tree: Tree | undefined): string | null {
      if (tree === undefined) return null;
      const text = tree.kind === 'expression' ? tree.expression : this.literal(tree, 'if');
      const fault =
        text === null || text.trim() === ''
          ? undefined
          : findExpressionFault(text.replace(/^\s*\$\{\{([\s\S]*)\}\}\s*$/, '$1'));
      if (fault !== undefined)
        refuse(tree.at, fault, 'Supported contexts: github, env, steps, needs, matrix, runner, job.');
      return text;
    },
    textMap(tree: Tree | undefined, what: string): Record<string, Text> {
      const fields = this.fields(tree, 'any', what);
      return Object.fromEntries([...fields].map(([key, { value }]) => [key, this.text(value)]));
    },
  };
}

function readWorkflow(reader: Reader, path: string, root: Tree): WorkflowPlan {
  const top = reader.fields(root, ['name', 'run-name', 'on', 'env', 'defaults', 'jobs', 'permissions'], 'workflow');
  const push = readTriggers(reader, top.get('on')?.value);
  const env = reader.textMap(top.get('env')?.value, 'env');
  const defaults = readDefaults(reader, top.get('defaults')?.value, {});
  const jobFields = reader.fields(top.get('jobs')?.value, 'any', 'jobs');
  const jobs = [...jobFields].flatMap(([id, { at, value }]) => readJob(reader, id, at, value, env, defaults));
  if (jobFields.size === 0) reader.refuse(root.at, 'a workflow without jobs', 'Give it at least one job.');
  if (jobs.length > planLimits.jobs) reader.refuse(root.at, `${jobs.length} jobs`, `Keep at most ${planLimits.jobs}.`);
  for (const [id, { at }] of jobFields) {
    const missing = jobs
      .filter((job) => job.id === id)
      .flatMap((job) => job.needs.filter((need) => !jobFields.has(need)));
    for (const need of new Set(missing))
      reader.refuse(at, `the job ${id} needs ${need}, which does not exist`, 'Correct the name.');
  }
  const name = reader.literal(top.get('name')?.value, 'name') ?? path;
  return { path, name: name.slice(0, 200), push, jobs };
}

function readTriggers(reader: Reader, tree: Tree | undefined): PushFilter {
  const none: PushFilter = { branches: null, branchesIgnore: null, tags: null, tagsIgnore: null };
  if (tree === undefined) return none;
  const refuseOther = (at: Position, event: string): void =>
    reader.refuse(at, `the trigger ${event} is not supported`, 'Supported: push.');
  if (tree.kind !== 'mapping') {
    const items = tree.kind === 'sequence' ? tree.items : [tree];
    for (const item of items)
      if (reader.literal(item, 'on') !== 'push') refuseOther(item.at, reader.literal(item, 'on') ?? '');
    return none;
  }
  for (const entry of tree.entries) if (entry.key !== 'push') refuseOther(entry.at, entry.key);
  const push = tree.entries.find((entry) => entry.key === 'push')?.value;
  const fields = reader.fields(push, ['branches', 'branches-ignore', 'tags', 'tags-ignore'], 'on.push');
  return {
    branches: reader.strings(fields.get('branches')?.value, 'branches'),
    branchesIgnore: reader.strings(fields.get('branches-ignore')?.value, 'branches-ignore'),
    tags: reader.strings(fields.get('tags')?.value, 'tags'),
    tagsIgnore: reader.strings(fields.get('tags-ignore')?.value, 'tags-ignore'),
  };
}

interface Defaults {
  readonly shell?: string;
  readonly workingDirectory?: Text;
}

function readDefaults(reader: Reader, tree: Tree | undefined, outer: Defaults): Defaults {
  const run = reader.fields(
    reader.fields(tree, ['run'], 'defaults').get('run')?.value,
    ['shell', 'working-directory'],
    'defaults.run',
  );
  const shell = reader.literal(run.get('shell')?.value, 'shell');
  const directory = run.get('working-directory')?.value;
  return {
    ...outer,
    ...(shell === null ? {} : { shell }),
    ...(directory === undefined ? {} : { workingDirectory: reader.text(directory) }),
  };
}

const JOB_KEYS = [
  'name',
  'runs-on',
  'needs',
  'if',
  'env',
  'defaults',
  'steps',
  'outputs',
  'strategy',
  'timeout-minutes',
  'permissions',
];
const LINUX = /^(ubuntu|debian|linux|self-hosted|x64)/i;

function readJob(
  reader: Reader,
  id: string,
  at: Position,
  tree: Tree,
  env: Record<string, Text>,
  outer: Defaults,
): JobPlan[] {
  const job = reader.fields(tree, JOB_KEYS, `jobs.${id}`);
  const defaults = readDefaults(reader, job.get('defaults')?.value, outer);
  const runsOn = reader.strings(job.get('runs-on')?.value, 'runs-on') ?? [];
  if (!runsOn.every((label) => LINUX.test(label))) {
    reader.refuse(
      job.get('runs-on')?.at ?? at,
      `runs-on: ${runsOn.join(', ')} is not supported`,
      'Builds run on Linux: write ubuntu-latest.',
    );
  }
  const steps = job.get('steps')?.value;
  const items = steps?.kind === 'sequence' ? steps.items : [];
  if (items.length === 0) reader.refuse(at, `the job ${id} has no steps`, 'Reusable workflows are not supported.');
  if (items.length > planLimits.steps) reader.refuse(at, `${items.length} steps`, `Keep at most ${planLimits.steps}.`);
  const name = reader.literal(job.get('name')?.value, 'job name');
  const plan = {
    id,
    needs: reader.strings(job.get('needs')?.value, 'needs') ?? [],
    condition: reader.condition(job.get('if')?.value),
    env: [env, reader.textMap(job.get('env')?.value, 'env')],
    timeoutMinutes: reader.minutes(job.get('timeout-minutes')?.value) ?? 60,
    outputs: reader.textMap(job.get('outputs')?.value, 'outputs'),
    steps: items.map((item) => readStep(reader, item, defaults)),
  };
  const cells = readMatrix(reader, job.get('strategy')?.value);
  return cells.map((matrix) => {
    const suffix = matrix === null ? '' : ` (${Object.values(matrix).map(String).join(', ')})`;
    return { key: `${id}${suffix}`.slice(0, 100), name: `${name ?? id}${suffix}`.slice(0, 200), matrix, ...plan };
  });
}

type Cell = Record<string, unknown>;

/** Every cell of a static matrix; one null for a job without. `include` extends matching cells or adds one, as GitHub documents. */
function readMatrix(reader: Reader, tree: Tree | undefined): (Cell | null)[] {
  const strategy = reader.fields(tree, ['matrix', 'fail-fast', 'max-parallel'], 'strategy');
  const matrix = strategy.get('matrix');
  if (matrix === undefined) return [null];
  const fields = reader.fields(matrix.value, 'any', 'matrix');
  let cells: Cell[] = [{}];
  for (const [axis, { value, at }] of fields) {
    if (axis === 'include' || axis === 'exclude') continue;
    const values = plainValue(reader, value);
    if (!Array.isArray(values)) reader.refuse(at, `matrix.${axis} has to be a list`, 'Write the values in the file.');
    else cells = cells.flatMap((cell) => values.map((one: unknown) => ({ ...cell, [axis]: one })));
    if (cells.length > planLimits.matrixCells) break;
  }
  const listOf = (name: string): Cell[] => {
    const tree = fields.get(name)?.value;
    return tree === undefined ? [] : ((plainValue(reader, tree) as Cell[] | null) ?? []);
  };
  const axes = [...fields.keys()].filter((name) => name !== 'include' && name !== 'exclude');
  const agrees = (cell: Cell, other: Cell, names: readonly string[]): boolean =>
    names.every((name) => JSON.stringify(cell[name]) === JSON.stringify(other[name]));
  cells =
    axes.length === 0
      ? []
      : cells.filter((cell) => !listOf('exclude').some((out) => agrees(cell, out, Object.keys(out))));
  for (const extra of listOf('include')) {
    const shared = axes.filter((axis) => axis in extra);
    const fitting = cells.filter((cell) => shared.length > 0 && agrees(cell, extra, shared));
    if (fitting.length === 0) cells.push({ ...extra });
    for (const cell of fitting) Object.assign(cell, extra);
  }
  if (cells.length === 0 || cells.length > planLimits.matrixCells) {
    reader.refuse(matrix.at, `the matrix has ${cells.length} cells`, `Keep between 1 and ${planLimits.matrixCells}.`);
  }
  return cells;
}

function plainValue(reader: Reader, tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'sequence') return tree.items.map((item) => plainValue(reader, item));
  if (tree.kind === 'mapping')
    return Object.fromEntries(tree.entries.map((entry) => [entry.key, plainValue(reader, entry.value)]));
  reader.refuse(tree.at, 'a matrix made by an expression is not supported', 'Write the values in the file.');
  return null;
}

const STEP_KEYS = [
  'id',
  'name',
  'if',
  'env',
  'run',
  'shell',
  'working-directory',
  'uses',
  'with',
  'continue-on-error',
  'timeout-minutes',
];

function readStep(reader: Reader, tree: Tree, defaults: Defaults): StepPlan {
  const step = reader.fields(tree, STEP_KEYS, 'step');
  const base = {
    id: reader.literal(step.get('id')?.value, 'id'),
    name: step.has('name') ? reader.text(step.get('name')?.value) : null,
    condition: reader.condition(step.get('if')?.value),
    env: reader.textMap(step.get('env')?.value, 'env'),
    continueOnError: reader.flag(step.get('continue-on-error')?.value, 'continue-on-error'),
    timeoutMinutes: reader.minutes(step.get('timeout-minutes')?.value),
  };
  const uses = step.get('uses');
  if (uses !== undefined) return { kind: 'uses', ...base, ...readAction(reader, uses.value, step.get('with')?.value) };
  const script = reader.text(step.get('run')?.value);
  refuseUntrusted(reader, step.get('run')?.value, script);
  const shell = reader.literal(step.get('shell')?.value, 'shell') ?? defaults.shell ?? 'bash-default';
  if (!['bash', 'sh', 'python', 'bash-default'].includes(shell)) {
    reader.refuse(
      step.get('shell')?.at ?? tree.at,
      `the shell ${shell} is not supported`,
      'Supported: bash, sh, python.',
    );
  }
  const directory = step.get('working-directory')?.value;
  return {
    kind: 'run',
    ...base,
    script,
    shell: shell as 'bash' | 'bash-default' | 'sh' | 'python',
    workingDirectory: directory === undefined ? (defaults.workingDirectory ?? null) : reader.text(directory),
  };
}

/** A branch name is a fine place for `$(curl …)`: whoever may shape a text may not have it pasted into a script. */
function refuseUntrusted(reader: Reader, tree: Tree | undefined, script: Text): void {
  if (tree === undefined || !('expression' in script) || findExpressionFault(script.expression) !== undefined) return;
  const context = findUntrustedContext(script.expression);
  if (context === undefined) return;
  reader.refuse(
    tree.at,
    `\${{ ${context} }} inside a script would run what an outsider wrote`,
    `Pass it by env: and use "$NAME" in the script.`,
  );
}

function readAction(
  reader: Reader,
  tree: Tree,
  inputs: Tree | undefined,
): { action: ActionName; with: Record<string, Text> } {
  const uses = reader.literal(tree, 'uses') ?? '';
  const name = uses.split('@')[0] ?? '';
  if (!Object.hasOwn(supportedActions, name)) {
    const known = Object.keys(supportedActions).join(', ');
    reader.refuse(
      tree.at,
      `the action ${uses} is not supported`,
      `Supported: ${known}. Write other steps as run: scripts.`,
    );
    return { action: 'actions/checkout', with: {} };
  }
  const action = name as ActionName;
  reader.fields(inputs, supportedActions[action], `${action} with`);
  return { action, with: reader.textMap(inputs, 'with') };
}
