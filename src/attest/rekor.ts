import { createHash } from 'node:crypto';
import { canonicalJson } from '#base';
import { base64 } from './bundle.ts';
import { toPem } from './certificate.ts';
import type { DigestAlgorithm } from './prehash.ts';

/** Entries of the two logs: hashes, a signature and a certificate only, so the claim itself stays private. */

/** What was signed, as far as a log knows it. */
export type EntryContent =
  | { kind: 'dsse'; payloadType: string; payload: Uint8Array; signature: Buffer }
  | { kind: 'hashedrekord'; algorithm: DigestAlgorithm; digest: Buffer; signature: Buffer };

const hex = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The leaf, byte for byte what Rekor v1 writes: `dsse` 0.0.1 or `hashedrekord` 0.0.1. */
export function renderEntry(content: EntryContent, certificate: Uint8Array): string {
  const verifier = Buffer.from(toPem(Buffer.from(certificate))).toString('base64');
  const signature = base64(content.signature);
  if (content.kind === 'hashedrekord') {
    const hash = { algorithm: content.algorithm, value: content.digest.toString('hex') };
    const spec = { data: { hash }, signature: { content: signature, publicKey: { content: verifier } } };
    return canonicalJson({ apiVersion: '0.0.1', kind: 'hashedrekord', spec });
  }
  const { payloadType } = content;
  // The envelope in its one spelling, so that white space in a request makes no second entry.
  const envelope = canonicalJson({ payload: base64(content.payload), payloadType, signatures: [{ sig: signature }] });
  return canonicalJson({
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      envelopeHash: { algorithm: 'sha256', value: hex(envelope) },
      payloadHash: { algorithm: 'sha256', value: hex(content.payload) },
      signatures: [{ signature, verifier }],
    },
  });
}

const DIGEST_NAMES: Readonly<Record<DigestAlgorithm, string>> = {
  sha256: 'SHA2_256',
  sha384: 'SHA2_384',
  sha512: 'SHA2_512',
};

/** The leaf, byte for byte what Rekor v2 writes: `hashedrekord` 0.0.2. For an envelope the digest is that of what it signs. */
export function renderEntry2(
  { algorithm, digest, signature }: { algorithm: DigestAlgorithm; digest: Buffer; signature: Buffer },
  certificate: Uint8Array,
  keyDetails: string,
): string {
  return canonicalJson({
    apiVersion: '0.0.2',
    kind: 'hashedrekord',
    spec: {
      hashedRekordV002: {
        data: { algorithm: DIGEST_NAMES[algorithm], digest: base64(digest) },
        signature: {
          content: base64(signature),
          verifier: { keyDetails, x509Certificate: { rawBytes: base64(certificate) } },
        },
      },
    },
  });
}

/** What a signed entry timestamp signs: when which log took in which entry under which number. */
export function promiseInput(promise: {
  body: Uint8Array;
  integratedTime: number;
  logId: Uint8Array;
  logIndex: number;
}): Buffer {
  return Buffer.from(
    canonicalJson({
      body: Buffer.from(promise.body).toString('base64'),
      integratedTime: promise.integratedTime,
      logID: Buffer.from(promise.logId).toString('hex'),
      logIndex: promise.logIndex,
    }),
  );
}
