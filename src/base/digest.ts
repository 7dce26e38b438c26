import { createHash, hash } from 'node:crypto';
import { Problem } from './problem.ts';

declare const brand: unique symbol;
/** SHA-256 of some bytes, written `sha256:<64 lower-case hex digits>`. */
export type Digest = string & { readonly [brand]: 'Digest' };

const pattern = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && pattern.test(text);
}

/** Untrusted text → digest. Only SHA-256 is accepted: weaker algorithms are refused, not converted. */
export function parseDigest(text: unknown): Digest {
  if (isDigest(text)) return text;
  throw new Problem({
    code: 'base.digest_invalid',
    kind: 'invalid',
    message: 'This is not a SHA-256 digest.',
    hint: 'Write it as sha256: followed by 64 lower-case hexadecimal digits.',
  });
}

export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** The 64 hexadecimal digits of a digest, without its prefix. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${hash('sha256', bytes, 'hex')}` as Digest;
}

/** Hashes bytes as they flow past; `digest()` may be called once. */
export interface Digester {
  update(bytes: Uint8Array): void;
  digest(): Digest;
  readonly size: number;
}

export function createDigester(): Digester {
  const sha = createHash('sha256');
  let size = 0;
  return {
    update(bytes) {
      sha.update(bytes);
      size += bytes.byteLength;
    },
    digest: () => `sha256:${sha.digest('hex')}` as Digest,
    get size() {
      return size;
    },
  };
}
