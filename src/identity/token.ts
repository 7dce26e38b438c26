import { createHmac, timingSafeEqual } from 'node:crypto';
import { checksum62, randomBase62 } from '#base';

/** The letter after `wb` says what a token is for; a scanner and a person can tell at sight. */
export const tokenPrefixes = {
  access: 'wbp_',
  machine: 'wbm_',
  enrolment: 'wbe_',
  session: 'wbs_',
  job: 'wbj_',
} as const;

export type TokenPurpose = keyof typeof tokenPrefixes;

const SHAPE = /^wb[pmesj]_[0-9A-Za-z]{38}$/;
const RANDOM_CHARS = 32;

/** Prefix, 32 random base62 characters (190 bits) and a CRC32 of both in six. Generated, never chosen. */
export function generateToken(purpose: TokenPurpose): string {
  const body = tokenPrefixes[purpose] + randomBase62(RANDOM_CHARS);
  return body + checksum62(body);
}

/** A look-alike is told from a real token without asking the database. */
export function hasTokenShape(text: string): boolean {
  return SHAPE.test(text) && checksum62(text.slice(0, -6)) === text.slice(-6);
}

/** What is stored: useless without the server's pepper. 190 random bits need no slow hash. */
export function hashToken(pepper: Uint8Array, token: string): string {
  return createHmac('sha256', pepper).update(token).digest('hex');
}

export function sameHash(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
