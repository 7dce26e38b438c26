/**
 * The functional self-test of a runner: runs the very profile that builds get against a hostile workspace and a hostile program.
 * A version number proves nothing (distributions back-port fixes); what counts is what happens.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, symlink, writeFile, mkdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type Check, failed, passed, Problem, type Verdict, verdictOf } from '#base';
import { encodeProbes, probeProgram, syscallProbes } from './probes.ts';
import { findProcesses } from './process.ts';
import { createProfile, insideUser, type Mounts, type SandboxProfile } from './profile.ts';
import type { Sandbox, SandboxCommand } from './sandbox.ts';
import { errno } from './seccomp.ts';
import { hostArchitecture, syscallNumber } from './syscalls.ts';

export interface SelfTest {
  readonly verdict: Verdict;
  /** What else was seen; informs, and decides nothing. */
  readonly observations: {
    readonly bubblewrap: string;
    /** The bubblewrap of this machine follows planted symlinks when asked to mount below a build's own files (CVE-2026-87766). */
    readonly followsPlantedSymlinks: boolean;
  };
}

export interface SelfTestSubject {
  readonly sandbox: Sandbox;
  readonly profile: SandboxProfile;
  readonly runWith: (profile: SandboxProfile, command: SandboxCommand) => ReturnType<Sandbox['run']>;
  readonly dir: string;
  readonly bubblewrap: string;
}

export async function runSelfTest(subject: SelfTestSubject): Promise<SelfTest> {
  const dir = join(subject.dir, randomBytes(6).toString('hex'));
  await mkdir(dir, { recursive: true, mode: 0o711 });
  const traps = await openTraps();
  try {
    const scene = await setScene(subject.sandbox, dir);
    const seen = await runProbe(subject, scene, traps);
    const checks = [
      ...judge(seen, subject),
      await checkCanary('mount points cannot be redirected', scene.canary),
      await checkSurvivors(subject, scene, 'killed'),
      await checkSurvivors(subject, scene, 'finished'),
      await checkRunnerGroups(),
    ];
    const followsPlantedSymlinks = await isRawBwrapVulnerable(subject, scene);
    return { verdict: verdictOf(checks), observations: { bubblewrap: subject.bubblewrap, followsPlantedSymlinks } };
  } finally {
    await traps.close();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Scene {
  readonly mounts: Mounts;
  readonly canary: string;
  readonly hostFile: string;
}

const TRAP_NAMES = ['usr', 'etc', 'proc', 'dev', 'tmp', 'home', 'opt', 'ci', 'ws', 'cache', 'waybill', 'build', '.git'];

/** A workspace whose every likely mount point name is a symlink to a host directory that the sandbox's uid may write. */
async function setScene(sandbox: Sandbox, dir: string): Promise<Scene> {
  const [workspace, home, canary] = [join(dir, 'ws'), join(dir, 'home'), join(dir, 'canary')];
  for (const path of [workspace, home, canary]) await sandbox.createDirectory(path);
  for (const name of TRAP_NAMES) {
    await symlink(`/oldroot${canary}`, join(workspace, name));
    await symlink(`/oldroot${canary}`, join(home, name));
  }
  const hostFile = join(dir, 'host-file');
  await writeFile(hostFile, 'not for builds\n', { mode: 0o644 });
  return { mounts: { workspace, home }, canary, hostFile };
}

interface Traps {
  readonly port: number;
  readonly abstract: string;
  close(): Promise<void>;
}

/** A loopback listener and an abstract socket of the host: a sandbox that shares the network would reach both. */
async function openTraps(): Promise<Traps> {
  const abstract = `waybill-self-test-${randomBytes(8).toString('hex')}`;
  const servers: Server[] = [];
  const listen = (where: { host: string; port: number } | { path: string }): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer((socket) => socket.destroy());
      servers.push(server);
      server.once('error', reject);
      server.listen(where, () => resolve(server));
    });
  const tcp = await listen({ host: '127.0.0.1', port: 0 });
  await listen({ path: `\0${abstract}` });
  const address = tcp.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const close = async (): Promise<void> => {
    for (const server of servers) await new Promise((resolve) => server.close(resolve));
  };
  return { port, abstract, close };
}

const PROBE_OUTPUT_BYTES = 64 * 1024;
const PROBE_TIME_MS = 20_000;

async function runProbe(subject: SelfTestSubject, scene: Scene, traps: Traps): Promise<Map<string, string>> {
  const { text } = await runCollecting(subject, subject.profile, {
    argv: [
      '/usr/bin/perl',
      '-e',
      probeProgram,
      scene.hostFile,
      `${traps.port}`,
      traps.abstract,
      ...encodeProbes(subject.profile.architecture),
    ],
    env: { PATH: '/usr/bin' },
    mounts: scene.mounts,
    limits: { wallClockMs: PROBE_TIME_MS },
  });
  const pairs = text.split('\n').map((line) => line.split('\t', 2) as [string, string | undefined]);
  return new Map(pairs.filter(([key]) => key !== '').map(([key, value]) => [key, value ?? '']));
}

async function runCollecting(
  subject: SelfTestSubject,
  profile: SandboxProfile,
  command: SandboxCommand,
): Promise<{ text: string }> {
  let text = '';
  await subject.runWith(profile, {
    ...command,
    onOutput: (bytes) => {
      if (text.length < PROBE_OUTPUT_BYTES) text += bytes.toString('utf8');
    },
  });
  return { text };
}

/** Compares what the probe saw with the only acceptable answers. A line that is missing fails its check. */
function judge(seen: ReadonlyMap<string, string>, { profile, sandbox }: SelfTestSubject): Check[] {
  const expectLine = (name: string, key: string, expected: string): Check => {
    const found = seen.get(key) ?? 'no answer';
    return found === expected
      ? passed(name, found)
      : failed(name, { code: 'sandbox.self_test_failed', expected, found });
  };
  const zero = '0'.repeat(16);
  const limits = sandbox.limits;
  return [
    expectLine('the probe ran to its end', 'done', '1'),
    expectLine('user is not root', 'uid', `${insideUser.uid} ${insideUser.uid}`),
    ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((set) =>
      expectLine(`no capabilities: ${set}`, set, zero),
    ),
    expectLine('no new privileges', 'NoNewPrivs', '1'),
    expectLine('system call filter is on', 'Seccomp', '2'),
    expectLine('environment of pid 1 is empty', 'init-environment', '0'),
    expectLine('environment is the declared one', 'environment', 'PATH,PWD'),
    expectLine('only descriptors 0, 1, 2', 'descriptors', '0,1,2'),
    expectLine('host name is fixed', 'hostname', insideUser.hostname),
    expectLine('only its own processes are visible', 'processes', '1,2'),
    expectLine('only a loopback interface', 'interfaces', 'lo'),
    expectLine('no route', 'routes', '0'),
    expectLine('root directory is ours', 'root', 'bin,dev,etc,home,lib,lib64,opt,proc,sbin,tmp,usr,ws'),
    expectLine('runner’s files are absent', 'host-file', ''),
    expectLine('host secrets are absent', 'host-secrets', ''),
    ...['/', '/usr', '/etc', '/dev', '/opt/waybill', '/proc/sys/kernel'].map((path) =>
      expectLine(`read-only: ${path}`, `write ${path}`, 'refused'),
    ),
    ...['/ws', '/home/build', '/tmp', '/dev/shm'].map((path) =>
      expectLine(`writable: ${path}`, `write ${path}`, 'allowed'),
    ),
    expectUnreachable(seen, 'loopback of the host'),
    expectUnreachable(seen, 'metadata service'),
    expectUnreachable(seen, 'abstract socket of the host'),
    expectLine('limit: address space', 'limit as', twice(limits.addressSpaceBytes)),
    expectLine('limit: processes', 'limit nproc', twice(limits.processes)),
    expectLine('limit: file size', 'limit fsize', twice(limits.fileBytes)),
    expectLine('limit: CPU time', 'limit cpu', twice(limits.cpuSeconds)),
    expectLine('limit: open files', 'limit nofile', twice(limits.openFiles)),
    expectLine('limit: /tmp', 'size /tmp', `${limits.temporaryBytes}`),
    expectLine('limit: /dev/shm', 'size /dev/shm', `${limits.sharedMemoryBytes}`),
    ...judgeSyscalls(seen, profile),
  ];
}

const twice = (value: number): string => `${value} ${value}`;

function expectUnreachable(seen: ReadonlyMap<string, string>, what: string): Check {
  const found = seen.get(`connect ${what.split(' ')[0]}`) ?? 'no answer';
  const isRefused = found !== 'connected' && found !== 'timed out' && found !== 'no answer';
  const name = `unreachable: ${what}`;
  return isRefused
    ? passed(name, found)
    : failed(name, { code: 'sandbox.self_test_failed', expected: 'an error at once', found });
}

function judgeSyscalls(seen: ReadonlyMap<string, string>, profile: SandboxProfile): Check[] {
  const onThisHost = syscallProbes.filter(
    ({ call }) => typeof call === 'number' || syscallNumber(profile.architecture, call) !== undefined,
  );
  return onThisHost.map(({ name, expect }) => {
    const expected = expect === 'allowed' ? 'allowed' : `${errno[expect]}`;
    const found = seen.get(`syscall ${name}`) ?? 'no answer';
    return found === expected
      ? passed(`system call ${name}`, expect)
      : failed(`system call ${name}`, { code: 'sandbox.self_test_failed', expected, found });
  });
}

async function checkCanary(name: string, canary: string): Promise<Check> {
  const entries = await readdir(canary);
  return entries.length === 0
    ? passed(name)
    : failed(name, { code: 'sandbox.self_test_failed', expected: 'an untouched directory', found: entries.join(', ') });
}

const DAEMON_TIME_MS = 15_000;

/** A daemon that left its session and ignores signals must not outlive its step, whether that was killed or ended well. */
async function checkSurvivors(subject: SelfTestSubject, scene: Scene, how: 'killed' | 'finished'): Promise<Check> {
  const name = `no process survives a step that was ${how}`;
  const marker = `86399.${Math.floor(Math.random() * 1e9)}`;
  const daemon = `trap '' HUP TERM INT; setsid sleep ${marker} >/dev/null 2>&1 & sleep 0.02; echo up`;
  const abort = new AbortController();
  await subject.runWith(subject.profile, {
    argv: ['/bin/sh', '-c', how === 'killed' ? `${daemon}; sleep ${marker}` : daemon],
    env: { PATH: '/usr/bin' },
    mounts: scene.mounts,
    limits: { wallClockMs: DAEMON_TIME_MS },
    signal: abort.signal,
    onOutput: (bytes) => {
      if (how === 'killed' && bytes.includes('up')) abort.abort();
    },
  });
  const survivors = await findProcesses(marker);
  for (const pid of survivors) process.kill(pid, 'SIGKILL');
  return survivors.length === 0
    ? passed(name)
    : failed(name, { code: 'sandbox.self_test_failed', expected: 'no process', found: `pids ${survivors.join(', ')}` });
}

const POWERFUL_GROUPS = new Set(['docker', 'disk', 'kvm', 'lxd', 'incus', 'libvirt', 'shadow', 'sudo', 'wheel', 'adm']);

/** Groups that amount to root. When the runner is root itself, sandboxes start under another uid with no groups at all. */
async function checkRunnerGroups(): Promise<Check> {
  const name = 'runner is in no powerful group';
  if (process.getuid?.() === 0) return passed(name, 'sandboxes start under their own uid without supplementary groups');
  const mine = new Set(process.getgroups?.() ?? []);
  const lines = (await readFile('/etc/group', 'utf8')).split('\n').map((line) => line.split(':'));
  const found = lines.filter(([group, , gid]) => POWERFUL_GROUPS.has(group ?? '') && mine.has(Number(gid)));
  return found.length === 0
    ? passed(name)
    : failed(name, {
        code: 'sandbox.self_test_failed',
        expected: 'none of docker, disk, kvm, lxd, sudo, …',
        found: found.map(([group]) => group).join(', '),
        fix: 'Run the runner under an account of its own.',
      });
}

/** Asks bubblewrap for a mount point below the hostile workspace, as a careless caller would; tells whether it went outside. */
async function isRawBwrapVulnerable(subject: SelfTestSubject, scene: Scene): Promise<boolean> {
  const architecture = hostArchitecture();
  if (architecture === undefined) return false;
  const careless = createProfile(architecture, 'fixed-mount-points');
  try {
    await runCollecting(subject, careless, { argv: ['/usr/bin/true'], mounts: scene.mounts });
  } catch (error) {
    if (!Problem.is(error)) throw error;
  }
  return (await readdir(scene.canary)).length > 0;
}
