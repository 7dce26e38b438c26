import { parseCheckpoint } from './checkpoint.ts';
import { hashBytes } from './hash.ts';

/**
 * C2SP tlog-cosignature: what a cosigner signs is "at this time, this is the largest consistent tree of this origin that I have
 * seen". Pure.
 */

export const ED25519_BYTES = 64;
export const ML_DSA_44_BYTES = 2420;
const TIME_BYTES = 8;

/** Type 0x04: `cosignature/v1`, the time in seconds, and the whole text of the checkpoint. */
export function cosignatureMessage(seconds: bigint, text: string): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`);
}

/** Type 0x06: a fixed structure that names cosigner, origin, the whole tree and its root. `Problem ledger.checkpoint_invalid`. */
export function subtreeMessage(cosigner: string, seconds: bigint, text: string): Buffer {
  const { origin, size, root } = parseCheckpoint(text);
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64BE(BigInt(size), 8);
  return Buffer.concat([
    Buffer.from('subtree/v1\n\0'),
    shortText(cosigner),
    timeBytes(seconds),
    shortText(origin),
    numbers,
    hashBytes(root),
  ]);
}

export function timedSignature(seconds: bigint, signature: Uint8Array): Buffer {
  return Buffer.concat([timeBytes(seconds), signature]);
}

/** A cosignature → when it was made (seconds since the epoch) and the bare signature; undefined if it has another length. */
export function splitCosignature(bytes: Buffer, length: number): { seconds: bigint; signature: Buffer } | undefined {
  if (bytes.length !== TIME_BYTES + length) return undefined;
  return { seconds: bytes.readBigUInt64BE(0), signature: bytes.subarray(TIME_BYTES) };
}

function timeBytes(seconds: bigint): Buffer {
  const bytes = Buffer.alloc(TIME_BYTES);
  bytes.writeBigUInt64BE(seconds);
  return bytes;
}

function shortText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new TypeError('ledger: a name in a cosignature has at most 255 bytes');
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}
