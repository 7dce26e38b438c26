import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import {
  constructed,
  type DerValue,
  expectTag,
  invalid,
  itemAt,
  primitive,
  readBitString,
  readDer,
  readItems,
  readOid,
  readSmallInteger,
  readTime,
  sequence,
  Tag,
  tlv,
} from './der.ts';
import { fulcioExtensions, type FulcioExtension, oids } from './oid.ts';

/** Reads certificates (RFC 5280). Pure; every field as it stood there, judged elsewhere. */

export interface CertificateExtension {
  critical: boolean;
  value: Buffer;
}

export interface Certificate {
  der: Buffer;
  /** TBSCertificate, as signed. */
  tbs: Buffer;
  serial: Buffer;
  issuer: Buffer;
  subject: Buffer;
  notBefore: number;
  notAfter: number;
  spki: Buffer;
  publicKey: KeyObject;
  signatureAlgorithm: string;
  signature: Buffer;
  extensions: ReadonlyMap<string, CertificateExtension>;
}

const CERTIFICATE_BYTES_MAX = 32 * 1024;

/** Untrusted bytes → certificate; `Problem attest.der_invalid`. */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > CERTIFICATE_BYTES_MAX) throw invalid('it is too large for a certificate');
  const whole = expectTag(readDer(der), Tag.sequence);
  const [tbs, algorithm, signature] = readItems(whole);
  if (!tbs || !algorithm || !signature) throw invalid('a certificate has three parts');
  const fields = readItems(tbs);
  const [version] = readItems(itemAt(fields, 0, constructed(0)));
  if (!version || readSmallInteger(version) !== 2) throw invalid('only version 3 certificates are read');
  if (!itemAt(fields, 2, Tag.sequence).bytes.equals(algorithm.bytes))
    throw invalid('it names two signature algorithms');
  const [notBefore, notAfter] = readItems(itemAt(fields, 4, Tag.sequence));
  if (!notBefore || !notAfter) throw invalid('its validity is malformed');
  const spki = itemAt(fields, 6, Tag.sequence).bytes;
  return {
    der: whole.bytes,
    tbs: tbs.bytes,
    serial: itemAt(fields, 1, Tag.integer).content,
    issuer: itemAt(fields, 3, Tag.sequence).bytes,
    subject: itemAt(fields, 5, Tag.sequence).bytes,
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    spki,
    publicKey: importSpki(spki),
    signatureAlgorithm: readOid(itemAt(readItems(algorithm), 0, Tag.oid)),
    signature: readBitString(signature),
    extensions: readExtensions(itemAt(fields, 7, constructed(3))),
  };
}

export function importSpki(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    throw invalid('its public key cannot be read');
  }
}

function readExtensions(value: DerValue): Map<string, CertificateExtension> {
  const extensions = new Map<string, CertificateExtension>();
  for (const item of extensionItems(value)) {
    const parts = readItems(item);
    const id = readOid(itemAt(parts, 0, Tag.oid));
    if (extensions.has(id)) throw invalid(`it has the extension ${id} twice`);
    const critical = parts.length === 3 && itemAt(parts, 1, Tag.boolean).content.equals(Buffer.of(0xff));
    extensions.set(id, { critical, value: itemAt(parts, parts.length - 1, Tag.octetString).content });
  }
  return extensions;
}

const extensionItems = (value: DerValue) => readItems(itemAt(readItems(value), 0, Tag.sequence));

/** RFC 6962 §3.2: what a precertificate's SCT signs is the TBSCertificate without the list of SCTs. */
export function tbsWithoutSct(certificate: Certificate): Buffer {
  const fields = readItems(readDer(certificate.tbs));
  const kept = extensionItems(itemAt(fields, 7, constructed(3))).filter(
    (item) => readOid(itemAt(readItems(item), 0, Tag.oid)) !== oids.sctList,
  );
  const before = fields.slice(0, 7).map((field) => field.bytes);
  return sequence(...before, tlv(constructed(3), sequence(...kept.map((item) => item.bytes))));
}

const HASHES: Readonly<Record<string, string>> = {
  [oids.ecdsaWithSha256]: 'sha256',
  [oids.ecdsaWithSha384]: 'sha384',
};

/** Did `issuer`'s key sign `certificate`? */
export function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  const hash = HASHES[certificate.signatureAlgorithm];
  return hash !== undefined && verify(hash, certificate.tbs, issuer.publicKey, certificate.signature);
}

/** `undefined`: not a CA. RFC 5280 §4.2.1.9. */
export function certificateAuthority(certificate: Certificate): { pathLength: number | undefined } | undefined {
  const found = certificate.extensions.get(oids.basicConstraints);
  if (!found) return undefined;
  const [ca, pathLength] = readItems(expectTag(readDer(found.value), Tag.sequence));
  if (ca?.tag !== Tag.boolean || !ca.content.equals(Buffer.of(0xff))) return undefined;
  return { pathLength: pathLength && readSmallInteger(pathLength) };
}

/** The first byte of the key usage bits: 0x80 digitalSignature, 0x04 keyCertSign, 0x02 cRLSign. */
export function keyUsage(certificate: Certificate): number | undefined {
  const found = certificate.extensions.get(oids.keyUsage);
  return found && expectTag(readDer(found.value), Tag.bitString).content[1];
}

/** RFC 5280 §4.2.1.12; undefined when the certificate has no such extension. */
export function extendedKeyUsages(certificate: Certificate): string[] | undefined {
  const found = certificate.extensions.get(oids.extendedKeyUsage);
  return found && readItems(expectTag(readDer(found.value), Tag.sequence)).map(readOid);
}

/** The one name of the holder: exactly one URI or e-mail address, else undefined. */
export function subjectAlternativeName(certificate: Certificate): string | undefined {
  const found = certificate.extensions.get(oids.subjectAltName);
  const names = found ? readItems(expectTag(readDer(found.value), Tag.sequence)) : [];
  const [name] = names;
  if (names.length !== 1 || !name || (name.tag !== primitive(6) && name.tag !== primitive(1))) return undefined;
  return name.content.toString('latin1');
}

/** Fulcio's extensions by name; only those that are well-formed. */
export function identityExtensions(certificate: Certificate): Partial<Record<FulcioExtension, string>> {
  const found: Partial<Record<FulcioExtension, string>> = {};
  for (const [name, id] of Object.entries(fulcioExtensions) as [FulcioExtension, string][]) {
    const extension = certificate.extensions.get(id);
    if (extension) found[name] = expectTag(readDer(extension.value), Tag.utf8String).content.toString('utf8');
  }
  return found;
}

export function organizationOf(name: Buffer): string | undefined {
  for (const set of readItems(readDer(name))) {
    for (const attribute of readItems(set)) {
      const [type, value] = readItems(attribute);
      if (type && value && readOid(type) === oids.organization) return value.content.toString('utf8');
    }
  }
  return undefined;
}

/** The key itself, without the algorithm around it. */
export function publicKeyBits(spki: Buffer): Buffer {
  return readBitString(itemAt(readItems(readDer(spki)), 1, Tag.bitString));
}

export function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
