import { Problem } from '#base';

/** ITU-T X.690 DER, as much of it as certificates, SCTs and RFC 3161 timestamps need. */

export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** Context-specific tags: `[n]` around other values, or in place of a primitive's own tag. */
export const constructed = (number: number) => 0xa0 | number;
export const primitive = (number: number) => 0x80 | number;

// Writing.

export function tlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.of(tag), encodeLength(body.length), body]);
}

function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.of(0x80 | bytes.length), bytes]);
}

export const sequence = (...items: readonly Uint8Array[]) => tlv(Tag.sequence, ...items);
/** DER sorts the members of a SET OF by their encoding. */
export const setOf = (...items: readonly Uint8Array[]) =>
  tlv(Tag.set, ...[...items].sort((a, b) => Buffer.compare(a, b)));
export const octetString = (bytes: Uint8Array) => tlv(Tag.octetString, bytes);
export const bitString = (bytes: Uint8Array, unusedBits = 0) => tlv(Tag.bitString, Buffer.of(unusedBits), bytes);
export const utf8String = (text: string) => tlv(Tag.utf8String, Buffer.from(text));
export const boolean = (value: boolean) => tlv(Tag.boolean, Buffer.of(value ? 0xff : 0x00));

/** A non-negative integer from its big-endian bytes. */
export function integer(value: Uint8Array | number): Buffer {
  const hex = typeof value === 'number' ? value.toString(16) : '';
  const bytes =
    typeof value === 'number' ? Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex') : value;
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const body = bytes.subarray(start);
  return tlv(Tag.integer, (body[0] ?? 0) >= 0x80 ? Buffer.of(0) : Buffer.alloc(0), body);
}

export function oid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number) as [number, number, ...number[]];
  return tlv(Tag.oid, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest % 128));
  return bytes;
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime after; whole seconds. */
export function time(ms: number): Buffer {
  const text = compactTime(ms);
  return ms < Date.UTC(2050, 0)
    ? tlv(Tag.utcTime, Buffer.from(text.slice(2)))
    : tlv(Tag.generalizedTime, Buffer.from(text));
}

export const generalizedTime = (ms: number) => tlv(Tag.generalizedTime, Buffer.from(compactTime(ms)));

const compactTime = (ms: number) => `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`;

// Reading.

export interface DerValue {
  tag: number;
  /** Tag, length and content, as they stood there. */
  bytes: Buffer;
  content: Buffer;
}

/** Untrusted bytes → exactly one value; `Problem attest.der_invalid`. */
export function readDer(bytes: Uint8Array): DerValue {
  const { value, rest } = readNext(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (rest.length > 0) throw invalid('there are bytes after its end');
  return value;
}

const ITEMS_MAX = 1000;

export function readItems(of: DerValue): DerValue[] {
  if ((of.tag & 0x20) === 0) throw invalid('it has a plain value where a list should be');
  const items: DerValue[] = [];
  for (let rest = of.content; rest.length > 0;) {
    const next = readNext(rest);
    items.push(next.value);
    rest = next.rest;
    if (items.length > ITEMS_MAX) throw invalid(`it has more than ${ITEMS_MAX} items in a list`);
  }
  return items;
}

function readNext(bytes: Buffer): { value: DerValue; rest: Buffer } {
  const tag = bytes[0];
  const first = bytes[1];
  if (tag === undefined || first === undefined) throw invalid('it ends early');
  if ((tag & 0x1f) === 0x1f) throw invalid('it has a tag number above 30');
  let start = 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || bytes.length < 2 + count) throw invalid('a length is malformed');
    length = bytes.readUIntBE(2, count);
    start += count;
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw invalid('a length is not in its shortest form');
  }
  const end = start + length;
  if (end > bytes.length) throw invalid('it ends early');
  return {
    value: { tag, bytes: bytes.subarray(0, end), content: bytes.subarray(start, end) },
    rest: bytes.subarray(end),
  };
}

/** The value at `index` of a list, of the kind asked for. */
export function itemAt(items: readonly DerValue[], index: number, tag: number): DerValue {
  const item = items[index];
  if (!item) throw invalid('a list is too short');
  return expectTag(item, tag);
}

export function expectTag(value: DerValue, tag: number): DerValue {
  if (value.tag !== tag) throw invalid(`it has tag 0x${value.tag.toString(16)} where 0x${tag.toString(16)} should be`);
  return value;
}

export function readOid(value: DerValue): string {
  const { content } = expectTag(value, Tag.oid);
  const numbers: number[] = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    if (number > Number.MAX_SAFE_INTEGER) throw invalid('an object identifier is too large');
    if (byte < 0x80) {
      numbers.push(number);
      number = 0;
    }
  }
  const [first, ...rest] = numbers;
  if (first === undefined || (content.at(-1) ?? 0) >= 0x80) throw invalid('an object identifier is malformed');
  const top = Math.min(Math.floor(first / 40), 2);
  return [top, first - top * 40, ...rest].join('.');
}

/** UTCTime or GeneralizedTime in UTC with whole seconds → milliseconds. */
export function readTime(value: DerValue): number {
  const text = value.content.toString('latin1');
  const short = value.tag === Tag.utcTime;
  if (!short && value.tag !== Tag.generalizedTime) throw invalid('it has something else where a time should be');
  if (!(short ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw invalid('a time is malformed');
  const full = short ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  const ms = Date.parse(full.replace(/^(....)(..)(..)(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Number.isNaN(ms)) throw invalid('a time does not exist');
  return ms;
}

/** The bytes of a BIT STRING without unused bits. */
export function readBitString(value: DerValue): Buffer {
  const { content } = expectTag(value, Tag.bitString);
  if (content[0] !== 0) throw invalid('a bit string does not end at a byte');
  return content.subarray(1);
}

/** A small non-negative INTEGER. */
export function readSmallInteger(value: DerValue): number {
  const { content } = expectTag(value, Tag.integer);
  if (content.length === 0 || content.length > 6 || (content[0] ?? 0) >= 0x80)
    throw invalid('a number is out of range');
  return content.readUIntBE(0, content.length);
}

export function invalid(reason: string): Problem {
  return new Problem({
    code: 'attest.der_invalid',
    kind: 'invalid',
    message: `This is not valid DER: ${reason}.`,
    hint: 'Fetch it again; if it stays so, it was damaged or made by something else.',
  });
}
