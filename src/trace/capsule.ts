import { z } from 'zod';
import { DigestText, parseJson, parseWith } from '#base';
import { hopKinds } from './hop.ts';

/** One file with all that a chain rests on (docs/formats/capsule.md). Nothing in it is believed because it is in it. */

export const CAPSULE_MEDIA_TYPE = 'application/vnd.waybill.capsule+json;version=1';
/** A capsule is one answer of the server, and a file that can be mailed. */
export const CAPSULE_CHARS_MAX = 24 * 1024 * 1024;

const HashText = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);
const Base64 = z
  .string()
  .max(8 * 1024 * 1024)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/);
const FactNumber = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Why a payload is not here: erased for good, not for the eyes of whoever asked, or about another thing in the same stream. */
export const withheldReasons = ['erased', 'permission', 'unrelated'] as const;

const CapsuleFact = z.strictObject({
  /** The exact bytes that are hashed. */
  leaf: z.string().max(65_535),
  /** Payload and origin in the spelling that was committed to. */
  private: z
    .string()
    .max(1024 * 1024)
    .nullable(),
  salt: z.string().max(100).nullable(),
  withheld: z.enum(withheldReasons).nullable(),
  /** From the leaf up to the root of the one checkpoint. */
  path: z.array(HashText).max(63),
});
export type CapsuleFact = z.output<typeof CapsuleFact>;

export const Capsule = z.strictObject({
  v: z.literal(1),
  kind: z.literal('waybill.capsule'),
  mediaType: z.literal(CAPSULE_MEDIA_TYPE),
  /** What the chain is of. */
  digest: DigestText,
  /** Of the deployed file, if that was asked for. */
  path: z.string().max(4096).nullable(),
  publicUrl: z.url().max(1000),
  ledger: z.strictObject({
    /** Tells an auditor which key to ask for. Whoever verifies uses the key he has. */
    vkey: z.string().max(4000),
    checkpoint: z.string().max(100_000),
  }),
  facts: z.array(CapsuleFact).min(1).max(10_000),
  /** Number of the fact that logged the map of streams; null if the server keeps none. */
  heads: FactNumber.nullable(),
  streams: z
    .array(
      z.strictObject({
        stream: z.string().max(200),
        siblings: z.array(HashText).max(256),
        end: z.strictObject({ key: z.string().max(64), number: z.int(), seq: z.int() }).nullable(),
      }),
    )
    .max(1000),
  bundles: z.array(z.strictObject({ digest: DigestText, bytes: Base64 })).max(200),
  policies: z.array(z.strictObject({ digest: DigestText, policy: z.record(z.string(), z.unknown()) })).max(200),
  /** The commit as git hashes it. */
  commit: z.strictObject({ id: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/), bytes: Base64 }).nullable(),
  /** Tells an auditor which root to ask for. */
  trustedRoot: z.record(z.string(), z.unknown()),
  /** What the server said when it was asked; it has to be what comes out again. */
  summary: z.strictObject({
    ok: z.boolean(),
    hops: z
      .array(
        z.strictObject({
          kind: z.enum(hopKinds),
          id: z.string().max(4096),
          title: z.string().max(8192),
          ok: z.boolean(),
        }),
      )
      .max(1000),
  }),
});
export type Capsule = z.output<typeof Capsule>;

/** Untrusted text → capsule; `Problem base.json_invalid`, `base.json_too_large` or `trace.capsule_invalid`. */
export function parseCapsule(text: string): Capsule {
  return parseWith(Capsule, parseJson(text, CAPSULE_CHARS_MAX), 'trace.capsule_invalid');
}

export const summarize = (trace: { ok: boolean; hops: readonly Capsule['summary']['hops'][number][] }) => ({
  ok: trace.ok,
  hops: trace.hops.map(({ kind, id, title, ok }) => ({ kind, id, title, ok })),
});

const WHOLE_STREAMS = /^(?:run|promotion|environment|key|target)\//;
const TARGET_FACTS = new Set(['deploy.target_created', 'deploy.drifted', 'deploy.stopped']);

/** Streams in which a fact that is left out could turn a no into a yes: a revoked key, a failed job, a drift. */
export const mustBeWhole = (stream: string) => WHOLE_STREAMS.test(stream);

/** A target has other deployments than this one. What ended or altered any of them is shown all the same. */
export const mayBeUnrelated = (stream: string, type: string) => stream.startsWith('target/') && !TARGET_FACTS.has(type);
