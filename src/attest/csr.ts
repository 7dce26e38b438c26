import { verify } from 'node:crypto';
import { importSpki } from './certificate.ts';
import { expectTag, invalid, itemAt, readBitString, readDer, readItems, readOid, Tag } from './der.ts';
import { oids } from './oid.ts';

const CSR_BYTES_MAX = 16 * 1024;
const HASHES: Readonly<Record<string, string>> = { [oids.ecdsaWithSha256]: 'sha256', [oids.ecdsaWithSha384]: 'sha384' };

/**
 * PKCS #10 (RFC 2986), untrusted → the key it is for, if it is signed with it. What it asks to be called counts for nothing:
 * the token says that. `Problem attest.der_invalid`; undefined when the signature is not that of the key.
 */
export function provenKeyOfCsr(der: Uint8Array): Buffer | undefined {
  if (der.length > CSR_BYTES_MAX) throw invalid('it is too large for a certificate request');
  const parts = readItems(expectTag(readDer(der), Tag.sequence));
  const info = itemAt(parts, 0, Tag.sequence);
  const algorithm = readOid(itemAt(readItems(itemAt(parts, 1, Tag.sequence)), 0, Tag.oid));
  const signature = readBitString(itemAt(parts, 2, Tag.bitString));
  const spki = itemAt(readItems(info), 2, Tag.sequence).bytes;
  const hash = HASHES[algorithm];
  if (parts.length !== 3 || hash === undefined) throw invalid('it is not signed with ECDSA');
  return verify(hash, info.bytes, importSpki(spki), signature) ? spki : undefined;
}
