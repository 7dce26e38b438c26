import { z } from 'zod';
import { parseWith, Problem } from '#base';
import { type Envelope, IN_TOTO_PAYLOAD_TYPE } from './dsse.ts';

/** The Sigstore bundle v0.3: one file with all that is needed to verify offline, the trusted root apart. */

export const BUNDLE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
/** The largest bundle read; ours have about 11 kB beside the statement. */
export const BUNDLE_BYTES_MAX = 2 * 1024 * 1024;

/** base64 in its one canonical spelling → bytes. */
export const Base64Bytes = z
  .string()
  .max(BUNDLE_BYTES_MAX)
  .transform((text, context) => {
    const bytes = Buffer.from(text, 'base64');
    if (bytes.length > 0 && bytes.toString('base64') === text) return bytes;
    context.addIssue({ code: 'custom', message: 'this is not base64 in its canonical spelling' });
    return z.NEVER;
  });

/** proto3 JSON writes 64-bit integers as strings. */
const Int64 = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,15})$/, 'write a plain decimal number')
  .transform(Number)
  .refine(Number.isSafeInteger);

const LogId = z.strictObject({ keyId: Base64Bytes });

const InclusionProof = z.strictObject({
  logIndex: Int64,
  rootHash: Base64Bytes,
  treeSize: Int64,
  hashes: z.array(Base64Bytes).max(64),
  checkpoint: z.strictObject({ envelope: z.string().max(96 * 1024) }),
});

/** An entry in the form of Rekor v1: the log promises a time. */
const entry1 = <K extends string>(kind: K) =>
  z.strictObject({
    logIndex: Int64,
    logId: LogId,
    kindVersion: z.strictObject({ kind: z.literal(kind), version: z.literal('0.0.1') }),
    integratedTime: Int64,
    inclusionPromise: z.strictObject({ signedEntryTimestamp: Base64Bytes }),
    inclusionProof: InclusionProof,
    canonicalizedBody: Base64Bytes,
  });

/** In the form of Rekor v2: no promise and no time, which the timestamp alone vouches for. */
const Entry2 = z.strictObject({
  logIndex: Int64,
  logId: LogId,
  kindVersion: z.strictObject({ kind: z.literal('hashedrekord'), version: z.literal('0.0.2') }),
  integratedTime: z.literal('0').optional(),
  inclusionPromise: z.null().optional(),
  inclusionProof: InclusionProof,
  canonicalizedBody: Base64Bytes,
});

const DsseEntry = entry1('dsse');
const LogEntry = z.union([DsseEntry, entry1('hashedrekord'), Entry2]);

const DsseEnvelope = z.strictObject({
  payload: Base64Bytes,
  payloadType: z.literal(IN_TOTO_PAYLOAD_TYPE),
  signatures: z.array(z.strictObject({ sig: Base64Bytes, keyid: z.literal('').optional() })).length(1),
});

const MessageSignature = z.strictObject({
  messageDigest: z.strictObject({ algorithm: z.literal('SHA2_256'), digest: Base64Bytes }),
  signature: Base64Bytes,
});

const material = <E extends z.ZodType>(entry: E) =>
  z.strictObject({
    certificate: z.strictObject({ rawBytes: Base64Bytes }),
    tlogEntries: z.array(entry).length(1),
    timestampVerificationData: z.strictObject({
      rfc3161Timestamps: z
        .array(z.strictObject({ signedTimestamp: Base64Bytes }))
        .min(1)
        .max(4),
    }),
  });

/** What we write by default: a statement, and its entry in the form of Rekor v1. */
const DefaultBundle = z.strictObject({
  mediaType: z.literal(BUNDLE_MEDIA_TYPE),
  verificationMaterial: material(DsseEntry),
  dsseEnvelope: DsseEnvelope,
});

const BundleSchema = z
  .strictObject({
    mediaType: z.literal(BUNDLE_MEDIA_TYPE),
    verificationMaterial: material(LogEntry),
    dsseEnvelope: DsseEnvelope.optional(),
    messageSignature: MessageSignature.optional(),
  })
  .refine(
    ({ dsseEnvelope, messageSignature }) => (dsseEnvelope === undefined) !== (messageSignature === undefined),
    'a bundle holds either an envelope or the signature of a message',
  );

/** A bundle that was read: bytes instead of base64. */
export type Bundle = z.output<typeof BundleSchema>;
/** A bundle as we write it by default, as JSON. */
export type BundleJson = z.input<typeof DefaultBundle>;
/** Any rendering of one. */
export type AnyBundleJson = z.input<typeof BundleSchema>;
export type LogEntry = z.output<typeof LogEntry>;
export type LogEntryJson = z.input<typeof LogEntry>;

/** Untrusted JSON (text, bytes or value) → bundle of our profile; `Problem attest.bundle_invalid`. */
export function parseBundle(untrusted: unknown): { bundle: Bundle; json: unknown } {
  const json = untrusted instanceof Uint8Array || typeof untrusted === 'string' ? parseText(untrusted) : untrusted;
  return { bundle: parseWith(BundleSchema, json, 'attest.bundle_invalid'), json };
}

function parseText(untrusted: Uint8Array | string): unknown {
  if (untrusted.length > BUNDLE_BYTES_MAX) throw invalidBundle(`it is larger than ${BUNDLE_BYTES_MAX} bytes`);
  try {
    return JSON.parse(typeof untrusted === 'string' ? untrusted : Buffer.from(untrusted).toString('utf8'));
  } catch {
    throw invalidBundle('it is not JSON');
  }
}

/** An entry with its proof, as a log gives it out. */
export interface ProvenEntry {
  kind: 'dsse' | 'hashedrekord';
  version: '0.0.1' | '0.0.2';
  logIndex: number;
  logId: Buffer;
  /** Seconds; the log's own word, and only in the form of Rekor v1. */
  integratedTime: number;
  promise: Buffer | undefined;
  body: Buffer;
  proof: { rootHash: Buffer; treeSize: number; hashes: readonly Buffer[]; checkpoint: string };
}

export interface BundleParts {
  certificate: Buffer;
  content: { envelope: Envelope } | { digest: Buffer; signature: Buffer };
  timestamp: Buffer;
  entry: ProvenEntry;
}

export function renderBundle({ certificate, content, timestamp, entry }: BundleParts): AnyBundleJson {
  const verificationMaterial = {
    certificate: { rawBytes: base64(certificate) },
    tlogEntries: [renderLogEntry(entry)],
    timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(timestamp) }] },
  };
  if ('envelope' in content) {
    return { mediaType: BUNDLE_MEDIA_TYPE, verificationMaterial, dsseEnvelope: content.envelope };
  }
  const messageDigest = { algorithm: 'SHA2_256' as const, digest: base64(content.digest) };
  const messageSignature = { messageDigest, signature: base64(content.signature) };
  return { mediaType: BUNDLE_MEDIA_TYPE, verificationMaterial, messageSignature };
}

/** TransparencyLogEntry of Sigstore's protobuf specs. */
export function renderLogEntry(entry: ProvenEntry): LogEntryJson {
  const { kind, version, proof, promise } = entry;
  const common = {
    logIndex: String(entry.logIndex),
    logId: { keyId: base64(entry.logId) },
    inclusionProof: {
      logIndex: String(entry.logIndex),
      rootHash: base64(proof.rootHash),
      treeSize: String(proof.treeSize),
      hashes: proof.hashes.map(base64),
      checkpoint: { envelope: proof.checkpoint },
    },
    canonicalizedBody: base64(entry.body),
  };
  if (version === '0.0.2' || promise === undefined) {
    return { ...common, kindVersion: { kind: 'hashedrekord', version: '0.0.2' }, integratedTime: '0' };
  }
  const inclusionPromise = { signedEntryTimestamp: base64(promise) };
  const integratedTime = String(entry.integratedTime);
  return kind === 'dsse'
    ? { ...common, kindVersion: { kind, version }, integratedTime, inclusionPromise }
    : { ...common, kindVersion: { kind, version }, integratedTime, inclusionPromise };
}

export const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

const invalidBundle = (reason: string) =>
  new Problem({
    code: 'attest.bundle_invalid',
    kind: 'invalid',
    message: `This is not a Sigstore bundle v0.3: ${reason}.`,
    hint: 'Fetch the bundle again from the server that signed it.',
  });
