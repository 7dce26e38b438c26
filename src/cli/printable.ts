/** Text from elsewhere (commit messages, file names, logs) must not drive the terminal that it is shown on. */

// C0 and C1 controls, and the characters that reorder or hide text.
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const UNSAFE_IN_LOG =
  // oxlint-disable-next-line no-control-regex
  /\u001b\[[0-9;]{0,32}m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** One line: everything that could move the cursor or hide a character becomes visible. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => (char === '\n' || char === '\t' ? ' ' : '\ufffd'));
}

/** A log: lines, tabs and, where wanted, colours stay; nothing else that a terminal obeys does. */
export function printableLog(text: string, colours: boolean): string {
  return text.replace(UNSAFE_IN_LOG, (found) => {
    if (found.length > 1) return colours ? found : '';
    return found === '\r' ? '' : '\ufffd';
  });
}
