import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { parseWith, Problem } from '#base';
import { Base64Bytes } from './bundle.ts';
import { type Certificate, importSpki, parseCertificate } from './certificate.ts';
import { noteKeyId } from './sct.ts';

/** Whom a verifier believes: `trusted_root.json` of Sigstore, media type version 0.1 (Go and Python refuse 0.2). */

export const TRUSTED_ROOT_MEDIA_TYPE = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';
const LogKeyDetails = z.enum(['PKIX_ECDSA_P256_SHA_256', 'PKIX_ED25519']);

const When = z.iso.datetime().transform((text) => Date.parse(text));
const ValidFor = z.object({ start: When, end: When.optional() });

const LogInstance = z.object({
  baseUrl: z.url(),
  hashAlgorithm: z.literal('SHA2_256'),
  publicKey: z.object({ rawBytes: Base64Bytes, keyDetails: LogKeyDetails, validFor: ValidFor }),
  logId: z.object({ keyId: Base64Bytes }),
});

const Authority = z.object({
  subject: z.object({ organization: z.string(), commonName: z.string() }),
  uri: z.url(),
  certChain: z.object({
    certificates: z
      .array(z.object({ rawBytes: Base64Bytes }))
      .min(2)
      .max(8),
  }),
  validFor: ValidFor,
});

const TrustedRootSchema = z.object({
  mediaType: z.literal(TRUSTED_ROOT_MEDIA_TYPE),
  tlogs: z.array(LogInstance).max(64),
  certificateAuthorities: z.array(Authority).max(64),
  ctlogs: z.array(LogInstance).max(64),
  timestampAuthorities: z.array(Authority).max(64),
});

export type TrustedRootJson = z.input<typeof TrustedRootSchema>;

export interface Validity {
  start: number;
  end?: number | undefined;
}

export interface TrustedLog {
  /** What the log calls itself in checkpoints. */
  hostname: string;
  logId: Buffer;
  publicKey: KeyObject;
  validFor: Validity;
}

export interface TrustedAuthority {
  /** Signing: issuer first, self-signed root last. Timestamping: the signer first. */
  chain: readonly Certificate[];
  validFor: Validity;
}

export interface TrustedRoot {
  logs: readonly TrustedLog[];
  certificateLogs: readonly TrustedLog[];
  authorities: readonly TrustedAuthority[];
  timestampAuthorities: readonly TrustedAuthority[];
}

const TRUSTED_ROOT_CHARS_MAX = 4 * 1024 * 1024;

/** JSON (text, bytes or value) → trusted root; `Problem attest.trusted_root_invalid`. */
export function parseTrustedRoot(given: unknown): { root: TrustedRoot; json: unknown } {
  const json = given instanceof Uint8Array || typeof given === 'string' ? parseText(given) : given;
  const document = parseWith(TrustedRootSchema, json, 'attest.trusted_root_invalid');
  return {
    root: {
      logs: document.tlogs.map(readLog),
      certificateLogs: document.ctlogs.map(readLog),
      authorities: document.certificateAuthorities.map(readAuthority),
      timestampAuthorities: document.timestampAuthorities.map(readAuthority),
    },
    json,
  };
}

function parseText(given: Uint8Array | string): unknown {
  try {
    if (given.length > TRUSTED_ROOT_CHARS_MAX) throw new RangeError('too large');
    return JSON.parse(typeof given === 'string' ? given : Buffer.from(given).toString('utf8'));
  } catch {
    throw invalidRoot('it is not JSON, or too large');
  }
}

function readLog(log: z.output<typeof LogInstance>): TrustedLog {
  const { rawBytes, keyDetails, validFor } = log.publicKey;
  const { hostname } = new URL(log.baseUrl);
  const publicKey = importSpki(rawBytes);
  const isEdwards = publicKey.asymmetricKeyType === 'ed25519';
  if (isEdwards !== (keyDetails === 'PKIX_ED25519')) throw invalidRoot(`the key of ${log.baseUrl} is of another kind`);
  if (!noteKeyId(hostname, rawBytes).equals(log.logId.keyId))
    throw invalidRoot(`the id of the log ${log.baseUrl} is not that of its key`);
  return { hostname, logId: log.logId.keyId, publicKey, validFor };
}

function readAuthority(authority: z.output<typeof Authority>): TrustedAuthority {
  return {
    chain: authority.certChain.certificates.map(({ rawBytes }) => parseCertificate(rawBytes)),
    validFor: authority.validFor,
  };
}

/** `end` belongs to the period. */
export function isValidAt({ start, end }: Validity, at: number): boolean {
  return start <= at && (end === undefined || at <= end);
}

/** gh and Flux ask for a certificate timestamp when the root names a certificate log, and not otherwise. */
export const withoutCertificateLogs = (root: TrustedRootJson): TrustedRootJson => ({ ...root, ctlogs: [] });

/** Compact is one line with a newline, the only form gh reads; pretty is for people. */
export function printTrustedRoot(root: TrustedRootJson, form: 'compact' | 'pretty' = 'compact'): string {
  return `${form === 'compact' ? JSON.stringify(root) : JSON.stringify(root, null, 2)}\n`;
}

const invalidRoot = (reason: string) =>
  new Problem({
    code: 'attest.trusted_root_invalid',
    kind: 'invalid',
    message: `This is not a trusted root: ${reason}.`,
    hint: 'Take trusted_root.json from the server you trust, over a connection you trust.',
  });
