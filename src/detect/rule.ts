/** What a detection rule is. Rules are data; `rules.ts` holds ours. */

/** `certain`: a checksum or the structure proves it. `likely`: the shape is unmistakable. `possible`: it may be one. */
export type Confidence = 'certain' | 'likely' | 'possible';

export interface Rule {
  /** Stable; part of what a refusal says. */
  readonly id: string;
  readonly title: string;
  /** Literal text of every match, matched without regard to case. Shorter than three characters costs speed. */
  readonly keywords: readonly string[];
  /** How many characters of the match precede the keyword, most often first. Without it: none. */
  readonly before?: readonly number[];
  /**
   * Sticky, tried only where a keyword says so. Every quantifier has an upper bound, so that a try costs a
   * bounded number of steps whatever the input. Group 1, if there is one, is the secret; otherwise the match.
   */
  readonly pattern: RegExp;
  /** The secret must not be the middle of a longer word: no letter, digit or underscore on either side. */
  readonly bounded?: true;
  /** Looks at the value: how sure, or undefined if it is none. Without it: `likely`. */
  readonly judge?: (value: string) => Confidence | undefined;
  /** Names a person gives to settings rather than a vendor's own format: placeholders are ignored. */
  readonly generic?: true;
}
