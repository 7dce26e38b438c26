/** Resource limits of one sandboxed command. Sizes in bytes, times as their names say. */
export interface SandboxLimits {
  /** Wall-clock time after which the whole tree is killed. */
  readonly wallClockMs: number;
  /** CPU time of one process (RLIMIT_CPU). */
  readonly cpuSeconds: number;
  /** Address space of one process (RLIMIT_AS). A JVM reserves a quarter of the machine's memory before it uses any. */
  readonly addressSpaceBytes: number;
  /** Processes and threads of the sandbox's uid (RLIMIT_NPROC). */
  readonly processes: number;
  /** One file (RLIMIT_FSIZE). */
  readonly fileBytes: number;
  readonly openFiles: number;
  /** The tmpfs at /tmp and at /dev/shm. */
  readonly temporaryBytes: number;
  readonly sharedMemoryBytes: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

export const defaultLimits: SandboxLimits = {
  wallClockMs: 60 * 60_000,
  cpuSeconds: 3600,
  addressSpaceBytes: 16 * GIB,
  processes: 512,
  fileBytes: 8 * GIB,
  openFiles: 4096,
  temporaryBytes: 1 * GIB,
  sharedMemoryBytes: 64 * MIB,
};

/** Arguments for prlimit(1), which sets the limits on itself and becomes bubblewrap. Numbers only: nothing secret in argv. */
export function prlimitArguments(limits: SandboxLimits): string[] {
  return [
    `--as=${limits.addressSpaceBytes}`,
    `--nproc=${limits.processes}`,
    `--fsize=${limits.fileBytes}`,
    `--cpu=${limits.cpuSeconds}`,
    `--nofile=${limits.openFiles}`,
    '--core=0',
    '--memlock=0',
  ];
}
