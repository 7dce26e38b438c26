import {
  constructed,
  expectTag,
  invalid,
  itemAt,
  oid,
  readDer,
  readItems,
  readOid,
  readSmallInteger,
  readTime,
  sequence,
  Tag,
  type DerValue,
} from './der.ts';
import { oids } from './oid.ts';

/** Reads RFC 3161 timestamps. Pure; what it says is judged in verify-timestamp.ts. */

export interface Timestamp {
  /** SHA-256 of what was stamped. */
  imprint: Buffer;
  at: number;
  /** TSTInfo, as digested. */
  info: Buffer;
  messageDigest: Buffer;
  /** The signed attributes in the spelling that was signed. */
  attributes: Buffer;
  signer: { issuer: Buffer; serial: Buffer };
  /** SHA-256 of the signer's certificate, as the signer says. */
  certificateHash: Buffer;
  signature: Buffer;
  signatureAlgorithm: string;
  /** Sent along; the list is not signed. */
  certificates: readonly Buffer[];
}

/** PKIStatusInfo with status granted and nothing else. */
const GRANTED = Buffer.from('3003020100', 'hex');
/** AlgorithmIdentifier of SHA-256, without parameters and with NULL. */
const SHA256 = [sequence(oid(oids.sha256)), sequence(oid(oids.sha256), Buffer.of(Tag.null, 0))];

const TIMESTAMP_BYTES_MAX = 64 * 1024;

/** Untrusted TimeStampResp → its parts; `Problem attest.der_invalid`. */
export function parseTimestamp(der: Uint8Array): Timestamp {
  if (der.length > TIMESTAMP_BYTES_MAX) throw invalid('it is too large for a timestamp');
  const [status, token] = readItems(expectTag(readDer(der), Tag.sequence));
  if (!status || !token) throw invalid('the timestamp was not granted');
  if (!status.bytes.equals(GRANTED)) throw invalid('the timestamp was not granted');
  const contentInfo = readItems(expectTag(token, Tag.sequence));
  expectOid(contentInfo[0], oids.signedData);
  const signedData = readItems(itemAt(readItems(itemAt(contentInfo, 1, constructed(0))), 0, Tag.sequence));
  expectNumber(signedData[0], 3);
  const [algorithm, ...others] = readItems(itemAt(signedData, 1, Tag.set));
  expectSha256(algorithm);
  if (others.length > 0) throw invalid('it names several digest algorithms');
  const info = readEncapsulated(itemAt(signedData, 2, Tag.sequence));
  const signers = readItems(itemAt(signedData, signedData.length - 1, Tag.set));
  const [signer] = signers;
  if (!signer || signers.length !== 1) throw invalid('a timestamp has exactly one signer');
  return { ...readTstInfo(info), info, ...readSignerInfo(signer), certificates: readCertificates(signedData) };
}

/** Between content and signers; nothing signs this list, so the verifier compares it. */
function readCertificates(signedData: readonly DerValue[]): Buffer[] {
  const between = signedData.slice(3, -1);
  if (between.length > 1) throw invalid('it has more than content, certificates and signers');
  return between.flatMap((list) => readItems(expectTag(list, constructed(0)))).map(({ bytes }) => bytes);
}

function readEncapsulated(value: DerValue): Buffer {
  const parts = readItems(value);
  expectOid(parts[0], oids.tstInfo);
  return itemAt(readItems(itemAt(parts, 1, constructed(0))), 0, Tag.octetString).content;
}

function readTstInfo(info: Buffer): Pick<Timestamp, 'imprint' | 'at'> {
  const fields = readItems(expectTag(readDer(info), Tag.sequence));
  const imprint = readItems(itemAt(fields, 2, Tag.sequence));
  expectSha256(imprint[0]);
  return { imprint: itemAt(imprint, 1, Tag.octetString).content, at: readTime(itemAt(fields, 4, Tag.generalizedTime)) };
}

function readSignerInfo(signer: DerValue): Omit<Timestamp, 'imprint' | 'at' | 'info' | 'certificates'> {
  const fields = readItems(expectTag(signer, Tag.sequence));
  // Without unsigned attributes, which anybody could add.
  if (fields.length !== 6) throw invalid('a signer has exactly six parts');
  expectNumber(fields[0], 1);
  const id = readItems(itemAt(fields, 1, Tag.sequence));
  expectSha256(fields[2]);
  const signed = itemAt(fields, 3, constructed(0));
  const attributes = Buffer.from(signed.bytes);
  attributes[0] = Tag.set;
  const values = readAttributes(signed);
  expectOid(values.get(oids.contentType), oids.tstInfo);
  return {
    messageDigest: expectTag(required(values.get(oids.messageDigest)), Tag.octetString).content,
    attributes,
    signer: { issuer: itemAt(id, 0, Tag.sequence).bytes, serial: itemAt(id, 1, Tag.integer).content },
    certificateHash: readSigningCertificate(required(values.get(oids.signingCertificateV2))),
    signatureAlgorithm: readOid(itemAt(readItems(itemAt(fields, 4, Tag.sequence)), 0, Tag.oid)),
    signature: itemAt(fields, 5, Tag.octetString).content,
  };
}

/** Each attribute once, with exactly one value. */
function readAttributes(signed: DerValue): Map<string, DerValue> {
  const found = new Map<string, DerValue>();
  for (const item of readItems(signed)) {
    const parts = readItems(item);
    const id = readOid(itemAt(parts, 0, Tag.oid));
    const values = readItems(itemAt(parts, 1, Tag.set));
    if (found.has(id) || values.length !== 1) throw invalid(`the attribute ${id} does not have exactly one value`);
    found.set(id, values[0]!);
  }
  return found;
}

/** RFC 5035 §3, first certificate; the hash algorithm is left out when it is SHA-256. */
function readSigningCertificate(value: DerValue): Buffer {
  const [certificates] = readItems(expectTag(value, Tag.sequence));
  const [first] = readItems(required(certificates));
  return itemAt(readItems(required(first)), 0, Tag.octetString).content;
}

function expectSha256(algorithm: DerValue | undefined): void {
  if (!SHA256.some((spelling) => spelling.equals(required(algorithm).bytes))) throw invalid('it is not over SHA-256');
}

function expectOid(value: DerValue | undefined, id: string): void {
  if (readOid(required(value)) !== id) throw invalid(`it has another object identifier where ${id} should be`);
}

function expectNumber(value: DerValue | undefined, number: number): void {
  if (readSmallInteger(required(value)) !== number) throw invalid('it has another version');
}

function required(value: DerValue | undefined): DerValue {
  if (!value) throw invalid('something that must be there is missing');
  return value;
}
