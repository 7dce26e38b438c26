/** What a log is made from: an append-only sequence that is durable before the log hears of it. */
export interface LeafSource {
  size(): Promise<number>;
  /** Exactly `count` entries from number `from` on; throws if one is missing. Always the same bytes for the same number. */
  read(from: number, count: number): Promise<Buffer[]>;
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
