import { createHash, randomBytes } from 'node:crypto';
import {
  bitString,
  boolean,
  constructed,
  integer,
  octetString,
  oid,
  primitive,
  sequence,
  setOf,
  time,
  tlv,
  utf8String,
} from './der.ts';
import { publicKeyBits } from './certificate.ts';
import { oids } from './oid.ts';

/** Writes certificates (RFC 5280). What they say is decided in authority.ts and certificate profiles of signing.md §1.2. */

/** What the vault gives out for a key. */
export interface CertificateSigner {
  spki: Buffer;
  algorithm: 'ed25519' | 'p256' | 'p384';
  sign(bytes: Uint8Array): Promise<Buffer>;
}

export interface Extension {
  oid: string;
  critical: boolean;
  /** DER of the extension's value. */
  value: Buffer;
}

export interface CertificateFields {
  serial: Buffer;
  /** DER of the Name. */
  issuer: Buffer;
  subject: Buffer;
  /** Milliseconds; whole seconds are written. */
  notBefore: number;
  notAfter: number;
  spki: Buffer;
  extensions: readonly Extension[];
}

const SERIAL_BYTES = 20;

/** 159 random bits and never zero in front: positive, 20 bytes, unguessable. */
export function newSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

export async function issueCertificate(fields: CertificateFields, issuer: CertificateSigner): Promise<Buffer> {
  const tbs = renderTbs(fields, issuer.algorithm);
  return sequence(tbs, signatureAlgorithm(issuer.algorithm), bitString(await issuer.sign(tbs)));
}

/** TBSCertificate, RFC 5280 §4.1. */
export function renderTbs(fields: CertificateFields, algorithm: CertificateSigner['algorithm']): Buffer {
  return sequence(
    tlv(constructed(0), integer(2)),
    integer(fields.serial),
    signatureAlgorithm(algorithm),
    fields.issuer,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    fields.subject,
    fields.spki,
    tlv(constructed(3), sequence(...fields.extensions.map(renderExtension))),
  );
}

function renderExtension({ oid: id, critical, value }: Extension): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

export function signatureAlgorithm(algorithm: CertificateSigner['algorithm']): Buffer {
  if (algorithm === 'ed25519') throw new TypeError('attest: certificates are signed with ECDSA keys only');
  return sequence(oid(algorithm === 'p256' ? oids.ecdsaWithSha256 : oids.ecdsaWithSha384));
}

/** `O=…,CN=…`; without either the empty name. */
export function renderName(name: { organization?: string; commonName?: string }): Buffer {
  const attribute = (id: string, value: string | undefined) =>
    value === undefined ? [] : [setOf(sequence(oid(id), utf8String(value)))];
  return sequence(...attribute(oids.organization, name.organization), ...attribute(oids.commonName, name.commonName));
}

/** RFC 5280 §4.2.1.2, method 1: SHA-1 of the key as an identifier; nothing depends on its strength. */
export function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(publicKeyBits(spki)).digest();
}

export const extension = {
  basicConstraints: (ca: { pathLength?: number } | undefined): Extension => ({
    oid: oids.basicConstraints,
    critical: true,
    value: ca ? sequence(boolean(true), ...(ca.pathLength === undefined ? [] : [integer(ca.pathLength)])) : sequence(),
  }),
  keyUsage: (use: 'digitalSignature' | 'certificateSigning'): Extension => ({
    oid: oids.keyUsage,
    critical: true,
    // Bit 0 digitalSignature; bits 5 and 6 keyCertSign and cRLSign.
    value: use === 'digitalSignature' ? bitString(Buffer.of(0x80), 7) : bitString(Buffer.of(0x06), 1),
  }),
  extendedKeyUsage: (use: 'codeSigning' | 'timeStamping', critical = false): Extension => ({
    oid: oids.extendedKeyUsage,
    critical,
    value: sequence(oid(oids[use])),
  }),
  subjectKeyId: (id: Buffer): Extension => ({ oid: oids.subjectKeyId, critical: false, value: octetString(id) }),
  authorityKeyId: (id: Buffer): Extension => ({
    oid: oids.authorityKeyId,
    critical: false,
    value: sequence(tlv(primitive(0), id)),
  }),
  /** Critical, because the subject is empty. */
  uriName: (uri: string): Extension => ({
    oid: oids.subjectAltName,
    critical: true,
    value: sequence(tlv(primitive(6), Buffer.from(uri, 'latin1'))),
  }),
  text: (id: string, text: string): Extension => ({ oid: id, critical: false, value: utf8String(text) }),
  /** Fulcio's oldest extensions hold bare bytes instead of DER. */
  rawText: (id: string, text: string): Extension => ({ oid: id, critical: false, value: Buffer.from(text) }),
  poison: (): Extension => ({ oid: oids.precertificatePoison, critical: true, value: Buffer.of(0x05, 0x00) }),
  sctList: (list: Buffer): Extension => ({ oid: oids.sctList, critical: false, value: octetString(list) }),
};
