/**
 * SSH signatures (OpenSSH PROTOCOL.sshsig) and the keys that make them.
 * Verified here rather than by `ssh-keygen -Y verify`, which accepts a hardware signature whose touch flag is off.
 */
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';

export interface SshSignature {
  /** `SHA256:<base64>` of the public key inside the signature, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  readonly keyType: string;
  /** Present for `sk-` keys only. The key type alone proves no hardware; that takes attestation at enrolment. */
  readonly hardware?: { readonly touched: boolean; readonly userVerified: boolean; readonly counter: number };
}

export type SignatureResult =
  | { readonly ok: true; readonly signature: SshSignature }
  | { readonly ok: false; readonly reason: string };

const ARMOR = /^-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END SSH SIGNATURE-----\s*$/;
const ARMOR_CHARS_MAX = 16_384;
const RSA_BITS_MIN = 2048;
const hashes = ['sha256', 'sha512'];

/** Is `armored` a good signature over `message` in `namespace`? Says nothing about who owns the key. */
export function verifySshSignature(armored: string, message: Uint8Array, namespace: string): SignatureResult {
  try {
    return { ok: true, signature: check(armored, message, namespace) };
  } catch (error) {
    return { ok: false, reason: error instanceof Malformed ? error.message : 'the signature is malformed' };
  }
}

class Malformed extends Error {}

function check(armored: string, message: Uint8Array, namespace: string): SshSignature {
  const body = armored.length <= ARMOR_CHARS_MAX ? ARMOR.exec(armored)?.[1] : undefined;
  if (body === undefined) throw new Malformed('this is not an SSH signature');
  const blob = new Reader(Buffer.from(body, 'base64'));
  if (blob.take(6).toString('latin1') !== 'SSHSIG' || blob.uint32() !== 1)
    throw new Malformed('the signature is of an unknown version');
  const keyBlob = blob.string();
  const signedFor = blob.string().toString('utf8');
  const reserved = blob.string();
  const algorithm = blob.string().toString('latin1');
  const signature = new Reader(blob.string());
  blob.end();
  if (signedFor !== namespace)
    throw new Malformed(`the signature was made for '${printable(signedFor)}', not for '${namespace}'`);
  if (!hashes.includes(algorithm)) throw new Malformed(`the hash '${printable(algorithm)}' is not accepted`);
  const signed = Buffer.concat([
    Buffer.from('SSHSIG'),
    sshString(Buffer.from(namespace)),
    sshString(reserved),
    sshString(Buffer.from(algorithm)),
    sshString(hash(algorithm, message, 'buffer')),
  ]);
  return verifyWithKey(keyBlob, signature, signed);
}

function verifyWithKey(keyBlob: Buffer, signature: Reader, signed: Buffer): SshSignature {
  const key = new Reader(keyBlob);
  const keyType = key.string().toString('latin1');
  const signatureType = signature.string().toString('latin1');
  const scheme = schemes[keyType];
  if (scheme === undefined) throw new Malformed(`keys of type '${printable(keyType)}' are not accepted`);
  const hardware = scheme({ key, signature, signatureType, signed });
  key.end();
  signature.end();
  return { fingerprint: fingerprintOf(keyBlob), keyType, ...(hardware === undefined ? {} : { hardware }) };
}

export function fingerprintOf(keyBlob: Uint8Array): string {
  return `SHA256:${hash('sha256', keyBlob, 'base64').replace(/=+$/, '')}`;
}

interface SchemeInput {
  key: Reader;
  signature: Reader;
  signatureType: string;
  signed: Buffer;
}

/** By key type: reads the rest of key and signature, and throws unless the signature is good. */
const schemes: Readonly<Record<string, (input: SchemeInput) => SshSignature['hardware']>> = {
  'ssh-ed25519': (input) => {
    requireType(input, ['ssh-ed25519']);
    requireGood(verify(null, input.signed, ed25519Key(input.key), input.signature.string()));
    return undefined;
  },
  'ecdsa-sha2-nistp256': (input) => verifyEcdsa(input, 'nistp256', 'P-256', 'sha256', 32),
  'ecdsa-sha2-nistp384': (input) => verifyEcdsa(input, 'nistp384', 'P-384', 'sha384', 48),
  'ecdsa-sha2-nistp521': (input) => verifyEcdsa(input, 'nistp521', 'P-521', 'sha512', 66),
  'ssh-rsa': (input) => {
    // The old `ssh-rsa` signature type is SHA-1.
    const algorithms: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' };
    const algorithm = algorithms[input.signatureType];
    if (algorithm === undefined)
      throw new Malformed(
        `RSA signatures of type '${printable(input.signatureType)}' are not accepted (SHA-1 is broken)`,
      );
    requireGood(verify(algorithm, input.signed, rsaKey(input.key), input.signature.string()));
    return undefined;
  },
  'sk-ssh-ed25519@openssh.com': (input) => {
    requireType(input, ['sk-ssh-ed25519@openssh.com']);
    const key = ed25519Key(input.key);
    const application = input.key.string();
    const signature = input.signature.string();
    const { hardware, message } = hardwareMessage(application, input);
    requireGood(verify(null, message, key, signature));
    return hardware;
  },
  'sk-ecdsa-sha2-nistp256@openssh.com': (input) => {
    requireType(input, ['sk-ecdsa-sha2-nistp256@openssh.com']);
    const key = ecdsaKey(input.key, 'nistp256', 'P-256', 32);
    const application = input.key.string();
    const signature = rawEcdsa(input.signature.string(), 32);
    const { hardware, message } = hardwareMessage(application, input);
    requireGood(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature));
    return hardware;
  },
};

/** What a FIDO token signs: hash of the application, flags, counter, hash of the message (PROTOCOL.u2f). */
function hardwareMessage(application: Buffer, { signature, signed }: SchemeInput) {
  const trailer = signature.take(5);
  const flags = trailer[0] ?? 0;
  const hardware = { touched: (flags & 1) !== 0, userVerified: (flags & 4) !== 0, counter: trailer.readUInt32BE(1) };
  return {
    hardware,
    message: Buffer.concat([hash('sha256', application, 'buffer'), trailer, hash('sha256', signed, 'buffer')]),
  };
}

function verifyEcdsa(input: SchemeInput, name: string, crv: string, algorithm: string, bytes: number): undefined {
  requireType(input, [`ecdsa-sha2-${name}`]);
  const key = ecdsaKey(input.key, name, crv, bytes);
  requireGood(
    verify(algorithm, input.signed, { key, dsaEncoding: 'ieee-p1363' }, rawEcdsa(input.signature.string(), bytes)),
  );
}

function requireType({ signatureType }: SchemeInput, accepted: readonly string[]): void {
  if (!accepted.includes(signatureType))
    throw new Malformed(`the signature type '${printable(signatureType)}' does not fit the key`);
}

function requireGood(good: boolean): void {
  if (!good) throw new Malformed('the signature does not match the content: it was changed after signing');
}

function ed25519Key(key: Reader): KeyObject {
  const point = key.string();
  if (point.length !== 32) throw new Malformed('the Ed25519 key has the wrong length');
  return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') } });
}

function ecdsaKey(key: Reader, name: string, crv: string, bytes: number): KeyObject {
  if (key.string().toString('latin1') !== name) throw new Malformed('the key names another curve than its type');
  const point = key.string();
  if (point.length !== 1 + 2 * bytes || point[0] !== 4) throw new Malformed('the key is not an uncompressed point');
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
  return createPublicKey({
    format: 'jwk',
    key: { kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') },
  });
}

function rsaKey(key: Reader): KeyObject {
  const exponent = key.positive();
  const modulus = key.positive();
  const made = createPublicKey({
    format: 'jwk',
    key: { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') },
  });
  if ((made.asymmetricKeyDetails?.modulusLength ?? 0) < RSA_BITS_MIN)
    throw new Malformed(`RSA keys need at least ${RSA_BITS_MIN} bits`);
  return made;
}

function rawEcdsa(blob: Buffer, bytes: number): Buffer {
  const reader = new Reader(blob);
  const [r, s] = [reader.positive(), reader.positive()];
  reader.end();
  if (r.length > bytes || s.length > bytes) throw new Malformed('the signature is out of range');
  return Buffer.concat([Buffer.alloc(bytes - r.length), r, Buffer.alloc(bytes - s.length), s]);
}

function sshString(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const printable = (text: string) => text.slice(0, 40).replace(/[^\x20-\x7e]/g, '?');

/** RFC 4251 §5 data types; refuses to read past the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new Malformed('the signature is cut off');
    return this.#bytes.subarray(this.#at, (this.#at += count));
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0);
  }

  string(): Buffer {
    return this.take(this.uint32());
  }

  /** A positive mpint without its leading zeros. */
  positive(): Buffer {
    const bytes = this.string();
    if (((bytes[0] ?? 0) & 0x80) !== 0) throw new Malformed('a negative number in the key or signature');
    const first = bytes.findIndex((byte) => byte !== 0);
    return first === -1 ? Buffer.alloc(0) : bytes.subarray(first);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new Malformed('there are bytes behind the signature');
  }
}
