/** The ways a secret is written other than as plain text: what each looks like, and the bytes behind it. */
import { gunzipSync, inflateRawSync } from 'node:zlib';

export interface Hidden {
  readonly encoding: 'utf-16' | 'base64' | 'hex' | 'percent' | 'gzip' | 'zip';
  readonly bytes: Buffer;
  /** Where it starts in the bytes it was found in; absent when the two run in parallel, line for line. */
  readonly start?: number;
}

export interface Unpacked {
  readonly hidden: readonly Hidden[];
  /** Why not everything could be unpacked; the caller must not call the result clean. */
  readonly incomplete?: string;
}

/** Shorter runs cannot hold a token. */
const BASE64_CHARS_MIN = 24;
const HEX_CHARS_MIN = 32;
/** A line this long and full of base64 goes on in the next line. */
const WRAPPED_LINE_CHARS_MIN = 40;

const BASE64 = 1;
const HEX = 2;
const GAP = 4;
const LINE_END = 8;
const kinds = characterKinds();

function characterKinds(): Uint8Array {
  const table = new Uint8Array(256);
  for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_')
    table[letter.charCodeAt(0)] = BASE64;
  for (const letter of '0123456789abcdefABCDEF') table[letter.charCodeAt(0)] = BASE64 | HEX;
  for (const letter of ' \t"\'+,\\#*>') table[letter.charCodeAt(0)] = (table[letter.charCodeAt(0)] ?? 0) | GAP;
  table[0x0a] = LINE_END | GAP;
  table[0x0d] = LINE_END | GAP;
  return table;
}

/** Everything in `bytes` that is text in another dress. `outputMax` bounds what one archive may unpack to. */
export function unpack(bytes: Buffer, text: () => string, outputMax: number): Unpacked {
  const hidden: Hidden[] = [];
  const archive = openArchive(bytes, outputMax);
  hidden.push(...archive.hidden);
  if (bytes.includes(0)) hidden.push({ encoding: 'utf-16', bytes: withoutNul(bytes) });
  hidden.push(...encodedRuns(bytes, text));
  if (bytes.includes(0x25) || bytes.includes('\\u00') || bytes.includes('\\x')) {
    const plain = unescape(text());
    if (plain !== text()) hidden.push({ encoding: 'percent', bytes: Buffer.from(plain, 'latin1') });
  }
  return { hidden, ...(archive.incomplete === undefined ? {} : { incomplete: archive.incomplete }) };
}

/** UTF-16 and UTF-32 of any byte order, and bytes with NULs strewn in, read the same once the NULs are gone. */
function withoutNul(bytes: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (const byte of bytes) {
    if (byte !== 0) kept[length++] = byte;
  }
  return kept.subarray(0, length);
}

/** Percent-encoding and the `\xNN`, `\u00NN` escapes of program text. */
function unescape(text: string): string {
  return text.replace(/(?:%|\\x|\\u00)([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/**
 * Runs of base64 (either alphabet, also wrapped, quoted or indented) and of hexadecimal digits. Looks at every
 * 24th byte only: where that is no digit, no run of 24 can pass.
 */
function encodedRuns(bytes: Buffer, text: () => string): Hidden[] {
  const found: Hidden[] = [];
  let at = 0;
  for (let probe = BASE64_CHARS_MIN - 1; probe < bytes.length; probe = at + BASE64_CHARS_MIN - 1) {
    if (((kinds[bytes[probe] as number] as number) & BASE64) === 0) {
      at = probe + 1;
      continue;
    }
    let start = probe;
    while (start > at && ((kinds[bytes[start - 1] as number] as number) & BASE64) !== 0) start--;
    // Past the `0x` of a number, which would pass for base64.
    if (bytes[start] === 0x30 && ((bytes[start + 1] ?? 0) | 0x20) === 0x78) start += 2;
    const run = measureRun(bytes, start);
    if (run.digits >= BASE64_CHARS_MIN) found.push(decodeRun(text().slice(start, run.end), start, run));
    at = Math.max(run.end, at + 1);
  }
  return found;
}

function decodeRun(digits: string, start: number, run: Run): Hidden {
  if (run.hex && run.digits >= HEX_CHARS_MIN && run.digits % 2 === 0) {
    return { encoding: 'hex', bytes: Buffer.from(digits.replace(/[^0-9a-fA-F]/g, ''), 'hex'), start };
  }
  // Node ignores characters outside the alphabet, the line ends among them.
  return { encoding: 'base64', bytes: Buffer.from(digits, 'base64'), start };
}

interface Run {
  end: number;
  digits: number;
  hex: boolean;
}

function measureRun(bytes: Buffer, start: number): Run {
  let end = start;
  let digits = 0;
  let lineDigits = 0;
  let hex = true;
  for (let at = start; at < bytes.length;) {
    const kind = kinds[bytes[at] as number] as number;
    if ((kind & BASE64) !== 0) {
      if ((kind & HEX) === 0) hex = false;
      digits++;
      lineDigits++;
      end = ++at;
      continue;
    }
    const next = lineDigits >= WRAPPED_LINE_CHARS_MIN ? nextLine(bytes, at) : undefined;
    if (next === undefined) break;
    lineDigits = 0;
    at = next;
  }
  return { end, digits, hex };
}

/** Where base64 goes on after a line end, or undefined if something else stands between. */
function nextLine(bytes: Buffer, from: number): number | undefined {
  let lines = 0;
  for (let at = from; at < bytes.length && at < from + 64; at++) {
    const kind = kinds[bytes[at] as number] as number;
    if ((kind & LINE_END) !== 0) lines++;
    // A `+` joins literals before the line end, and is a digit of base64 after it.
    else if (lines > 0 && (kind & BASE64) !== 0) return at;
    else if ((kind & GAP) === 0 && bytes[at] !== 0x6e) return undefined;
  }
  return undefined;
}

function openArchive(bytes: Buffer, outputMax: number): Unpacked {
  if (bytes.length > 18 && bytes[0] === 0x1f && bytes[1] === 0x8b) {
    const content = inflate(() => gunzipSync(bytes, { maxOutputLength: outputMax }));
    if (content === 'too large')
      return { hidden: [], incomplete: `a gzip file unpacks to more than ${outputMax} bytes` };
    return { hidden: content === undefined ? [] : [{ encoding: 'gzip', bytes: content, start: 0 }] };
  }
  if (bytes.length > 30 && bytes.readUInt32LE(0) === 0x04034b50) return openZip(bytes, outputMax);
  return { hidden: [] };
}

/** Walks the central directory; what a zip file does not list there, its readers do not see either. */
function openZip(bytes: Buffer, outputMax: number): Unpacked {
  const end = bytes.lastIndexOf(Buffer.from('504b0506', 'hex'));
  if (end === -1 || end + 22 > bytes.length) return { hidden: [] };
  const hidden: Hidden[] = [];
  let budget = outputMax;
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0 && at + 46 <= bytes.length; left--) {
    const method = bytes.readUInt16LE(at + 10);
    const packed = bytes.readUInt32LE(at + 20);
    const local = bytes.readUInt32LE(at + 42);
    at += 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    if (method !== 8 || local + 30 > bytes.length) continue;
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const content = inflate(() =>
      inflateRawSync(bytes.subarray(start, start + packed), { maxOutputLength: Math.max(1, budget) }),
    );
    if (content === 'too large') return { hidden, incomplete: `a zip file unpacks to more than ${outputMax} bytes` };
    if (content === undefined) continue;
    budget -= content.length;
    hidden.push({ encoding: 'zip', bytes: content, start: local });
  }
  return { hidden };
}

function inflate(run: () => Buffer): Buffer | 'too large' | undefined {
  try {
    return run();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'too large' : undefined;
  }
}
