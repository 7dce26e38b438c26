import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, Problem } from '#base';
import { defaultLimits, type SandboxLimits } from './limits.ts';
import { type Ending, type HostUser, launch } from './process.ts';
import {
  createProfile,
  fillTemplate,
  insidePaths,
  type Mounts,
  type Protection,
  type SandboxProfile,
} from './profile.ts';
import { runSelfTest, type SelfTest } from './selftest.ts';
import { hostArchitecture } from './syscalls.ts';
import { buildEtc, installedPackages } from './toolchain.ts';

export interface SandboxCommand {
  /** Visible to every user of the host; nothing secret here. */
  readonly argv: readonly string[];
  /** A path inside; /ws unless said. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts: Mounts;
  readonly limits?: Partial<SandboxLimits>;
  readonly input?: Uint8Array;
  readonly signal?: AbortSignal;
  readonly onOutput?: (bytes: Buffer) => void | Promise<void>;
}

export interface Sandbox {
  /** Digest of the argument template and the system call filter: names the isolation a step had. */
  readonly profileDigest: Digest;
  readonly filterDigest: Digest;
  readonly limits: SandboxLimits;
  /** The uid that owns the files of builds; undefined when it is the runner's own. */
  readonly runAs: HostUser | undefined;
  run(command: SandboxCommand): Promise<Ending>;
  /** A directory that the sandbox may be given as workspace or home: mode 0700, owned by the sandbox's host uid. */
  createDirectory(path: string): Promise<void>;
  selfTest(): Promise<SelfTest>;
}

export interface SandboxOptions {
  /** A directory of the runner that no build can write; holds the synthesised /etc and output pipes. */
  readonly dir: string;
  readonly limits?: Partial<SandboxLimits>;
  /** Host uid for sandboxes. Needed when this process is root, impossible otherwise. */
  readonly runAs?: HostUser;
  /** Tests and drills only: the one protection to leave out. Changes the profile digest and fails the self-test. */
  readonly without?: Protection;
}

/** Uids above the range of systemd's dynamic users, without an account on any distribution we know of. */
const DEFAULT_HOST_USER: HostUser = { uid: 65_210, gid: 65_210 };

export async function openSandbox(options: SandboxOptions): Promise<Sandbox> {
  const architecture = hostArchitecture();
  if (architecture === undefined || process.platform !== 'linux') throw unsupportedHost();
  const profile = createProfile(architecture, options.without);
  const limits = { ...defaultLimits, ...options.limits };
  const runAs = process.getuid?.() === 0 ? (options.runAs ?? DEFAULT_HOST_USER) : undefined;
  if (runAs?.uid === 0) throw unsupportedHost();
  const etc = join(options.dir, 'etc');
  const scratch = join(options.dir, 'pipes');
  await mkdir(options.dir, { recursive: true, mode: 0o711 });
  await buildEtc(etc);
  await createOwned(scratch, runAs);
  const parts: Parts = { profile, limits, runAs, etc, scratch };
  const sandbox: Sandbox = {
    profileDigest: profile.digest,
    filterDigest: profile.filterDigest,
    limits,
    runAs,
    run: (command) => runCommand(parts, command),
    createDirectory: (path) => createOwned(path, runAs),
    selfTest: async () =>
      runSelfTest({
        sandbox,
        profile,
        runWith: (other, command) => runCommand({ ...parts, profile: other }, command),
        dir: join(options.dir, 'self-test'),
        bubblewrap: (await installedPackages(['bubblewrap']))['bubblewrap']?.version ?? 'unknown',
      }),
  };
  return sandbox;
}

interface Parts {
  readonly profile: SandboxProfile;
  readonly limits: SandboxLimits;
  readonly runAs: HostUser | undefined;
  readonly etc: string;
  readonly scratch: string;
}

async function runCommand(parts: Parts, command: SandboxCommand): Promise<Ending> {
  const limits = { ...parts.limits, ...command.limits };
  const args = fillTemplate(parts.profile, {
    cwd: command.cwd ?? insidePaths.workspace,
    env: command.env ?? {},
    mounts: command.mounts,
    limits,
    etc: parts.etc,
  });
  return launch({
    profile: parts.profile,
    args,
    argv: command.argv,
    limits,
    scratch: parts.scratch,
    runAs: parts.runAs,
    signal: command.signal,
    input: command.input,
    onOutput: command.onOutput ?? (() => undefined),
  });
}

async function createOwned(path: string, owner: HostUser | undefined): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  if (owner) await chown(path, owner.uid, owner.gid);
}

function unsupportedHost(): Problem {
  return new Problem({
    code: 'sandbox.unsupported_host',
    kind: 'unavailable',
    message: 'Builds can be isolated on Linux x86_64 and aarch64, under a uid other than 0.',
    hint: 'Start the runner on such a machine.',
  });
}
