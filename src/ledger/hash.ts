import { hash } from 'node:crypto';

/**
 * A SHA-256 tree hash: 32 bytes held as a latin1 string, one char per byte ('binary' is Node's other name for it). Node hashes and compares
 * these several times faster than Buffers of this size, and `===` is the right comparison.
 * Print it only through `hashBase64` or `hashHex`.
 */
export type Hash = string & { readonly __hash: true };

export const HASH_BYTES = 32;

/** RFC 9162 §2.1.1: the root of a tree without leaves. */
export const emptyRoot = hash('sha256', '', 'binary') as Hash;

/** RFC 9162 §2.1.1: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array): Hash {
  const input = Buffer.allocUnsafe(entry.length + 1);
  input[0] = 0;
  input.set(entry, 1);
  return hash('sha256', input, 'binary') as Hash;
}

const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** RFC 9162 §2.1.1: SHA-256(0x01 ‖ left ‖ right). The scratch buffer is safe: this never yields. */
export function nodeHash(left: Hash, right: Hash): Hash {
  nodeInput.write(left, 1, HASH_BYTES, 'latin1');
  nodeInput.write(right, 1 + HASH_BYTES, HASH_BYTES, 'latin1');
  return hash('sha256', nodeInput, 'binary') as Hash;
}

/** The hash at `index` of a buffer of concatenated hashes (a tile). */
export function hashAt(tile: Buffer, index: number): Hash {
  return tile.toString('latin1', index * HASH_BYTES, (index + 1) * HASH_BYTES) as Hash;
}

export function hashesToBytes(hashes: readonly Hash[]): Buffer {
  const bytes = Buffer.allocUnsafe(hashes.length * HASH_BYTES);
  hashes.forEach((h, i) => bytes.write(h, i * HASH_BYTES, HASH_BYTES, 'latin1'));
  return bytes;
}

export function hashBytes(h: Hash): Buffer {
  return Buffer.from(h, 'latin1');
}

export function hashBase64(h: Hash): string {
  return hashBytes(h).toString('base64');
}

export function hashHex(h: Hash): string {
  return hashBytes(h).toString('hex');
}

/** Canonical base64 only (Node's decoder ignores junk): undefined if re-encoding gives other text. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** A hash from canonical base64, or undefined. */
export function hashFromBase64(text: string): Hash | undefined {
  const bytes = decodeBase64(text);
  return bytes?.length === HASH_BYTES ? (bytes.toString('latin1') as Hash) : undefined;
}
