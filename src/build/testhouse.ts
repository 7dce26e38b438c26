/** For this module's tests: a real installation in a directory of its own, with a git repository whose pushes are recorded as accepted. */
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { type Attest, attestModule, createAttest } from '#attest';
import { type Clock, digestOf, newId, systemClock } from '#base';
import { type Caller, createIdentity, type Identity, identityModule } from '#identity';
import { createJournal, type Journal, type ModuleDefinition, systemActor } from '#journal';
import { createLedger, type Ledger } from '#ledger';
import { pushAccepted, sourceModule } from '#source';
import { type Db, type Objects, openDatabase, openObjects } from '#storage';
import { openVault, vaultModule } from '#vault';
import { buildModule } from './apply.ts';
import type { SandboxRecord } from './facts.ts';
import { type Build, createBuild } from './build.ts';
import type { AttemptApi, RunnerApi } from './runner/api.ts';
import { runRunner } from './runner/runner.ts';
import type { BuildSource } from './sources.ts';
import { startBuildWorkers } from './worker.ts';

export const PUBLIC_URL = 'https://waybill.example.com:8443';
const origin = { kind: 'http', address: '127.0.0.1' } as const;
const run = promisify(execFile);

export interface House {
  dir: string;
  db: Db;
  journal: Journal;
  modules: readonly ModuleDefinition[];
  objects: Objects;
  identity: Identity;
  attest: Attest | undefined;
  ledger: Ledger;
  build: Build;
  clock: Clock & { ahead: number };
  owner: Caller;
  runner: Caller;
  /** The server's calls as the runner sees them, without the wire. */
  api: RunnerApi;
  /** Commits these files (or a copy of a directory), records the push, waits until it is planned. */
  push: (
    files: Record<string, string> | { copyOf: string },
    ref?: string,
  ) => Promise<{ commit: string; runs: string[] }>;
  /** Runs `jobs` jobs with a real runner. */
  work: (jobs?: number) => Promise<string[]>;
  logOf: (run: string, job?: number) => Promise<string>;
}

/** `signing: false` leaves out the signing of provenance, which takes most of the time to set up. */
export async function withHouse(test: (house: House) => Promise<void>, { signing = true } = {}): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-build-'));
  await chmod(dir, 0o711);
  const clock = { ahead: 0, now: () => systemClock.now() + clock.ahead };
  const db = await openDatabase({ path: join(dir, 'waybill.db') });
  const modules = [vaultModule, identityModule, attestModule, sourceModule, buildModule];
  const journal = await createJournal({ db, clock, modules });
  const vault = await openVault({ dir: join(dir, 'vault'), db, journal });
  const objects = await openObjects({ dir: join(dir, 'objects') });
  const name = 'waybill.example.com';
  const ledger = await createLedger({
    journal,
    vault,
    dir: join(dir, 'ledger', 'events'),
    clock: systemClock,
    name,
    minIntervalMs: 1,
  });
  const attest = signing
    ? await createAttest({
        journal,
        db,
        vault,
        objects,
        clock,
        name,
        publicUrl: PUBLIC_URL,
        dir: join(dir, 'ledger', 'signatures'),
      })
    : undefined;
  const pepper = Buffer.alloc(32, 7);
  const identity = createIdentity({ journal, db, clock, pepper });
  const git = join(dir, 'git');
  const build = await createBuild({
    journal,
    db,
    clock,
    objects,
    identity,
    source: sourceOf(git),
    logsDir: join(dir, 'logs'),
    publicUrl: PUBLIC_URL,
    pepper,
  });
  const unsigned = { sign: () => Promise.reject(new Error('this house signs nothing')) };
  startBuildWorkers({ build, attest: attest ?? unsigned, version: '0.1.0' });
  try {
    const owner = await callerOf(identity, (await identity.bootstrapOwner())!.enrolment);
    const project = await identity.createProject(owner, 'acme');
    const { token } = await identity.createMachine(owner, { name: 'runner-1', grants: [{ role: 'runner' }] });
    const runner = (await identity.authenticate(token, origin))!;
    const api = directApi(build, runner);
    await run('git', ['init', '-q', '--initial-branch=main', git]);
    const runnerDir = join(dir, 'runner');
    await test({
      dir,
      db,
      journal,
      modules,
      objects,
      identity,
      attest,
      ledger,
      build,
      clock,
      owner,
      runner,
      api,
      push: async (files, ref = 'refs/heads/main') => {
        const commit = await commitFiles(git, files);
        const payload = {
          push: newId('psh'),
          repository: 'rep_hello',
          project: project.id,
          name: 'acme/hello',
          pusher: owner.principal,
          updates: [{ ref, old: '0'.repeat(40), new: commit }],
          tagged: [],
          commits: [],
          checks: [],
          certificate: null,
          certificateNonce: null,
        };
        const { number } = await journal.record({
          fact: pushAccepted,
          stream: 'repository/rep_hello',
          actor: systemActor('test'),
          payload,
        });
        await journal.idle();
        const queued = await journal.read({ after: number, limit: 100, types: ['build.run_queued'] });
        return { commit, runs: queued.map((fact) => (fact.payload as { run: string }).run) };
      },
      work: async (jobs = 1) => {
        const lines: string[] = [];
        await runRunner({
          server: PUBLIC_URL,
          caFile: '',
          credentialFile: '',
          workDir: runnerDir,
          signal: AbortSignal.timeout(60_000),
          jobsMax: jobs,
          api,
          onLine: (line) => lines.push(line),
        });
        await journal.idle();
        return lines;
      },
      logOf: async (id, index = 0) => {
        const { jobs } = await build.showRun(owner, id);
        return await build.readLog(owner, jobs[index]!.job);
      },
    });
  } finally {
    await journal.close();
    await build.close();
    await attest?.close();
    await ledger.close();
    vault.close();
    await db.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function callerOf(identity: Identity, enrolment: string): Promise<Caller> {
  const { token } = await identity.redeemEnrolment(enrolment, origin, 'access');
  return (await identity.authenticate(token, origin))!;
}

async function commitFiles(git: string, files: Record<string, string> | { copyOf: string }): Promise<string> {
  if ('copyOf' in files && typeof files['copyOf'] === 'string') await cp(files['copyOf'], git, { recursive: true });
  else {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(git, path)), { recursive: true });
      await writeFile(join(git, path), text);
    }
  }
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: '/nonexistent',
    GIT_AUTHOR_DATE: '2026-01-01T00:00:00Z',
    GIT_COMMITTER_DATE: '2026-01-01T00:00:00Z',
  };
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.com'];
  await run('git', ['-C', git, 'add', '-A'], { env });
  await run('git', ['-C', git, ...identity, 'commit', '-q', '--allow-empty', '-m', 'test'], { env });
  return (await run('git', ['-C', git, 'rev-parse', 'HEAD'], { env })).stdout.trim();
}

/** The port to the source module over plain git: pushes through the real gate are tested where servers are. */
function sourceOf(git: string): BuildSource {
  const text = async (...args: string[]): Promise<string> =>
    (await run('git', ['-C', git, ...args], { maxBuffer: 1e8 })).stdout;
  return {
    listFiles: async (_repository, commit) =>
      (await text('ls-tree', '-r', '--name-only', commit))
        .split('\n')
        .filter(Boolean)
        .map((path) => ({ path, mode: '100644', blob: '', size: 0 })),
    readFile: async (_repository, commit, path) => Buffer.from(await text('show', `${commit}:${path}`)),
    commitOf: async (_repository, object) => object,
    requireCommit: async () => ({ push: '', signer: null, key: null }),
    async openBundle(_repository, commit, ref = 'refs/heads/build') {
      await text('update-ref', ref, commit);
      const path = join(git, '..', `${newId('bdl')}.bundle`);
      await text('bundle', 'create', '-q', path, ref);
      return createReadStream(path);
    },
  };
}

export function directApi(build: Build, runner: Caller): RunnerApi {
  return {
    claim: async (request) =>
      (await build.claim(
        runner,
        { ...request, waitSeconds: Math.min(request.waitSeconds, 1) },
        new AbortController().signal,
      )) ?? null,
    attempt: (assignment) => {
      const { job, token } = assignment;
      const me = async (): Promise<Caller> => (await build.authenticateJob(token, origin)) ?? anonymous;
      const api: AttemptApi = {
        heartbeat: async () => void (await build.heartbeat(await me(), job)),
        fetchSource: async () => await build.openSource(await me(), job),
        appendLog: async (offset, bytes) => await build.appendLog(await me(), job, offset, bytesOf(bytes)),
        putOutput: async (output, content) => await build.putOutput(await me(), job, output, content),
        complete: async (report) => await build.complete(await me(), job, report),
        close: () => undefined,
      };
      return api;
    },
    close: () => undefined,
  };
}

export const anonymous: Caller = {
  kind: 'anonymous',
  name: 'anonymous',
  principal: 'anonymous',
  origin,
  credential: { type: 'none', id: 'none' },
};

export const bytesOf = (bytes: Uint8Array | string): Readable => Readable.from([Buffer.from(bytes)]);

export const sandboxRecord: SandboxRecord = {
  profile: digestOf('profile'),
  filter: digestOf('filter'),
  bubblewrap: '0',
  kernel: '6',
  selfTest: { ok: true, checks: 1, failed: [] },
  toolchain: [],
};

export const workflow = (steps: string, more = ''): Record<string, string> => ({
  '.github/workflows/ci.yml': `on: push\n${more}jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n${steps
    .trim()
    .split('\n')
    .map((line) => `      ${line}`)
    .join('\n')}\n`,
});
