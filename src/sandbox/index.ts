/**
 * sandbox: runs one command isolated.
 * Guarantees: no network, no file of the host but /usr (read-only) and what the caller names, no capability, no environment but
 * the declared one, limits on memory, processes, files and time; when `run` returns, every process it started is dead.
 * `selfTest` proves this on the machine at hand before any build may start. Holds no state and writes no facts.
 */
export { defaultLimits, type SandboxLimits } from './limits.ts';
export { type Ending, findProcesses, type HostUser } from './process.ts';
export { insidePaths, insideUser, type Mounts, type Protection, protections } from './profile.ts';
export { openSandbox, type Sandbox, type SandboxCommand, type SandboxOptions } from './sandbox.ts';
export { type SelfTest } from './selftest.ts';
export { installedPackages } from './toolchain.ts';
