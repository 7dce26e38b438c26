import { Problem } from '#base';
import { sourceUnavailable } from './problems.ts';

/** What a log is made from: an append-only sequence that is durable before the log hears of it. */
export interface LeafSource {
  size(): Promise<number>;
  /** Exactly `count` entries from number `from` on; throws if one is missing. Always the same bytes for the same number. */
  read(from: number, count: number): Promise<Buffer[]>;
}

/** Reads entries, or says with a `Problem` that they cannot be had. */
export async function readLeaves(source: LeafSource, from: number, count: number): Promise<Buffer[]> {
  let leaves: Buffer[];
  try {
    leaves = await source.read(from, count);
  } catch (error) {
    throw Problem.is(error) ? error : sourceUnavailable(error);
  }
  // One entry fewer would move every later one: never guess.
  if (leaves.length !== count) throw sourceUnavailable(new Error(`${leaves.length} entries instead of ${count}`));
  return leaves;
}

/** How findings speak of a source. */
export interface SourceName {
  /** Name of the check that compares the source with the signed log. */
  check: string;
  /** Code of its failure. */
  code: string;
  /** What entry `index` was made from, for people. */
  describe(index: number): string;
}

export const entriesSource: SourceName = {
  check: 'ledger.source',
  code: 'ledger.source_altered',
  describe: (index) => `source row of entry ${index}`,
};
