/** A star stands for text inside one URL or ref, never across the `@` that separates a workflow from its ref. */
const STAR = String.raw`[A-Za-z0-9._~:/%+-]+`;

/**
 * Compares whole strings: every character of the pattern is literal but `*`, which stands for one or more harmless characters.
 * A `..` segment in the text never matches a star, so that no prefix can be climbed out of.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  if (!pattern.includes('*')) return pattern === text;
  if (text.split(/[/@]/).includes('..')) return false;
  const source = pattern
    .split('*')
    .map((literal) => literal.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`))
    .join(STAR);
  return new RegExp(`^${source}$`).test(text);
}

export function matchesAny(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, text));
}
