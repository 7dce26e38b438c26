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

/** The certificate log took in a precertificate; only then it signs a certificate timestamp, and a certificate is made. */
export const precertificateLogged = defineFact({
  type: 'attest.precertificate_logged',
  version: 1,
  schema: z.strictObject({
    attestation: z.string(),
    serial: Hex,
    san: z.string(),
    issuer: z.string(),
    sctAt: z.int(),
    precertificate: Base64,
  }),
});

const Subjects = z.array(z.strictObject({ name: z.string(), digest: z.record(z.string(), Hex) })).min(1);

/** A signature was made and is an entry of the signatures log: the leaf's bytes, and where the rest waits for the proof. */
export const entryLogged = defineFact({
  type: 'attest.entry_logged',
  version: 1,
  schema: z.strictObject({
    attestation: z.string(),
    /** Digest of what was asked to be signed: type, subjects, signer. */
    request: DigestText,
    /** The exact leaf. */
    body: z.string().max(65_000),
    /** Object with certificate, envelope and timestamp. */
    draft: DigestText,
  }),
});

export const bundleMade = defineFact({
  type: 'attest.bundle_made',
  version: 1,
  schema: z.strictObject({
    attestation: z.string(),
    bundle: DigestText,
    predicateType: z.string(),
    san: z.string(),
    issuer: z.string(),
    subjects: Subjects,
    logIndex: z.int().min(0),
  }),
});

export type TrustEstablished = z.infer<typeof trustEstablished.schema>;
export type PrecertificateLogged = z.infer<typeof precertificateLogged.schema>;
export type EntryLogged = z.infer<typeof entryLogged.schema>;
export type BundleMade = z.infer<typeof bundleMade.schema>;
