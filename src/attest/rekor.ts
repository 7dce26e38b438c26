import { createHash } from 'node:crypto';
import { canonicalJson } from '#base';
import { toPem } from './certificate.ts';
import type { Envelope } from './dsse.ts';

/** Entries of the signatures log in the form of Rekor v1 `dsse` 0.0.1: hashes only, so the claim itself stays private. */

export const ENTRY_KIND = 'dsse';
export const ENTRY_VERSION = '0.0.1';

export interface EntrySource {
  envelope: Envelope;
  certificate: Buffer;
}

/** The leaf of the log, byte for byte what Rekor v1 writes for this envelope. */
export function renderEntry({ envelope, certificate }: EntrySource): string {
  const { payload, payloadType, signatures } = envelope;
  const verifier = Buffer.from(toPem(certificate)).toString('base64');
  return canonicalJson({
    apiVersion: ENTRY_VERSION,
    kind: ENTRY_KIND,
    spec: {
      envelopeHash: { algorithm: 'sha256', value: hex(canonicalJson({ payload, payloadType, signatures })) },
      payloadHash: { algorithm: 'sha256', value: hex(Buffer.from(payload, 'base64')) },
      signatures: signatures.map(({ sig }) => ({ signature: sig, verifier })),
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

const hex = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
