import { randomBytes } from 'node:crypto';
import { hash } from 'node:crypto';
import type { z } from 'zod';
import { canonicalJson, type Digest, limits, parseWith, Problem } from '#base';

/** Where a request came from. Erasable with the payload; never part of a ledger leaf. */
export interface Origin {
  kind: 'http' | 'cli' | 'worker' | 'system';
  address?: string;
  requestId?: string;
}

/** Who acts. `principal` is an opaque random id: the only thing about a person that enters the ledger. */
export interface Actor {
  principal: string;
  origin: Origin;
}

/** A worker of the server itself. */
export function systemActor(worker: string): Actor {
  return { principal: 'system', origin: { kind: 'worker', requestId: worker } };
}

/** What a kind of fact looks like. Once released its schema never changes: a new version is added beside it. */
export interface FactDefinition<P = unknown> {
  /** `module.what_happened`. */
  readonly type: string;
  readonly version: number;
  readonly schema: z.ZodType<P>;
}

export function defineFact<P>(definition: { type: string; version: number; schema: z.ZodType<P> }): FactDefinition<P> {
  return definition;
}

export interface Fact<P = unknown> {
  /** From 1, without gaps, in commit order. The fact's leaf in the `events` log has index number − 1. */
  readonly number: number;
  readonly stream: string;
  /** From 1 within the stream, without gaps. */
  readonly seq: number;
  /** Number of the stream's fact before this one. */
  readonly previous: number | null;
  readonly type: string;
  readonly version: number;
  /** When it was received, milliseconds since the epoch. */
  readonly at: number;
  readonly actor: Actor;
  readonly subject: Digest | null;
  readonly payload: P;
  /** Number of the fact that erased the payload; `payload` is then only what may stay of it. */
  readonly erasedBy?: number;
}

/** What `record` takes. */
export interface Draft<P = unknown> {
  fact: FactDefinition<P>;
  payload: P;
  /** `noun/<id>`; the facts of one thing, in order. */
  stream: string;
  actor: Actor;
  subject?: Digest;
  /** The stream's length as the decision saw it (0: new). Another value refuses with `journal.stream_moved`. */
  expectSeq?: number;
}

export interface Commitment {
  salt: Buffer;
  commitment: Buffer;
}

const SALT_BYTES = 32;
const SALTS_DRAWN = 64;

/** The part of a fact that stays erasable, in its one canonical spelling. */
export function privatePart(payload: unknown, origin: Origin): string {
  return canonicalJson({ origin, payload });
}

/** Binds the ledger to a payload without revealing it: a fresh salt a fact keeps small payloads unguessable. */
export function commitTo(privateText: string): Commitment {
  const salt = freshSalt();
  return { salt, commitment: commitmentOf(salt, privateText) };
}

let unused = Buffer.alloc(0);

/** Asked of the system for many salts at a time; no byte of it is given out twice. */
function freshSalt(): Buffer {
  if (unused.length === 0) unused = randomBytes(SALT_BYTES * SALTS_DRAWN);
  const salt = Buffer.from(unused.subarray(0, SALT_BYTES));
  unused = unused.subarray(SALT_BYTES);
  return salt;
}

export function commitmentOf(salt: Uint8Array, privateText: string): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from('waybill/commit/v1\n'), salt, Buffer.from(privateText)]), 'buffer');
}

export interface LeafFields {
  number: number;
  stream: string;
  seq: number;
  previous: number | null;
  type: string;
  version: number;
  at: number;
  principal: string;
  subject: string | null;
  commitment: Uint8Array;
}

/** The exact bytes of a fact's leaf in the `events` log (docs/formats/fact.md). */
export function leafBytes(fields: LeafFields): Buffer {
  return Buffer.from(
    canonicalJson({
      v: 1,
      n: fields.number,
      t: fields.at,
      k: `${fields.type}@${fields.version}`,
      st: fields.stream,
      sq: fields.seq,
      pv: fields.previous,
      o: fields.subject,
      a: fields.principal,
      c: Buffer.from(fields.commitment).toString('base64url'),
    }),
  );
}

const STREAM = /^[a-z]+\/[A-Za-z0-9:_.-]{1,120}$/;

/** Our own mistakes (a payload that is not of its schema, a malformed stream) stop here, before the transaction. */
export function checkDraft(draft: Draft): unknown {
  if (!STREAM.test(draft.stream)) throw new TypeError(`journal: '${draft.stream}' is not a stream name`);
  const payload = parseWith(draft.fact.schema, draft.payload, 'journal.payload_invalid');
  if (JSON.stringify(payload).length > limits.factPayloadBytes) {
    throw new Problem({
      code: 'journal.payload_too_large',
      kind: 'limited',
      message: `This would record a fact larger than ${limits.factPayloadBytes} bytes.`,
      hint: 'Split the request, or put the content into an object and record its digest.',
    });
  }
  return payload;
}
