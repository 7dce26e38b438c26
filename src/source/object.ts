/** Raw git commits and tags, read exactly as they were signed. */

export interface Person {
  readonly name: string;
  readonly email: string;
}

interface SignedObject {
  readonly id: string;
  /** The bytes the signature covers. */
  readonly payload: Buffer;
  readonly signature: string | null;
  readonly message: string;
}

export interface RawCommit extends SignedObject {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Person;
  readonly committer: Person;
  readonly committedAt: number;
}

export interface RawTag extends SignedObject {
  readonly target: string;
  readonly targetType: string;
  readonly name: string;
  readonly tagger: Person | null;
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

interface Header {
  readonly name: string;
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

const TAG_SIGNATURE = '-----BEGIN ';

/** A commit with two signatures, or a header twice that may stand once, is refused: readers disagree about it. */
export function parseCommit(id: string, bytes: Buffer): Parsed<RawCommit> {
  const { headers, bodyStart } = readHeaders(bytes);
  const single = singles(headers, ['tree', 'author', 'committer', 'gpgsig', 'encoding']);
  if (single === undefined) return bad('a header stands twice');
  if (headers.some((header) => header.name === 'gpgsig-sha256'))
    return bad('it carries a second signature (gpgsig-sha256)');
  const author = parsePerson(single.get('author')?.value);
  const committer = parsePerson(single.get('committer')?.value);
  const tree = single.get('tree')?.value;
  if (author === undefined || committer === undefined || tree === undefined)
    return bad('author, committer or tree is missing');
  const signature = single.get('gpgsig');
  return {
    ok: true,
    value: {
      id,
      tree,
      parents: headers.filter((header) => header.name === 'parent').map((header) => header.value),
      author,
      committer,
      committedAt: Number(/> (\d+) [+-]\d{4}$/.exec(single.get('committer')?.value ?? '')?.[1] ?? 0) * 1000,
      signature: signature?.value ?? null,
      payload:
        signature === undefined
          ? bytes
          : Buffer.concat([bytes.subarray(0, signature.start), bytes.subarray(signature.end)]),
      message: bytes.toString('utf8', bodyStart),
    },
  };
}

/** A tag's signature is appended to its message; everything before it is signed. */
export function parseTag(id: string, bytes: Buffer): Parsed<RawTag> {
  const { headers, bodyStart } = readHeaders(bytes);
  const single = singles(headers, ['object', 'type', 'tag', 'tagger']);
  if (single === undefined) return bad('a header stands twice');
  if (headers.some((header) => header.name.startsWith('gpgsig'))) return bad('its signature stands in a header');
  const [target, targetType, name] = ['object', 'type', 'tag'].map((header) => single.get(header)?.value);
  if (target === undefined || targetType === undefined || name === undefined)
    return bad('object, type or tag is missing');
  const start = signatureStart(bytes, bodyStart);
  return {
    ok: true,
    value: {
      id,
      target,
      targetType,
      name,
      tagger: parsePerson(single.get('tagger')?.value) ?? null,
      signature: start === undefined ? null : bytes.toString('latin1', start),
      payload: start === undefined ? bytes : bytes.subarray(0, start),
      message: bytes.toString('utf8', bodyStart, start),
    },
  };
}

/** Where the last line that opens a signature begins. */
function signatureStart(bytes: Buffer, bodyStart: number): number | undefined {
  const at = bytes.lastIndexOf(`\n${TAG_SIGNATURE}SSH SIGNATURE-----\n`);
  const other = bytes.lastIndexOf(`\n${TAG_SIGNATURE}PGP SIGNATURE-----\n`);
  const found = Math.max(at, other);
  return found < bodyStart - 1 ? undefined : found + 1;
}

function readHeaders(bytes: Buffer): { headers: Header[]; bodyStart: number } {
  const headers: Header[] = [];
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0x0a) {
    const start = at;
    let end = lineEnd(bytes, at);
    // A line that starts with a space continues the header before it.
    while (bytes[end] === 0x20) end = lineEnd(bytes, end);
    const text = bytes.toString('utf8', start, bytes[end - 1] === 0x0a ? end - 1 : end);
    const space = text.indexOf(' ');
    headers.push({
      name: space === -1 ? text : text.slice(0, space),
      value: space === -1 ? '' : text.slice(space + 1).replaceAll('\n ', '\n'),
      start,
      end,
    });
    at = end;
  }
  return { headers, bodyStart: Math.min(at + 1, bytes.length) };
}

function lineEnd(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(0x0a, from);
  return at === -1 ? bytes.length : at + 1;
}

function singles(headers: readonly Header[], names: readonly string[]): Map<string, Header> | undefined {
  const found = new Map<string, Header>();
  for (const header of headers) {
    if (!names.includes(header.name)) continue;
    if (found.has(header.name)) return undefined;
    found.set(header.name, header);
  }
  return found;
}

function parsePerson(line: string | undefined): Person | undefined {
  const match = /^([^<>\n]*) ?<([^<>\n]*)> \d+ [+-]\d{4}$/.exec(line ?? '');
  return match === null ? undefined : { name: (match[1] ?? '').trim(), email: match[2] ?? '' };
}

const bad = (reason: string) => ({ ok: false as const, reason });
