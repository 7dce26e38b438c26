import { createHash, verify } from 'node:crypto';
import { toIso } from '#base';
import { refuse } from './check.ts';
import { oids } from './oid.ts';
import { parseTimestamp, type Timestamp } from './timestamp.ts';
import { isValidAt, type TrustedAuthority } from './trusted-root.ts';
import { verifyChain, verifyIssuerPurpose, verifyPurpose, verifyValidity } from './verify-certificate.ts';

const HASHES: Readonly<Record<string, string>> = { [oids.ecdsaWithSha256]: 'sha256', [oids.ecdsaWithSha384]: 'sha384' };
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** RFC 3161 §2.2: the time at which a trusted authority saw `stamped`. Refuses what it cannot fully check. */
export function verifyTimestamp(der: Buffer, stamped: Buffer, authorities: readonly TrustedAuthority[]): number {
  const timestamp = parseTimestamp(der);
  if (!timestamp.imprint.equals(sha256(stamped))) {
    refuse('attest.timestamp_of_other', sha256(stamped).toString('hex'), timestamp.imprint.toString('hex'));
  }
  const signer = findSigner(timestamp, authorities);
  if (!timestamp.messageDigest.equals(sha256(timestamp.info))) {
    refuse('attest.timestamp_invalid', 'the digest of what the authority says', 'another');
  }
  const hash = HASHES[timestamp.signatureAlgorithm];
  if (!hash || !verify(hash, timestamp.attributes, signer.leaf.publicKey, timestamp.signature)) {
    refuse('attest.timestamp_invalid', 'the signature of the timestamp authority', 'another');
  }
  if (timestamp.certificates.some((certificate) => !certificate.equals(signer.leaf.der))) {
    refuse('attest.timestamp_invalid', "no certificate but the signer's", 'another certificate beside it');
  }
  if (!isValidAt(signer.authority.validFor, timestamp.at)) {
    refuse('attest.timestamp_untrusted', 'a time when the trusted root trusts the authority', toIso(timestamp.at));
  }
  return timestamp.at;
}

/** The first certificate of a trusted timestamp authority is its signer's; the timestamp names it three ways. */
function findSigner(timestamp: Timestamp, authorities: readonly TrustedAuthority[]) {
  const { issuer, serial } = timestamp.signer;
  for (const authority of authorities) {
    const [leaf, ...chain] = authority.chain;
    if (!leaf || !leaf.issuer.equals(issuer) || !leaf.serial.equals(serial)) continue;
    if (!sha256(leaf.der).equals(timestamp.certificateHash)) continue;
    const issuers = { ...authority, chain };
    verifyChain(leaf, [issuers]);
    verifyPurpose(leaf, 'timeStamping');
    verifyIssuerPurpose(chain, 'timeStamping');
    verifyValidity(leaf, issuers, [timestamp.at]);
    return { leaf, authority };
  }
  return refuse(
    'attest.timestamp_untrusted',
    'a timestamp authority of the trusted root',
    'another',
    'Check that the trusted root is that of the server that signed.',
  );
}
