import { type Digest, digestFromHex, hexOf, isDigest, Problem } from '#base';

/** The digest a sender announces, in whichever header it knows: all that are there must agree. */
export function announcedDigest(headers: Readonly<Record<string, string | string[] | undefined>>): Digest | undefined {
  const announced = new Set<Digest>();
  for (const [name, parse] of spellings) {
    const value = headers[name];
    if (value === undefined) continue;
    const digest = parse(String(value));
    if (digest === undefined) throw unreadable(name);
    announced.add(digest);
  }
  if (announced.size > 1) throw unreadable('several digest headers that differ');
  return [...announced][0];
}

const spellings: readonly (readonly [string, (value: string) => Digest | undefined])[] = [
  ['x-checksum-sha256', (value) => fromHex(value.trim().toLowerCase())],
  // RFC 9530; the older `Digest` of RFC 3230 differs in its colons only.
  ['repr-digest', (value) => fromBase64(/(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):/.exec(value)?.[1])],
  ['content-digest', (value) => fromBase64(/(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):/.exec(value)?.[1])],
  ['digest', (value) => fromBase64(/(?:^|,)\s*sha-256=([A-Za-z0-9+/=]+)/i.exec(value)?.[1])],
];

function fromHex(hex: string): Digest | undefined {
  const digest = `sha256:${hex}`;
  return isDigest(digest) ? digest : undefined;
}

function fromBase64(text: string | undefined): Digest | undefined {
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === text ? digestFromHex(bytes.toString('hex')) : undefined;
}

export function reprDigest(digest: Digest): string {
  return `sha-256=:${Buffer.from(hexOf(digest), 'hex').toString('base64')}:`;
}

export const etagOf = (digest: Digest) => `"${digest}"`;

/** Does `If-None-Match` name this entity? */
export function matchesEtag(header: string | undefined, digest: Digest): boolean {
  if (header === undefined) return false;
  return header.split(',').some((tag) => ['*', etagOf(digest)].includes(tag.trim().replace(/^W\//, '')));
}

/**
 * One range of RFC 9110 §14. What is not a single byte range is as if it were not there (the whole file is sent); one that lies
 * outside is `unsatisfiable`.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const last = Number(match[2]);
    return last === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(size - last, 0), end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start >= size || end < start ? 'unsatisfiable' : { start, end };
}

const unreadable = (what: string) =>
  new Problem({
    code: 'artifact.digest_header_invalid',
    kind: 'invalid',
    message: `The announced SHA-256 digest cannot be read: ${what}.`,
    hint: 'Send X-Checksum-Sha256: <64 hex digits>, or Repr-Digest: sha-256=:<base64>:',
  });
