/** The runner process: proves its sandbox, then claims jobs and runs them one after the other. Speaks only HTTPS to its server. */
import { chmod, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { faultPoint, Problem } from '#base';
import { openCheckpointWatch } from '#client';
import { installedPackages, openSandbox, type Sandbox, type SandboxLimits, type SelfTest } from '#sandbox';
import type { Assignment } from '../assignment.ts';
import type { SandboxRecord } from '../facts.ts';
import { createRunnerApi, type RunnerApi } from './api.ts';
import { runJob } from './job.ts';
import { isPassing } from './log.ts';
import { stageTools, type Tools } from './tools.ts';

export interface RunnerOptions {
  /** `https://host:port`. */
  readonly server: string;
  /** Path of the PEM file with the only CA to trust. */
  readonly caFile: string;
  /** Path of the file with the runner's credential. */
  readonly credentialFile: string;
  /** A directory for this runner alone. */
  readonly workDir: string;
  readonly signal: AbortSignal;
  readonly onLine?: (line: string) => void;
  readonly limits?: Partial<SandboxLimits>;
  /** Stop after this many jobs; for tests and for runners that live for one job. */
  readonly jobsMax?: number;
  /** How to speak to the server; HTTPS unless said. */
  readonly api?: RunnerApi;
}

const CLAIM_WAIT_SECONDS = 20;
const RETRY_MS_FIRST = 250;
const RETRY_MS_MAX = 10_000;

/** Packages whose versions go into provenance: what a build of the supported kinds uses. */
const TOOLCHAIN = [
  'bash',
  'binutils',
  'bubblewrap',
  'coreutils',
  'dash',
  'g++',
  'gcc',
  'gcc-12',
  'git',
  'gzip',
  'libc6',
  'libc6-dev',
  'make',
  'openjdk-17-jdk-headless',
  'openjdk-17-jre-headless',
  'perl-base',
  'python3',
  'tar',
  'xz-utils',
  'zip',
];

/** Works until the signal says stop. Throws `build.runner_unfit` before the first claim if the sandbox fails its self-test. */
export async function runRunner(options: RunnerOptions): Promise<void> {
  const say = options.onLine ?? (() => undefined);
  const sandbox = await openRunnerSandbox(options);
  const selfTest = await sandbox.selfTest();
  reportSelfTest(selfTest, say);
  if (!selfTest.verdict.ok) throw unfit(selfTest);
  const record = await describeSandbox(sandbox, selfTest);
  const tools = await stageTools(options.workDir, sandbox);
  const api = options.api ?? (await connect(options));
  const stop = new Promise<null>((resolve) =>
    options.signal.addEventListener('abort', () => resolve(null), { once: true }),
  );
  let done = 0;
  let retryMs = RETRY_MS_FIRST;
  try {
    while (!options.signal.aborted && done < (options.jobsMax ?? Infinity)) {
      const claim = api.claim({ sandbox: record, waitSeconds: CLAIM_WAIT_SECONDS });
      const assignment = await Promise.race([claim, stop]).catch((error: unknown) => {
        if (!isPassing(error)) throw error; // refused for good: the credential, or the shape of the answer
        return error as Problem;
      });
      if (Problem.is(assignment)) {
        say(assignment.message);
        await Promise.race([delay(retryMs), stop]);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
        continue;
      }
      retryMs = RETRY_MS_FIRST;
      if (assignment === null) continue;
      faultPoint('runner.after_claim');
      await runAssignment(options, sandbox, tools, api, assignment, say);
      done += 1;
    }
  } finally {
    api.close();
  }
}

/** A job that cannot be brought to its end is left to its lease: the server hands it out again or gives it up. */
async function runAssignment(
  options: RunnerOptions,
  sandbox: Sandbox,
  tools: Tools,
  api: RunnerApi,
  assignment: Assignment,
  say: (line: string) => void,
): Promise<void> {
  say(`job ${assignment.job} (${assignment.repository}, ${assignment.plan.key}), attempt ${assignment.attempt}`);
  const attempt = api.attempt(assignment);
  const dir = join(options.workDir, 'jobs', 'slot-0');
  try {
    const report = await runJob({ assignment, api: attempt, sandbox, dir, tools, signal: options.signal });
    say(`job ${assignment.job}: ${report?.result ?? 'given up'}`);
  } catch (error) {
    say(`job ${assignment.job}: ${error instanceof Error ? error.message : 'it could not be finished'}`);
  } finally {
    attempt.close();
  }
}

async function openRunnerSandbox({ workDir, limits }: RunnerOptions): Promise<Sandbox> {
  await mkdir(join(workDir, 'jobs'), { recursive: true, mode: 0o700 });
  // A sandbox started under a uid of its own has to reach its directory; it can list nothing on the way.
  if (process.getuid?.() === 0) for (const dir of [workDir, join(workDir, 'jobs')]) await chmod(dir, 0o711);
  const sandbox = await openSandbox({ dir: join(workDir, 'sandbox'), ...(limits ? { limits } : {}) });
  await removeLeftOvers(sandbox, join(workDir, 'jobs'));
  return sandbox;
}

/** What a runner that was killed left behind. Its processes died with it. */
async function removeLeftOvers(sandbox: Sandbox, jobs: string): Promise<void> {
  for (const name of await readdir(jobs)) {
    const path = join(jobs, name);
    await rm(path, { recursive: true, force: true }).catch(async () => {
      const mounts = { workspace: join(path, 'ws'), home: join(path, 'home') };
      await sandbox.run({ argv: ['/bin/chmod', '-R', 'u+rwX', '/ws', '/home/build'], mounts });
      await rm(path, { recursive: true, force: true });
    });
  }
}

async function connect({ server, caFile, credentialFile, workDir }: RunnerOptions): Promise<RunnerApi> {
  const [ca, token] = await Promise.all([readFile(caFile, 'utf8'), readFile(credentialFile, 'utf8')]);
  return createRunnerApi({ url: server, ca }, token.trim(), openCheckpointWatch(join(workDir, 'checkpoint.json')));
}

async function describeSandbox(sandbox: Sandbox, { verdict, observations }: SelfTest): Promise<SandboxRecord> {
  const packages = await installedPackages(TOOLCHAIN);
  return {
    profile: sandbox.profileDigest,
    filter: sandbox.filterDigest,
    bubblewrap: observations.bubblewrap,
    kernel: release(),
    selfTest: { ok: verdict.ok, checks: verdict.checks.length, failed: [] },
    toolchain: Object.entries(packages).map(([name, { version, architecture }]) => ({ name, version, architecture })),
  };
}

function reportSelfTest({ verdict, observations }: SelfTest, say: (line: string) => void): void {
  const bad = verdict.checks.filter(({ status }) => status !== 'passed');
  say(
    `sandbox self-test: ${verdict.checks.length - bad.length} of ${verdict.checks.length} checks passed (bubblewrap ${observations.bubblewrap})`,
  );
  for (const { name, expected, found } of bad)
    say(`  failed: ${name}: expected ${expected ?? ''}, found ${found ?? ''}`);
}

function unfit({ verdict }: SelfTest): Problem {
  const failed = verdict.checks.filter(({ status }) => status !== 'passed').map(({ name }) => name);
  return new Problem({
    code: 'build.runner_unfit',
    kind: 'rejected',
    message: `The sandbox of this machine does not hold: ${failed.join(', ').slice(0, 400)}.`,
    hint: 'Correct the machine; the runner starts no build before every check passes.',
    details: { failed },
  });
}
