import { createHash } from 'node:crypto';
import { invalid, readDer, Tag, expectTag } from './der.ts';

/** Signed certificate timestamps (RFC 6962 §3.2, §3.3): the certificate log's promise that it knows a certificate. */

export interface Sct {
  /** SHA-256 of the log's public key. */
  logId: Buffer;
  /** Milliseconds since the epoch. */
  at: number;
  signature: Buffer;
}

/** What the log knew of the certificate when it signed. */
export interface SctSubject {
  /** SubjectPublicKeyInfo of the certificate's issuer. */
  issuerSpki: Buffer;
  /** TBSCertificate without poison and without SCTs. */
  tbs: Buffer;
}

const V1 = 0;
const CERTIFICATE_TIMESTAMP = 0;
const PRECERT_ENTRY = 1;
const SHA256_ECDSA = Buffer.of(4, 3);
const LOG_ID_BYTES = 32;
const SCTS_MAX = 8;

export const logIdOf = (spki: Uint8Array) => createHash('sha256').update(spki).digest();

/** RFC 8410: what stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo. */
const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const NOTE_ED25519 = 1;

/** Names a log by its key: SHA-256 of an ECDSA key; for Ed25519 the key id of C2SP signed-note, not truncated. */
export function noteKeyId(hostname: string, spki: Uint8Array): Buffer {
  if (!Buffer.from(spki.subarray(0, ED25519_PREFIX.length)).equals(ED25519_PREFIX)) return logIdOf(spki);
  const key = spki.subarray(ED25519_PREFIX.length);
  return createHash('sha256').update(`${hostname}\n`).update(Buffer.of(NOTE_ED25519)).update(key).digest();
}

export async function signSct(
  subject: SctSubject,
  at: number,
  signer: { spki: Buffer; sign(bytes: Uint8Array): Promise<Buffer> },
): Promise<Sct> {
  return { logId: logIdOf(signer.spki), at, signature: await signer.sign(sctInput(subject, at)) };
}

/** The digitally-signed struct of RFC 6962 §3.2 for a precertificate, without extensions. */
export function sctInput({ issuerSpki, tbs }: SctSubject, at: number): Buffer {
  return Buffer.concat([
    Buffer.of(V1, CERTIFICATE_TIMESTAMP),
    uint(at, 8),
    uint(PRECERT_ENTRY, 2),
    logIdOf(issuerSpki),
    uint(tbs.length, 3),
    tbs,
    uint(0, 2),
  ]);
}

/** SignedCertificateTimestampList. */
export function renderSctList(scts: readonly Sct[]): Buffer {
  const items = scts.map(({ logId, at, signature }) => {
    const sct = Buffer.concat([
      Buffer.of(V1),
      logId,
      uint(at, 8),
      uint(0, 2),
      SHA256_ECDSA,
      uint(signature.length, 2),
      signature,
    ]);
    return Buffer.concat([uint(sct.length, 2), sct]);
  });
  const body = Buffer.concat(items);
  return Buffer.concat([uint(body.length, 2), body]);
}

/** The value of the certificate's extension → its SCTs; `Problem attest.der_invalid`. */
export function parseSctList(extensionValue: Buffer): Sct[] {
  const { content } = expectTag(readDer(extensionValue), Tag.octetString);
  const [list, rest] = takeVector(content);
  if (rest.length > 0) throw invalid('there are bytes after the list of SCTs');
  const scts: Sct[] = [];
  for (let left = list; left.length > 0;) {
    const [sct, next] = takeVector(left);
    scts.push(parseSct(sct));
    left = next;
    if (scts.length > SCTS_MAX) throw invalid(`it has more than ${SCTS_MAX} SCTs`);
  }
  return scts;
}

function parseSct(bytes: Buffer): Sct {
  const head = 1 + LOG_ID_BYTES + 8;
  if (bytes.length < head + 4 || bytes[0] !== V1) throw invalid('an SCT is malformed');
  const [extensions, rest] = takeVector(bytes.subarray(head));
  const [signature, after] = takeVector(rest.subarray(2));
  if (extensions.length > 0 || after.length > 0 || !rest.subarray(0, 2).equals(SHA256_ECDSA)) {
    throw invalid('an SCT is not version 1 with ECDSA and SHA-256 and without extensions');
  }
  return {
    logId: bytes.subarray(1, 1 + LOG_ID_BYTES),
    at: Number(bytes.readBigUInt64BE(1 + LOG_ID_BYTES)),
    signature,
  };
}

function takeVector(bytes: Buffer): [Buffer, Buffer] {
  if (bytes.length < 2) throw invalid('an SCT ends early');
  const end = 2 + bytes.readUInt16BE(0);
  if (bytes.length < end) throw invalid('an SCT ends early');
  return [bytes.subarray(2, end), bytes.subarray(end)];
}

function uint(value: number, bytes: number): Buffer {
  return Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex');
}
