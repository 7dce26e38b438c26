import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { z } from 'zod';
import { Problem } from '#base';

/** Signed tokens (RFC 7515, 7517, 7519) as OpenID Connect uses them. Pure: no clock, no network. */

/** The largest token looked at; a GitHub Actions token has about 2 kB. */
export const TOKEN_CHARS_MAX = 16 * 1024;
const KEYS_MAX = 64;
const RSA_BITS_MIN = 2048;

/** The only algorithms there are here. A token names one of them; `none` and shared secrets do not exist. */
const algorithms = {
  RS256: { hash: 'sha256', kty: 'RSA' },
  ES256: { hash: 'sha256', kty: 'EC', crv: 'P-256' },
  ES384: { hash: 'sha384', kty: 'EC', crv: 'P-384' },
  EdDSA: { hash: null, kty: 'OKP', crv: 'Ed25519' },
} as const;
export type JwtAlgorithm = keyof typeof algorithms;
export const jwtAlgorithms = Object.keys(algorithms) as JwtAlgorithm[];

const Header = z.looseObject({
  alg: z.enum(jwtAlgorithms),
  kid: z.string().min(1).max(512).optional(),
  // RFC 7515 §4.1.11: what is critical and not understood must be refused, and nothing is understood here.
  crit: z.undefined().optional(),
});

export interface Jwt {
  algorithm: JwtAlgorithm;
  keyId: string | undefined;
  claims: Readonly<Record<string, unknown>>;
  /** What is signed, in ASCII. */
  signed: string;
  signature: Buffer;
  /** SHA-256 of what is signed, in hexadecimal: tells one token from every other, whatever its signature bytes look like. */
  id: string;
}

/** Untrusted text → token; `Problem identity.token_malformed | token_algorithm`. Nothing is verified yet. */
export function parseJwt(text: string): Jwt {
  if (text.length > TOKEN_CHARS_MAX) throw malformed(`it is longer than ${TOKEN_CHARS_MAX} characters`);
  const parts = text.split('.');
  if (parts.length !== 3) throw malformed('it does not have three parts');
  const [header, payload, signature] = parts.map(decodePart) as [Buffer, Buffer, Buffer];
  const claimedHeader = parsePart(header);
  const read = Header.safeParse(claimedHeader);
  if (!read.success) throw badHeader(claimedHeader);
  const signed = text.slice(0, text.lastIndexOf('.'));
  return {
    algorithm: read.data.alg,
    keyId: read.data.kid,
    claims: parsePart(payload),
    signed,
    signature,
    id: createHash('sha256').update(signed).digest('hex'),
  };
}

function decodePart(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length === 0 || bytes.toString('base64url') !== text) throw malformed('a part is not base64url');
  return bytes;
}

function parsePart(bytes: Buffer): Record<string, unknown> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw malformed('a part is not a JSON object');
}

const Jwk = z.looseObject({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().max(512).optional(),
  use: z.string().optional(),
  alg: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
});

export interface VerifyingKey {
  keyId: string | undefined;
  /** The algorithms this key may be used with; never more than one family. */
  algorithms: readonly JwtAlgorithm[];
  publicKey: KeyObject;
}

/** An untrusted JSON Web Key Set → the keys in it that can verify tokens; others are left out. `identity.keys_malformed`. */
export function parseJwks(value: unknown): VerifyingKey[] {
  const set = z.looseObject({ keys: z.array(z.unknown()).max(KEYS_MAX) }).safeParse(value);
  if (!set.success) throw badKeys(`a key set is an object with at most ${KEYS_MAX} keys`);
  const keys = set.data.keys.map(parseJwk).filter((key) => key !== undefined);
  if (keys.length === 0) throw badKeys('no key in it can verify a token');
  return keys;
}

function parseJwk(value: unknown): VerifyingKey | undefined {
  const read = Jwk.safeParse(value);
  if (!read.success || (read.data.use !== undefined && read.data.use !== 'sig')) return undefined;
  if (read.data.key_ops && !read.data.key_ops.includes('verify')) return undefined;
  let publicKey: KeyObject;
  try {
    const { d: _private, ...shown } = read.data;
    publicKey = createPublicKey({ key: shown, format: 'jwk' });
  } catch {
    return undefined;
  }
  const fitting = jwtAlgorithms.filter(
    (name) => fits(publicKey, name) && (read.data.alg === undefined || read.data.alg === name),
  );
  return fitting.length === 0 ? undefined : { keyId: read.data.kid, algorithms: fitting, publicKey };
}

function fits(key: KeyObject, name: JwtAlgorithm): boolean {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (name === 'RS256') return key.asymmetricKeyType === 'rsa' && modulusLength >= RSA_BITS_MIN;
  if (name === 'EdDSA') return key.asymmetricKeyType === 'ed25519';
  return namedCurve === (name === 'ES256' ? 'prime256v1' : 'secp384r1');
}

/** The one key that may have signed: named by the token or, if it names none, the only one of its algorithm. */
export function findKey(jwt: Jwt, keys: readonly VerifyingKey[]): VerifyingKey | undefined {
  const fitting = keys.filter((key) => key.algorithms.includes(jwt.algorithm));
  const named = jwt.keyId === undefined ? fitting : fitting.filter((key) => key.keyId === jwt.keyId);
  return named.length === 1 ? named[0] : undefined;
}

export function verifyJwt(jwt: Jwt, { publicKey }: VerifyingKey): boolean {
  const { hash } = algorithms[jwt.algorithm];
  return verify(hash, Buffer.from(jwt.signed), { key: publicKey, dsaEncoding: 'ieee-p1363' }, jwt.signature);
}

/** Signs with a key of the vault, which gives ECDSA signatures in DER. */
export async function signJwt(
  claims: Readonly<Record<string, unknown>>,
  key: { keyId: string; sign(bytes: Uint8Array): Promise<Buffer> },
): Promise<string> {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'ES256', kid: key.keyId, typ: 'JWT' })}.${encode(claims)}`;
  return `${signed}.${plainSignature(await key.sign(Buffer.from(signed))).toString('base64url')}`;
}

const P256_BYTES = 32;

/** DER `SEQUENCE { r, s }` of a P-256 signature → r ‖ s (RFC 7518 §3.4). Our own vault made it. */
export function plainSignature(der: Buffer): Buffer {
  const take = (at: number): Buffer => der.subarray(at + 2, at + 2 + der[at + 1]!);
  const r = take(2);
  const s = take(2 + 2 + r.length);
  const fixed = (number: Buffer) => {
    const bytes = Buffer.alloc(P256_BYTES);
    const shown = number.subarray(Math.max(0, number.length - P256_BYTES));
    shown.copy(bytes, P256_BYTES - shown.length);
    return bytes;
  };
  return Buffer.concat([fixed(r), fixed(s)]);
}

/** RFC 7638: the id of a key is made of the key, so two keys never share one. */
export function publicJwk(publicKey: KeyObject): { kty: string; crv: string; x: string; y: string; kid: string } {
  const { crv = '', kty = '', x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  return { kty, crv, x, y, kid };
}

const malformed = (reason: string) =>
  new Problem({
    code: 'identity.token_malformed',
    kind: 'unauthenticated',
    message: `This is not a signed identity token: ${reason}.`,
    hint: 'Send the token as the issuer gave it: three base64url parts with dots between them.',
  });

const badHeader = (header: Record<string, unknown>) =>
  new Problem({
    code: 'identity.token_algorithm',
    kind: 'unauthenticated',
    message: `The header of this token is not accepted (alg ${JSON.stringify(header['alg'] ?? null).slice(0, 40)}).`,
    hint: `Have the issuer sign with one of ${jwtAlgorithms.join(', ')}, without critical header parameters.`,
  });

const badKeys = (reason: string) =>
  new Problem({
    code: 'identity.keys_malformed',
    kind: 'invalid',
    message: `This is not a usable key set: ${reason}.`,
    hint: `Give a JSON Web Key Set with keys for ${jwtAlgorithms.join(', ')}; RSA keys have at least ${RSA_BITS_MIN} bits.`,
  });
