/** Checksums that tokens carry: they tell a real token from one that somebody typed into documentation. */
import { checksum62 } from '#base';

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

/** Whether the last six characters are the base-62 CRC-32 of what precedes them, counted from `bodyStart` on. */
export function endsWithChecksum62(token: string, bodyStart: number): boolean {
  return token.slice(-6) === checksum62(token.slice(bodyStart, -6));
}

/** BIP 173 checksum, as used by age identities (upper or lower case, not mixed). */
export function isBech32(text: string): boolean {
  const lower = text.toLowerCase();
  const split = lower.lastIndexOf('1');
  if (split < 1) return false;
  const prefix = Array.from(lower.slice(0, split), (letter) => letter.charCodeAt(0));
  const symbols = Array.from(lower.slice(split + 1), (letter) => BECH32.indexOf(letter));
  if (symbols.length < 6 || symbols.includes(-1)) return false;
  const expanded = [...prefix.map((code) => code >> 5), 0, ...prefix.map((code) => code & 31), ...symbols];
  return bech32Polymod(expanded) === 1;
}

function bech32Polymod(values: readonly number[]): number {
  const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    generators.forEach((generator, bit) => {
      if (((top >>> bit) & 1) === 1) sum ^= generator;
    });
  }
  return sum >>> 0;
}
