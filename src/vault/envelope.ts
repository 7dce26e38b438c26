import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * Authenticated encryption under a key that encrypts nothing else: AES-256-GCM with a key and a commitment derived from the
 * input key and a random salt. GCM alone lets one ciphertext open under two keys; the commitment, compared first, does not.
 */

export const KEY_BYTES = 32;
const SALT_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const COMMITMENT_BYTES = 32;
/** Sizes of secrets are rounded up to this, so that a ciphertext does not tell which kind of key it holds. */
const BUCKET_BYTES = 64;

export interface Sealed {
  salt: string;
  commitment: string;
  nonce: string;
  /** Ciphertext and tag. */
  ciphertext: string;
}

/** Each field with its length in front (4 bytes, big-endian): two different lists never give the same bytes. */
export function lengthPrefixed(fields: readonly string[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const bytes = Buffer.from(field);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** `context` says what the bytes are and where they belong; they open nowhere else. */
export function sealBytes(key: Buffer, plain: Uint8Array, context: readonly string[]): Sealed {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const { cipherKey, commitment } = derive(key, salt, context);
  const padded = pad(plain);
  try {
    const cipher = createCipheriv('aes-256-gcm', cipherKey, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(lengthPrefixed(context));
    const ciphertext = Buffer.concat([cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
    return {
      salt: salt.toString('base64'),
      commitment: commitment.toString('base64'),
      nonce: nonce.toString('base64'),
      ciphertext: ciphertext.toString('base64'),
    };
  } finally {
    padded.fill(0);
    cipherKey.fill(0);
  }
}

export type Opened = { opened: true; plain: Buffer } | { opened: false; reason: 'wrong_key' | 'altered' };

/** `wrong_key`: the key or the context is not the one it was sealed with. `altered`: they are, but the ciphertext is not. */
export function openBytes(key: Buffer, sealed: Sealed, context: readonly string[]): Opened {
  const [salt, nonce, stored, ciphertext] = [sealed.salt, sealed.nonce, sealed.commitment, sealed.ciphertext].map(
    (text) => Buffer.from(text, 'base64'),
  ) as [Buffer, Buffer, Buffer, Buffer];
  if (salt.length !== SALT_BYTES || nonce.length !== NONCE_BYTES || ciphertext.length < TAG_BYTES) {
    return { opened: false, reason: 'altered' };
  }
  const { cipherKey, commitment } = derive(key, salt, context);
  try {
    if (stored.length !== COMMITMENT_BYTES || !timingSafeEqual(stored, commitment)) {
      return { opened: false, reason: 'wrong_key' };
    }
    const decipher = createDecipheriv('aes-256-gcm', cipherKey, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(lengthPrefixed(context));
    decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
    const padded = Buffer.concat([decipher.update(ciphertext.subarray(0, -TAG_BYTES)), decipher.final()]);
    return { opened: true, plain: unpad(padded) };
  } catch {
    return { opened: false, reason: 'altered' };
  } finally {
    cipherKey.fill(0);
  }
}

function derive(key: Buffer, salt: Buffer, context: readonly string[]): { cipherKey: Buffer; commitment: Buffer } {
  const info = Buffer.concat([lengthPrefixed(['waybill/dek/v1']), lengthPrefixed(context)]);
  const okm = Buffer.from(hkdfSync('sha256', key, salt, info, KEY_BYTES + COMMITMENT_BYTES));
  return { cipherKey: okm.subarray(0, KEY_BYTES), commitment: okm.subarray(KEY_BYTES) };
}

function pad(plain: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((4 + plain.length) / BUCKET_BYTES) * BUCKET_BYTES);
  padded.writeUInt32BE(plain.length);
  padded.set(plain, 4);
  return padded;
}

function unpad(padded: Buffer): Buffer {
  const length = padded.readUInt32BE(0);
  if (length > padded.length - 4) throw new RangeError('vault: the padding is malformed');
  const plain = Buffer.from(padded.subarray(4, 4 + length));
  padded.fill(0);
  return plain;
}
