import { constants, createECDH, type KeyObject, publicDecrypt } from 'node:crypto';
import { expectTag, itemAt, readDer, readItems, Tag } from './der.ts';

/**
 * Verifies a signature over a digest whose bytes are not at hand: a log is sent digests, never artifacts, and Node can only hash
 * for itself. The two multiplications with a point are OpenSSL's (through ECDH); one addition of points is ours:
 * R = u1·G + u2·Q = u2·(Q + (z/r)·G), with u1 = z/s and u2 = r/s (FIPS 186-5 §6.4.2). All values are public.
 */

interface Curve {
  node: string;
  p: bigint;
  n: bigint;
  bytes: number;
}

const hex = (text: string) => BigInt(`0x${text}`);
const CURVES: Readonly<Record<string, Curve>> = {
  prime256v1: {
    node: 'prime256v1',
    p: hex('ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'),
    n: hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
    bytes: 32,
  },
  secp384r1: {
    node: 'secp384r1',
    p: hex('fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff'),
    n: hex('ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973'),
    bytes: 48,
  },
};

export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512';
export const digestBytes: Readonly<Record<DigestAlgorithm, number>> = { sha256: 32, sha384: 48, sha512: 64 };

/** Did the key sign the content with this digest? False for any other kind of key and for anything malformed. */
export function verifyDigest(key: KeyObject, algorithm: DigestAlgorithm, digest: Buffer, signature: Buffer): boolean {
  if (digest.length !== digestBytes[algorithm]) return false;
  try {
    if (key.asymmetricKeyType === 'rsa') return verifyRsa(key, algorithm, digest, signature);
    const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
    return key.asymmetricKeyType === 'ec' && curve !== undefined && verifyEcdsa(key, curve, digest, signature);
  } catch {
    // Points at infinity, numbers out of range, DER that is none.
    return false;
  }
}

interface Point {
  x: bigint;
  y: bigint;
}

function verifyEcdsa(key: KeyObject, curve: Curve, digest: Buffer, signature: Buffer): boolean {
  const { p, n, bytes } = curve;
  const [r, s] = readSignature(signature);
  if (r <= 0n || r >= n || s <= 0n || s >= n) return false;
  // The leftmost bits of the digest, as many as the order has.
  const z = toNumber(digest.subarray(0, bytes)) % n;
  const jwk = key.export({ format: 'jwk' });
  const holder = { x: toNumber(decode(jwk.x)), y: toNumber(decode(jwk.y)) };
  const tweak = mod(z * invert(r, n), n);
  const sum = tweak === 0n ? holder : add(holder, multiplyBase(tweak, curve), p);
  if (!sum) return false;
  const found = multiply(mod(r * invert(s, n), n), sum, curve);
  return mod(found, n) === r;
}

function readSignature(der: Buffer): [bigint, bigint] {
  const items = readItems(expectTag(readDer(der), Tag.sequence));
  if (items.length !== 2) throw new RangeError('not two numbers');
  const [r, s] = [0, 1].map((index) => itemAt(items, index, Tag.integer).content);
  for (const number of [r!, s!]) if (number.length === 0 || number[0]! >= 0x80) throw new RangeError('negative');
  return [toNumber(r!), toNumber(s!)];
}

/** Of two points on the curve (a = −3); undefined is the point at infinity. */
function add(a: Point, b: Point, p: bigint): Point | undefined {
  if (a.x === b.x && a.y !== b.y) return undefined;
  const slope =
    a.x === b.x
      ? mod((3n * a.x * a.x - 3n) * invert(2n * a.y, p), p)
      : mod((b.y - a.y) * invert(mod(b.x - a.x, p), p), p);
  const x = mod(slope * slope - a.x - b.x, p);
  return { x, y: mod(slope * (a.x - x) - a.y, p) };
}

function multiplyBase(scalar: bigint, { node, bytes }: Curve): Point {
  const ecdh = createECDH(node);
  ecdh.setPrivateKey(toBytes(scalar, bytes));
  const point = ecdh.getPublicKey();
  return { x: toNumber(point.subarray(1, 1 + bytes)), y: toNumber(point.subarray(1 + bytes)) };
}

/** The x coordinate of the product. */
function multiply(scalar: bigint, { x, y }: Point, { node, bytes }: Curve): bigint {
  const ecdh = createECDH(node);
  ecdh.setPrivateKey(toBytes(scalar, bytes));
  return toNumber(ecdh.computeSecret(Buffer.concat([Buffer.of(4), toBytes(x, bytes), toBytes(y, bytes)])));
}

function mod(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

/** Extended Euclid; the moduli are primes. */
function invert(value: bigint, modulus: bigint): bigint {
  let [low, high] = [mod(value, modulus), modulus];
  let [x, y] = [1n, 0n];
  while (low > 1n) {
    const quotient = high / low;
    [low, high] = [high - quotient * low, low];
    [x, y] = [y - quotient * x, x];
  }
  if (low !== 1n) throw new RangeError('no inverse');
  return mod(x, modulus);
}

const toNumber = (bytes: Buffer) => (bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`));
const toBytes = (value: bigint, bytes: number) => Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex');
const decode = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');

/** DER in front of the digest in a PKCS #1 v1.5 signature (RFC 8017 §9.2). */
const DIGEST_INFO: Readonly<Record<DigestAlgorithm, Buffer>> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
};
const RSA_BITS_MIN = 2048;

function verifyRsa(key: KeyObject, algorithm: DigestAlgorithm, digest: Buffer, signature: Buffer): boolean {
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < RSA_BITS_MIN) return false;
  const signed = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
  return signed.equals(Buffer.concat([DIGEST_INFO[algorithm], digest]));
}
