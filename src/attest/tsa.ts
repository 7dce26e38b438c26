import { createHash } from 'node:crypto';
import { parseCertificate } from './certificate.ts';
import { constructed, generalizedTime, integer, octetString, oid, sequence, setOf, time, tlv } from './der.ts';
import { newSerial, signatureAlgorithm, type CertificateSigner } from './issue.ts';
import { oids } from './oid.ts';

/** Writes RFC 3161 timestamps: proof that these bytes existed at that second. */

export interface TimestampRequest {
  /** Digest of what is stamped; SHA-256 unless said. */
  imprint: Buffer;
  algorithm?: 'sha256' | 'sha384' | 'sha512';
  /** Milliseconds; written in whole seconds. */
  now: number;
  /** Returned as it came, so that the asker knows the answer is fresh. */
  nonce?: Buffer | undefined;
  /** RFC 3161 §2.4.1: an asker who has the signer's certificate may leave it out. */
  withCertificate?: boolean;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const sha256Algorithm = sequence(oid(oids.sha256));
const GRANTED = 0;

/** A TimeStampResp with the signer's certificate inside. */
export async function signTimestamp(
  request: TimestampRequest,
  certificate: Buffer,
  signer: CertificateSigner,
): Promise<Buffer> {
  const info = renderTstInfo(request);
  const signer1 = await renderSignerInfo(info, request.now, certificate, signer);
  const signedData = sequence(
    integer(3),
    setOf(sha256Algorithm),
    sequence(oid(oids.tstInfo), tlv(constructed(0), octetString(info))),
    ...(request.withCertificate === false ? [] : [tlv(constructed(0), certificate)]),
    setOf(signer1),
  );
  return sequence(sequence(integer(GRANTED)), sequence(oid(oids.signedData), tlv(constructed(0), signedData)));
}

/** RFC 3161 §2.4.2 TSTInfo. */
function renderTstInfo({ imprint, algorithm = 'sha256', now, nonce }: TimestampRequest): Buffer {
  return sequence(
    integer(1),
    oid(oids.timestampPolicy),
    sequence(sequence(oid(oids[algorithm])), octetString(imprint)),
    integer(newSerial()),
    generalizedTime(now),
    ...(nonce ? [integer(nonce)] : []),
  );
}

/** RFC 5652 §5.3 SignerInfo over signed attributes; the attributes are signed as a SET and stored under `[0]`. */
async function renderSignerInfo(
  info: Buffer,
  now: number,
  certificate: Buffer,
  signer: CertificateSigner,
): Promise<Buffer> {
  const { issuer, serial } = parseCertificate(certificate);
  const attributes = setOf(
    attribute(oids.contentType, oid(oids.tstInfo)),
    attribute(oids.messageDigest, octetString(sha256(info))),
    attribute(oids.signingTime, time(now)),
    attribute(oids.signingCertificateV2, signingCertificate(certificate, issuer, serial)),
  );
  const stored = Buffer.from(attributes);
  stored[0] = constructed(0);
  return sequence(
    integer(1),
    sequence(issuer, integer(serial)),
    sha256Algorithm,
    stored,
    signatureAlgorithm(signer.algorithm),
    octetString(await signer.sign(attributes)),
  );
}

const attribute = (id: string, value: Buffer) => sequence(oid(id), setOf(value));

/** RFC 5035 §3: names the signing certificate by its SHA-256, so that another one of the same key does not fit. */
function signingCertificate(certificate: Buffer, issuer: Buffer, serial: Buffer): Buffer {
  const directoryName = tlv(constructed(4), issuer);
  const issuerSerial = sequence(sequence(directoryName), integer(serial));
  return sequence(sequence(sequence(octetString(sha256(certificate)), issuerSerial)));
}
