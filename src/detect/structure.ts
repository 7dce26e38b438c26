/** Structures that prove themselves: a key or token that parses is one. */
import type { Confidence } from './rule.ts';

/**
 * A PEM private key, from the `BEGIN` line on, with real or escaped line ends. The body must decode to what such a
 * file holds: a DER sequence, an OpenSSH key or an OpenPGP packet. A `BEGIN` line alone is program text.
 */
export function judgePem(text: string): Confidence | undefined {
  const [, label = ''] = /^-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----/.exec(text) ?? [];
  const body = pemBody(text);
  if (body.length < 40) return undefined;
  const bytes = Buffer.from(body, 'base64');
  if (bytes.length < 24) return undefined;
  if (bytes.subarray(0, 15).toString('latin1') === 'openssh-key-v1\0') return 'certain';
  if (label.startsWith('PGP')) return ((bytes[0] ?? 0) & 0x80) === 0 ? 'possible' : 'likely';
  if (/Proc-Type: 4,ENCRYPTED/.test(text)) return 'likely';
  return bytes[0] === 0x30 && derLengthFits(bytes) ? 'certain' : 'possible';
}

/** The base64 lines: without headers, armor checksum, quoting and concatenation that source code puts around them. */
function pemBody(text: string): string {
  const end = text.indexOf('-----END');
  const inner = text.slice(text.indexOf('-----', 11) + 5, end === -1 ? undefined : end);
  return inner
    .split(/\\+r|\\+n|[\r\n]+/)
    .map((line) => line.trim().replace(/^[#*>|"'`+ ]+|["'`,+\\ ]+$/g, ''))
    .filter((line) => /^[A-Za-z0-9+/]+={0,2}$/.test(line))
    .join('');
}

/** The outer DER length; the end may be cut off (a partial key is still a leak), but must not be nonsense. */
function derLengthFits(bytes: Buffer): boolean {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return first + 2 >= bytes.length - 2;
  if (first === 0x81) return (bytes[2] ?? 0) + 3 >= bytes.length - 2;
  return (
    first === 0x82 &&
    bytes.length > 4 &&
    bytes.readUInt16BE(2) + 4 >= bytes.length - 2 &&
    bytes.readUInt16BE(2) < 20_000
  );
}

/** A JSON Web Token whose header and payload parse. An unsigned one grants nothing. */
export function judgeJwt(token: string): Confidence | undefined {
  const [header, payload, signature] = token.split('.');
  const parsed = [header, payload].map((part) => parseObject(Buffer.from(part ?? '', 'base64url').toString('utf8')));
  const [head, body] = parsed;
  if (head === undefined || body === undefined || typeof head['alg'] !== 'string') return undefined;
  if (head['alg'].toLowerCase() === 'none' || (signature ?? '').length < 16) return undefined;
  // The example every tutorial shows.
  if (body['sub'] === '1234567890' && (body['name'] === 'John Doe' || body['name'] === undefined)) return 'possible';
  return 'likely';
}

/** The private member of a JSON Web Key: 32 bytes and more in base64url. */
export function judgeJwkMember(value: string): Confidence | undefined {
  const bytes = Buffer.from(value, 'base64url').length;
  return bytes >= 32 ? 'likely' : undefined;
}

/** `user:password` in an HTTP `Basic` header. */
export function judgeBasicHeader(value: string): Confidence | undefined {
  const text = Buffer.from(value, 'base64').toString('utf8');
  const split = text.indexOf(':');
  if (split < 1 || !/^[\x20-\x7e]+$/.test(text)) return undefined;
  return text.length - split > 8 ? 'likely' : 'possible';
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
