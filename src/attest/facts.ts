import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';

const Base64 = z.string().max(64 * 1024);
const Hex = z.string().regex(/^[0-9a-f]+$/);

/** Certificates and logs this installation signs with, from now on. */
export const trustEstablished = defineFact({
  type: 'attest.trust_established',
  version: 1,
  schema: z.strictObject({
    /** Stands in certificates and as the log's name; an installation keeps it for ever. */
    name: z.string(),
    publicUrl: z.string(),
    logHostname: z.string(),
    /** First line of the signatures log's checkpoints. */
    logOrigin: z.string(),
    logKey: Base64,
    certificateLogKey: Base64,
    certificates: z.strictObject({ root: Base64, intermediate: Base64, timestampRoot: Base64, timestamp: Base64 }),
  }),
});

/** What the next generation of a part of the trust is made of. */
const Material = z.discriminatedUnion('part', [
  z.strictObject({ part: z.literal('ca'), root: Base64, intermediate: Base64 }),
  z.strictObject({ part: z.literal('tsa'), root: Base64, signer: Base64 }),
  z.strictObject({ part: z.literal('ct'), hostname: z.string(), key: Base64 }),
  z.strictObject({ part: z.literal('log'), hostname: z.string(), origin: z.string(), key: Base64 }),
  z.strictObject({ part: z.literal('rekor2'), hostname: z.string(), origin: z.string(), key: Base64 }),
]);

/** A part of the trust got its next generation. The one before stays believed for what it made until it ended. */
export const trustRotated = defineFact({
  type: 'attest.trust_rotated',
  version: 1,
  schema: z.strictObject({
    generation: z.int().min(1),
    material: Material,
    startsAt: z.int(),
    /** Null for a part that had none before. */
    previousEndsAt: z.int().nullable(),
    reason: z.string().max(500),
  }),
});

/** Somebody with a believed token and a key of their own asks for a certificate. One token, one key: another key is refused. */
export const certificateRequested = defineFact({
  type: 'attest.certificate_requested',
  version: 1,
  schema: z.strictObject({
    /** SHA-256 of the signed part of the token. */
    token: Hex,
    kind: z.enum(['person', 'job', 'external']),
    issuer: z.string().max(500),
    subject: z.string().max(1024),
    san: z.string().max(2048),
    /** Of a token of our own: its id, under which its making is on record. */
    jti: z.string().max(60).nullable(),
    /** Digest of the public key, which the asker has proven to hold. */
    key: DigestText,
    rule: z.strictObject({ name: z.string(), generation: z.int() }).nullable(),
    /** Digest of all claims. */
    claims: DigestText,
  }),
});

/** The certificate log took in a precertificate; only then it signs a certificate timestamp, and a certificate is made. */
export const precertificateLogged = defineFact({
  type: 'attest.precertificate_logged',
  version: 1,
  schema: z.strictObject({
    /** Stream of the attestation it is for, or of the request of somebody outside. */
    request: z.string(),
    serial: Hex,
    san: z.string(),
    issuer: z.string(),
    sctAt: z.int(),
    precertificate: Base64,
  }),
});

const Subjects = z.array(z.strictObject({ name: z.string(), digest: z.record(z.string(), Hex) })).min(1);

const LeafText = z.string().max(65_000);

/** A signature was made and is an entry of both logs: the leaves' bytes, and where the rest waits for the proof. */
export const entryLogged = defineFact({
  type: 'attest.entry_logged',
  version: 1,
  schema: z.strictObject({
    attestation: z.string(),
    /** Digest of what was asked to be signed: type, subjects, signer. */
    request: DigestText,
    /** Log and exact leaf in the form of Rekor v1, and the same signature in the form of Rekor v2. */
    log: z.string(),
    body: LeafText,
    rekor2Log: z.string(),
    rekor2Body: LeafText,
    /** Object with certificate, envelope and timestamp. */
    draft: DigestText,
  }),
});

/** A signature that somebody outside made with a certificate of ours, verified, is an entry of one log. */
export const entrySubmitted = defineFact({
  type: 'attest.entry_submitted',
  version: 1,
  schema: z.strictObject({
    log: z.string(),
    body: LeafText,
    /** Of the certificate. */
    serial: Hex,
    san: z.string(),
    issuer: z.string(),
  }),
});

/** Something was found that must not be: a certificate nobody asked for, a signature with one we never gave out. */
export const alertRaised = defineFact({
  type: 'attest.alert_raised',
  version: 1,
  schema: z.strictObject({
    code: z.string(),
    message: z.string().max(1000),
    serial: Hex.nullable(),
    san: z.string().max(2048).nullable(),
    /** The fact that gave rise to it, if there is one. */
    fact: z.int().nullable(),
  }),
});

/** Metadata of the TUF repository, as clients get it, and with targets the files that are new in it. */
export const tufPublished = defineFact({
  type: 'attest.tuf_published',
  version: 1,
  schema: z.strictObject({
    role: z.enum(['root', 'targets', 'snapshot', 'timestamp']),
    version: z.int().min(1),
    document: z.string().max(100_000),
    targets: z.array(z.strictObject({ name: z.string(), sha256: Hex, content: z.string().max(100_000) })).max(500),
  }),
});

const BundlePayload = z.strictObject({
  attestation: z.string(),
  bundle: DigestText,
  predicateType: z.string(),
  san: z.string(),
  issuer: z.string(),
  subjects: Subjects,
  logIndex: z.int().min(0),
});

export const bundleMade = defineFact({ type: 'attest.bundle_made', version: 1, schema: BundlePayload });

/** A bundle that somebody else signed, verified and kept. */
export const bundleReceived = defineFact({
  type: 'attest.bundle_received',
  version: 1,
  schema: BundlePayload.extend({
    /** The highest SLSA build level that provenance by this signer can have. */
    buildLevel: z.int().min(1).max(3),
  }),
});

/** A verification summary was signed with the long-lived key as well, as a bare envelope. */
export const summarySigned = defineFact({
  type: 'attest.summary_signed',
  version: 1,
  schema: z.strictObject({ bundle: DigestText, envelope: DigestText, key: DigestText }),
});

export type SummarySigned = z.infer<typeof summarySigned.schema>;
export type TrustEstablished = z.infer<typeof trustEstablished.schema>;
export type TrustRotated = z.infer<typeof trustRotated.schema>;
export type CertificateRequested = z.infer<typeof certificateRequested.schema>;
export type EntrySubmitted = z.infer<typeof entrySubmitted.schema>;
export type TufPublished = z.infer<typeof tufPublished.schema>;
export type AlertRaised = z.infer<typeof alertRaised.schema>;
export type PrecertificateLogged = z.infer<typeof precertificateLogged.schema>;
export type EntryLogged = z.infer<typeof entryLogged.schema>;
export type BundleReceived = z.infer<typeof bundleReceived.schema>;
export type BundleMade = z.infer<typeof bundleMade.schema>;
