import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const CHECKSUM_CHARS = 6;

/** `count` characters of base62, each chosen without bias (bytes that would bias it are thrown away). */
export function randomBase62(count: number): string {
  let text = '';
  while (text.length < count) {
    for (const byte of randomBytes(count * 2)) {
      if (byte < 248 && text.length < count) text += alphabet[byte % 62];
    }
  }
  return text;
}

/** CRC32 of `body` as six base62 digits, most significant first: lets a scanner tell a real token from a look-alike offline. */
export function checksum62(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let digit = 0; digit < CHECKSUM_CHARS; digit++) {
    text = alphabet[rest % 62]! + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}
