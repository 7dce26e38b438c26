import { z } from 'zod';
import { parseWith, Problem } from '#base';
import { type Envelope, IN_TOTO_PAYLOAD_TYPE } from './dsse.ts';
import { ENTRY_KIND, ENTRY_VERSION } from './rekor.ts';

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

const LogEntry = z.strictObject({
  logIndex: Int64,
  logId: LogId,
  kindVersion: z.strictObject({ kind: z.literal(ENTRY_KIND), version: z.literal(ENTRY_VERSION) }),
  integratedTime: Int64,
  inclusionPromise: z.strictObject({ signedEntryTimestamp: Base64Bytes }),
  inclusionProof: z.strictObject({
    logIndex: Int64,
    rootHash: Base64Bytes,
    treeSize: Int64,
    hashes: z.array(Base64Bytes).max(64),
    checkpoint: z.strictObject({ envelope: z.string().max(96 * 1024) }),
  }),
  canonicalizedBody: Base64Bytes,
});

const BundleSchema = z.strictObject({
  mediaType: z.literal(BUNDLE_MEDIA_TYPE),
  verificationMaterial: z.strictObject({
    certificate: z.strictObject({ rawBytes: Base64Bytes }),
    tlogEntries: z.array(LogEntry).length(1),
    timestampVerificationData: z.strictObject({
      rfc3161Timestamps: z
        .array(z.strictObject({ signedTimestamp: Base64Bytes }))
        .min(1)
        .max(4),
    }),
  }),
  dsseEnvelope: z.strictObject({
    payload: Base64Bytes,
    payloadType: z.literal(IN_TOTO_PAYLOAD_TYPE),
    signatures: z.array(z.strictObject({ sig: Base64Bytes, keyid: z.literal('').optional() })).length(1),
  }),
});

/** A bundle that was read: bytes instead of base64. */
export type Bundle = z.output<typeof BundleSchema>;
/** A bundle as JSON. */
export type BundleJson = z.input<typeof BundleSchema>;
export type LogEntry = z.output<typeof LogEntry>;

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

export interface BundleParts {
  certificate: Buffer;
  envelope: Envelope;
  timestamp: Buffer;
  entry: {
    logIndex: number;
    logId: Buffer;
    integratedTime: number;
    promise: Buffer;
    body: Buffer;
    proof: { rootHash: Buffer; treeSize: number; hashes: readonly Buffer[]; checkpoint: string };
  };
}

export function renderBundle({ certificate, envelope, timestamp, entry }: BundleParts): BundleJson {
  const { proof } = entry;
  return {
    mediaType: BUNDLE_MEDIA_TYPE,
    verificationMaterial: {
      certificate: { rawBytes: base64(certificate) },
      tlogEntries: [
        {
          logIndex: String(entry.logIndex),
          logId: { keyId: base64(entry.logId) },
          kindVersion: { kind: ENTRY_KIND, version: ENTRY_VERSION },
          integratedTime: String(entry.integratedTime),
          inclusionPromise: { signedEntryTimestamp: base64(entry.promise) },
          inclusionProof: {
            logIndex: String(entry.logIndex),
            rootHash: base64(proof.rootHash),
            treeSize: String(proof.treeSize),
            hashes: proof.hashes.map(base64),
            checkpoint: { envelope: proof.checkpoint },
          },
          canonicalizedBody: base64(entry.body),
        },
      ],
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(timestamp) }] },
    },
    dsseEnvelope: envelope,
  };
}

export const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

const invalidBundle = (reason: string) =>
  new Problem({
    code: 'attest.bundle_invalid',
    kind: 'invalid',
    message: `This is not a Sigstore bundle v0.3: ${reason}.`,
    hint: 'Fetch the bundle again from the server that signed it.',
  });
