/** Runs one step of a plan in a sandbox of its own. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '#base';
import { insidePaths, type Sandbox } from '#sandbox';
import { type Contexts, evaluate, type RunStatus, toText } from '../expressions.ts';
import type { StepPlan, Text } from '../plan.ts';
import type { AttemptApi } from './api.ts';
import type { JobLog } from './log.ts';
import type { Masks } from './masks.ts';
import { createStepOutput } from './output.ts';
import {
  parseValues,
  prepareStepFiles,
  readStepFile,
  requireHarmlessNames,
  stepFileEnvironment,
} from './step-files.ts';

export interface Output {
  readonly name: string;
  readonly digest: string;
}

/** What the steps of one job share. */
export interface JobScene {
  readonly sandbox: Sandbox;
  readonly dir: string;
  readonly log: JobLog;
  readonly masks: Masks;
  readonly api: AttemptApi;
  readonly commit: string;
  readonly signal: AbortSignal;
  /** Node and the image assembler, read-only inside the sandbox. */
  readonly tools: Readonly<Record<string, string>>;
  /** Set by steps through GITHUB_ENV and GITHUB_PATH. */
  readonly laterEnv: Map<string, string>;
  readonly paths: string[];
  readonly outputs: Output[];
  sourceDate: string | undefined;
}

export interface StepCall {
  readonly plan: StepPlan;
  readonly contexts: Contexts;
  readonly status: RunStatus;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface StepEnd {
  readonly exitCode: number | null;
  readonly success: boolean;
  readonly outputs: Readonly<Record<string, string>>;
}

export function render(text: Text, contexts: Contexts, status: RunStatus): string {
  return 'text' in text ? text.text : toText(evaluate(text.expression, contexts, status));
}

const SYSTEM_PATH = '/usr/local/bin:/usr/bin:/bin';
const BUILD_CLOCK = { TZ: 'UTC', LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8' } as const;

export function environmentOf(
  scene: JobScene,
  env: Readonly<Record<string, string>>,
  github: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const named = Object.entries(github).map(([name, value]) => [`GITHUB_${name.toUpperCase()}`, toText(value)] as const);
  return {
    ...BUILD_CLOCK,
    ...(scene.sourceDate === undefined ? {} : { SOURCE_DATE_EPOCH: scene.sourceDate }),
    ...Object.fromEntries(scene.laterEnv),
    ...env,
    ...Object.fromEntries(named),
    ...stepFileEnvironment,
    PATH: [...scene.paths.toReversed(), env['PATH'] ?? SYSTEM_PATH].join(':'),
    HOME: insidePaths.home,
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    RUNNER_OS: 'Linux',
    RUNNER_ARCH: process.arch === 'arm64' ? 'ARM64' : 'X64',
    RUNNER_TEMP: '/tmp',
    WAYBILL: 'true',
  };
}

const shells: Readonly<Record<string, readonly string[]>> = {
  'bash-default': ['/bin/bash', '-e'],
  bash: ['/bin/bash', '--noprofile', '--norc', '-eo', 'pipefail'],
  sh: ['/bin/sh', '-e'],
  python: ['/usr/bin/python3'],
};

export async function runScript(
  scene: JobScene,
  call: StepCall & { plan: Extract<StepPlan, { kind: 'run' }> },
): Promise<StepEnd> {
  const { plan, contexts, status } = call;
  const script = render(plan.script, contexts, status);
  const directory =
    plan.workingDirectory === null ? insidePaths.workspace : render(plan.workingDirectory, contexts, status);
  const shell = [...(shells[plan.shell] ?? []), `${insidePaths.commands}/script`];
  // The directory may be one an earlier step made, so it is entered inside, where a bad one is the step's own failure.
  const argv = ['/bin/sh', '-c', 'cd -- "$0" && exec "$@"', directory, ...shell];
  return await runCommand(scene, call, argv, script);
}

/** One sandboxed command with the step's files around it. */
export async function runCommand(
  scene: JobScene,
  call: StepCall,
  argv: readonly string[],
  script?: string,
): Promise<StepEnd> {
  const commands = join(scene.dir, 'commands');
  await rm(commands, { recursive: true, force: true });
  await prepareStepFiles(commands, scene.sandbox, script);
  const output = createStepOutput(scene.masks, (line) => scene.log.line(line));
  const ending = await scene.sandbox.run({
    argv,
    env: environmentOf(scene, call.env, (call.contexts.github ?? {}) as Record<string, unknown>),
    mounts: { ...mountsOf(scene), commands },
    limits: { wallClockMs: call.timeoutMs },
    signal: scene.signal,
    onOutput: (bytes) => output.write(bytes),
  });
  output.end();
  if (ending.outcome === 'timed_out')
    scene.log.line(`##[error]The step was stopped after ${Math.round(call.timeoutMs / 1000)} s.`);
  const outputs = parseValues(await readStepFile(commands, 'output'));
  const env = parseValues(await readStepFile(commands, 'env'));
  requireHarmlessNames(env);
  for (const [name, value] of env) scene.laterEnv.set(name, value);
  for (const path of (await readStepFile(commands, 'path')).split('\n'))
    if (path.startsWith('/')) scene.paths.push(path.trim());
  const success = ending.outcome === 'exited' && ending.exitCode === 0 && output.refused.length === 0;
  return { exitCode: ending.exitCode, success, outputs: Object.fromEntries(outputs) };
}

export function mountsOf(scene: JobScene): {
  workspace: string;
  home: string;
  tools: Readonly<Record<string, string>>;
} {
  return { workspace: join(scene.dir, 'ws'), home: join(scene.dir, 'home'), tools: scene.tools };
}

export const stepFailed = (message: string, hint: string): Problem =>
  new Problem({ code: 'build.step_failed', kind: 'rejected', message, hint });
