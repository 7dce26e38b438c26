/**
 * What a sandbox looks like: the fixed part of every bubblewrap command line, as a template whose digest goes into provenance.
 *
 * Mount points are a closed list of names on a fresh tmpfs that bubblewrap itself makes. Nothing is ever mounted at or below a
 * path that a build can write, so a planted symlink has nothing to redirect (CVE-2026-87766 in bubblewrap before 0.12).
 */
import { canonicalJson, type Digest, digestOf } from '#base';
import type { SandboxLimits } from './limits.ts';
import { buildFilter } from './seccomp.ts';
import type { Architecture } from './syscalls.ts';

/** Where a build finds things, on every machine. */
export const insidePaths = {
  workspace: '/ws',
  home: '/home/build',
  commands: '/ci',
  tools: '/opt/waybill',
} as const;

export const insideUser = { uid: 1000, gid: 1000, name: 'build', hostname: 'build' } as const;

/** One protection each; a test or a drill may leave out exactly one to show that a probe then succeeds. The runner leaves out none. */
export const protections = [
  'seccomp',
  'network',
  'processes',
  'capabilities',
  'limits',
  'empty-environment',
  'read-only-root',
  'own-files',
  'kill-tree',
  'fixed-mount-points',
  'closed-descriptors',
  'unprivileged-user',
] as const;
export type Protection = (typeof protections)[number];

export interface SandboxProfile {
  readonly architecture: Architecture;
  readonly filter: Buffer;
  readonly template: readonly string[];
  readonly digest: Digest;
  readonly filterDigest: Digest;
  readonly without: Protection | undefined;
}

/** Host paths for the variable parts of one command. All of them are directories or files that the runner made. */
export interface Mounts {
  readonly workspace: string;
  readonly home: string;
  readonly commands?: string | undefined;
  /** Read-only files and directories of the runner, by their name below `/opt/waybill`. */
  readonly tools?: Readonly<Record<string, string>> | undefined;
}

const ARGUMENTS_FD = 3;
const FILTER_FD = 4;
const STATUS_FD = 5;
export const descriptors = { arguments: ARGUMENTS_FD, filter: FILTER_FD, status: STATUS_FD } as const;

export function createProfile(architecture: Architecture, without?: Protection): SandboxProfile {
  const filter = buildFilter(architecture);
  const filterDigest = digestOf(filter);
  const template = templateFor(without);
  const digest = digestOf(canonicalJson({ architecture, template, filter: filterDigest, without: without ?? null }));
  return { architecture, filter, filterDigest, template, digest, without };
}

function templateFor(without: Protection | undefined): string[] {
  const unless = (protection: Protection, ...args: string[]): string[] => (without === protection ? [] : args);
  return [
    '--unshare-user',
    '--disable-userns',
    ...unless('processes', '--unshare-pid', '--unshare-ipc'),
    ...unless('network', '--unshare-net'),
    '--unshare-uts',
    '--unshare-cgroup',
    ...unless('kill-tree', '--die-with-parent'),
    '--new-session',
    ...(without === 'unprivileged-user'
      ? ['--uid', '0', '--gid', '0']
      : ['--uid', `${insideUser.uid}`, '--gid', `${insideUser.gid}`]),
    '--hostname',
    insideUser.hostname,
    '--clearenv',
    ...(without === 'capabilities' ? ['--cap-add', 'ALL'] : ['--cap-drop', 'ALL']),
    ...(without === 'own-files' ? ['--ro-bind', '/', '/host'] : []),
    '--ro-bind',
    '/usr',
    '/usr',
    ...['bin', 'lib', 'lib64', 'sbin'].flatMap((name) => ['--symlink', `usr/${name}`, `/${name}`]),
    '--ro-bind',
    '{etc}',
    '/etc',
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--size',
    '{sharedMemoryBytes}',
    '--tmpfs',
    '/dev/shm',
    ...unless('read-only-root', '--remount-ro', '/dev'),
    '--size',
    '{temporaryBytes}',
    '--tmpfs',
    '/tmp',
    '--dir',
    '/home',
    '--dir',
    insidePaths.tools,
    '{tools}',
    '--bind',
    '{home}',
    insidePaths.home,
    '{commands}',
    '--bind',
    '{workspace}',
    insidePaths.workspace,
    ...(without === 'fixed-mount-points' ? ['--dir', `${insidePaths.workspace}/cache/entry`] : []),
    ...unless('read-only-root', '--remount-ro', '/'),
    ...unless('seccomp', '--seccomp', `${FILTER_FD}`),
    '--json-status-fd',
    `${STATUS_FD}`,
    '--chdir',
    '{cwd}',
    '{env}',
  ];
}

export interface Invocation {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: Mounts;
  readonly limits: SandboxLimits;
  /** The synthesised /etc. */
  readonly etc: string;
}

const TOOL_NAME = /^[a-z][a-z0-9-]{0,30}$/;

/** The template with its holes filled: what bubblewrap reads, NUL-separated, from its argument descriptor. */
export function fillTemplate(profile: SandboxProfile, call: Invocation): string[] {
  const { mounts } = call;
  const holes: Record<string, readonly string[]> = {
    '{etc}': [call.etc],
    '{sharedMemoryBytes}': [`${call.limits.sharedMemoryBytes}`],
    '{temporaryBytes}': [`${call.limits.temporaryBytes}`],
    '{tools}': Object.entries(mounts.tools ?? {}).flatMap(([name, from]) => {
      if (!TOOL_NAME.test(name)) throw new Error(`bad tool name ${name}`);
      return ['--ro-bind', from, `${insidePaths.tools}/${name}`];
    }),
    '{home}': [mounts.home],
    '{commands}': mounts.commands === undefined ? [] : ['--bind', mounts.commands, insidePaths.commands],
    '{workspace}': [mounts.workspace],
    '{cwd}': [call.cwd],
    '{env}': Object.entries(call.env).flatMap(([name, value]) => ['--setenv', name, value]),
  };
  const filled = profile.template.flatMap((part) => holes[part] ?? [part]);
  if (filled.some((part) => part.includes('\0'))) throw new Error('a sandbox argument may not contain NUL');
  return filled;
}
