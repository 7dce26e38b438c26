import { randomBytes } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
const ID_CHARS = 20;

/** `<prefix>_` and 20 base32 characters: 100 random bits, nothing personal, safe in a URL and a file name. */
export function newId(prefix: string): string {
  let text = '';
  for (const byte of randomBytes(ID_CHARS)) text += alphabet[byte & 31];
  return `${prefix}_${text}`;
}

/** The same shape, derived: equal input gives the equal id, so a worker that runs twice names the same thing. */
export function idFrom(prefix: string, bytes: Uint8Array): string {
  let text = '';
  for (let index = 0; index < ID_CHARS; index++) text += alphabet[(bytes[index] ?? 0) & 31];
  return `${prefix}_${text}`;
}
