import { Problem } from '#base';

/** C2SP tlog-tiles entry bundles: each entry is `uint16_be(length) ‖ bytes`. */

export const MAX_ENTRY_BYTES = 65_535;

export function encodeEntry(entry: Uint8Array): Buffer {
  if (entry.length > MAX_ENTRY_BYTES) {
    throw new Problem({
      code: 'ledger.entry_too_large',
      kind: 'invalid',
      message: `A log entry has ${entry.length} bytes; at most ${MAX_ENTRY_BYTES} fit.`,
      hint: 'Log a digest of the large part, and keep the part itself as an object.',
    });
  }
  const bytes = Buffer.allocUnsafe(2 + entry.length);
  bytes.writeUInt16BE(entry.length);
  bytes.set(entry, 2);
  return bytes;
}

/** Up to `count` entries from the start of a bundle, as far as they are whole, and how many bytes follow them. They share its memory. */
export function decodePrefix(bundle: Buffer, count: number): { entries: Buffer[]; rest: number } {
  const entries: Buffer[] = [];
  let at = 0;
  while (entries.length < count && at + 2 <= bundle.length) {
    const end = at + 2 + bundle.readUInt16BE(at);
    if (end > bundle.length) break;
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  return { entries, rest: bundle.length - at };
}

/** The first `count` entries of a bundle, or undefined if it is cut short. */
export function decodeBundle(bundle: Buffer, count: number): Buffer[] | undefined {
  const { entries } = decodePrefix(bundle, count);
  return entries.length === count ? entries : undefined;
}

/** The bytes of a bundle's first `count` entries, or undefined if it has fewer. */
export function bundlePrefix(bundle: Buffer, count: number): Buffer | undefined {
  const { entries, rest } = decodePrefix(bundle, count);
  return entries.length === count ? bundle.subarray(0, bundle.length - rest) : undefined;
}
