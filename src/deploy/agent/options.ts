import type { Check, Problem } from '#base';
import type { AgentApi } from './port.ts';
import type { Places } from './place.ts';
import type { Exit } from './process.ts';
import type { StateFile } from './state.ts';
import type { Pins } from './verify.ts';
import type { Stamps } from './watch.ts';

export interface Program {
  args?: readonly string[];
  environment?: Readonly<Record<string, string>>;
}

export interface AgentOptions {
  api: AgentApi;
  pins: Pins;
  /** Everything the agent writes lies here. */
  directory: string;
  /** Artifacts to start, by name. */
  programs: Readonly<Record<string, Program>>;
  /** Artifacts to place without starting them, by name. */
  files?: readonly string[];
  onDrift?: 'report' | 'stop';
  planMs?: number;
  /** At most a second: drift is to be known within seconds. */
  watchMs?: number;
  signal: AbortSignal;
  /** A drill switches one off to show what it is for: then whatever the plan names is run, or whatever bytes came or lie there. */
  controls?: { verify?: boolean; hash?: boolean };
  onEvent?: (event: AgentEvent) => void;
}

export type AgentEvent =
  | { kind: 'deployed'; name: string; version: string; digest: string; path: string; pid: number | null }
  | { kind: 'refused'; name: string; check: Check }
  | { kind: 'drifted'; name: string; drift: string; path: string; expected: string; found: string }
  | { kind: 'stopped'; name: string; reason: string; detail: string }
  | { kind: 'trouble'; problem: Problem };

export interface Agent {
  options: AgentOptions;
  places: Places;
  file: StateFile;
  stamps: Stamps;
  retryAt: Map<string, number>;
  /** How programs of this life of the agent ended, by deployment. */
  exits: Map<string, Exit>;
  /** Deployments that are being stopped: their end is no surprise. */
  stopping: Set<string>;
}
