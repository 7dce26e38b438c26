/** git's pkt-line framing (gitprotocol-common), as far as the server itself speaks it. */

export const FLUSH = '0000';
const PKT_BYTES_MAX = 65_516;

export function pktLine(text: string): string {
  const bytes = Math.min(Buffer.byteLength(text), PKT_BYTES_MAX);
  return (bytes + 4).toString(16).padStart(4, '0') + Buffer.from(text).subarray(0, bytes).toString('utf8');
}

/** Shown by a git client as `fatal: remote error: …`. */
export const errorLine = (message: string) => pktLine(`ERR ${message}\n`);

/** The end of a side-band conversation: shown as `remote: …` lines, then the client gives up. */
export const sidebandError = (lines: readonly string[]) =>
  lines.map((line) => pktLine(`\x02${line}\n`)).join('') + pktLine(`\x03${lines[0] ?? 'refused'}\n`) + FLUSH;
