import {
  constructed,
  expectTag,
  integer,
  itemAt,
  readDer,
  readItems,
  readOid,
  readSmallInteger,
  sequence,
  Tag,
} from './der.ts';
import { oids } from './oid.ts';
import { digestBytes, type DigestAlgorithm } from './prehash.ts';
import { timestampRefused } from './problems.ts';

/** What somebody wants stamped. */
export interface StampRequest {
  algorithm: DigestAlgorithm;
  imprint: Buffer;
  nonce?: Buffer | undefined;
  withCertificate: boolean;
}

const QUERY_BYTES_MAX = 4 * 1024;
const NONCE_BYTES_MAX = 64;
const ALGORITHMS: Readonly<Record<string, DigestAlgorithm>> = {
  [oids.sha256]: 'sha256',
  [oids.sha384]: 'sha384',
  [oids.sha512]: 'sha512',
};

/** TimeStampReq (RFC 3161 §2.4.1), untrusted; `attest.der_invalid` or `attest.timestamp_refused`. */
export function parseTimestampQuery(der: Uint8Array): StampRequest {
  if (der.length > QUERY_BYTES_MAX) throw timestampRefused('the query is too large');
  const [version, imprint, ...options] = readItems(expectTag(readDer(der), Tag.sequence));
  if (!version || !imprint || readSmallInteger(version) !== 1) throw timestampRefused('it is not a query of version 1');
  const [algorithm, hash] = readItems(expectTag(imprint, Tag.sequence));
  if (!algorithm || !hash) throw timestampRefused('it has no digest');
  const named = readOid(itemAt(readItems(expectTag(algorithm, Tag.sequence)), 0, Tag.oid));
  let nonce: Buffer | undefined;
  let withCertificate = false;
  for (const option of options) {
    switch (option.tag) {
      case Tag.oid:
        if (readOid(option) !== oids.timestampPolicy) throw timestampRefused('it asks for another policy');
        break;
      case Tag.integer:
        nonce = option.content;
        break;
      case Tag.boolean:
        withCertificate = option.content.equals(Buffer.of(0xff));
        break;
      case constructed(0):
        throw timestampRefused('it has extensions');
      default:
        throw timestampRefused('it has a part that does not belong there');
    }
  }
  return checkStamp({
    algorithm: ALGORITHMS[named],
    imprint: expectTag(hash, Tag.octetString).content,
    nonce,
    withCertificate,
  });
}

/** The digest has the length of its algorithm, which is one of SHA-2, and the nonce is a short non-negative number. */
export function checkStamp(request: {
  algorithm: DigestAlgorithm | undefined;
  imprint: Buffer;
  nonce?: Buffer | undefined;
  withCertificate: boolean;
}): StampRequest {
  const { algorithm, imprint, nonce } = request;
  if (algorithm === undefined) throw timestampRefused('only SHA-256, SHA-384 and SHA-512 are stamped');
  if (imprint.length !== digestBytes[algorithm])
    throw timestampRefused('its digest does not have the length of its algorithm');
  if (nonce && (nonce.length === 0 || nonce.length > NONCE_BYTES_MAX || nonce[0]! >= 0x80)) {
    throw timestampRefused('its nonce is not a number of at most 64 bytes');
  }
  return { ...request, algorithm };
}

/** TimeStampResp with a refusal (RFC 3161 §2.4.2): status rejection, and no token. */
export function renderRejection(): Buffer {
  const REJECTION = 2;
  return sequence(sequence(integer(REJECTION)));
}
