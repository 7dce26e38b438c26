/** What the gate looks at and how far it goes. Data, so that a drill can switch off one control and show its attack succeed. */

export interface SourceControls {
  /** Refs on the disk equal the recorded ones: before a push, a fetch, a build. */
  readonly diskRefs: boolean;
  readonly refNames: boolean;
  readonly appendOnly: boolean;
  readonly sizes: boolean;
  readonly smuggling: boolean;
  readonly signatures: boolean;
  readonly authors: boolean;
  readonly protectedPaths: boolean;
  readonly secrets: boolean;
  readonly certificates: boolean;
  /** The second lock: git moves no ref that the gate did not approve. */
  readonly refLock: boolean;
}

export type SourceControl = keyof SourceControls;

export const allControls: SourceControls = {
  diskRefs: true,
  refNames: true,
  appendOnly: true,
  sizes: true,
  smuggling: true,
  signatures: true,
  authors: true,
  protectedPaths: true,
  secrets: true,
  certificates: true,
  refLock: true,
};

export interface GateLimits {
  /** Packed, as received; git counts it. */
  readonly packBytes: number;
  readonly blobBytes: number;
  /** Unpacked bytes of all new objects together. */
  readonly totalBytes: number;
  /** Commits, tags and trees are read whole. */
  readonly structureBytes: number;
  readonly objects: number;
  /** Each is listed in the push's fact. */
  readonly commits: number;
  readonly refs: number;
  readonly pathBytes: number;
  /** For the decision, from the moment git hands over the push. */
  readonly gateMs: number;
  /** For the whole push. */
  readonly pushMs: number;
  /** How long a second push to the same repository waits for the first. */
  readonly waitMs: number;
}

const MIB = 1024 * 1024;

export const defaultGateLimits: GateLimits = {
  packBytes: 1024 * MIB,
  blobBytes: 50 * MIB,
  totalBytes: 2048 * MIB,
  structureBytes: 8 * MIB,
  objects: 200_000,
  commits: 1000,
  refs: 200,
  pathBytes: 1024,
  gateMs: 60_000,
  pushMs: 600_000,
  waitMs: 20_000,
};
