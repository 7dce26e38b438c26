import { verify } from 'node:crypto';
import { toIso } from '#base';
import { refuse } from './check.ts';
import {
  type Certificate,
  certificateAuthority,
  extendedKeyUsages,
  isSignedBy,
  keyUsage,
  subjectAlternativeName,
  tbsWithoutSct,
} from './certificate.ts';
import { oids } from './oid.ts';
import { parseSctList, sctInput } from './sct.ts';
import { isValidAt, type TrustedAuthority, type TrustedLog } from './trusted-root.ts';

const KEY_CERT_SIGN = 0x04;
const DIGITAL_SIGNATURE = 0x80;
const FIX_ROOT = 'Check that the trusted root is that of the server that signed. If it is, the certificate is forged.';

/** Critical extensions that are looked at; any other critical extension is a reason to refuse (RFC 5280 §4.2). */
const UNDERSTOOD = new Set<string>([oids.keyUsage, oids.extendedKeyUsage, oids.basicConstraints, oids.subjectAltName]);

/** The trusted authority whose chain ends in `leaf`: signatures, names, CA flags and path lengths. Times are judged apart. */
export function verifyChain(leaf: Certificate, authorities: readonly TrustedAuthority[]): TrustedAuthority {
  const found = authorities.find(({ chain }) => isChain([leaf, ...chain]));
  if (!found)
    refuse(
      'attest.chain_untrusted',
      'a certificate signed by an authority of the trusted root',
      'one that is not',
      FIX_ROOT,
    );
  const unknown = [leaf, ...found.chain].flatMap(({ extensions }) =>
    [...extensions].filter(([id, { critical }]) => critical && !UNDERSTOOD.has(id)).map(([id]) => id),
  );
  if (unknown.length > 0) refuse('attest.extension_unknown', 'no unknown critical extension', unknown.join(', '));
  return found;
}

/** From the leaf to a self-signed root. */
function isChain(path: readonly Certificate[]): boolean {
  return path.every((certificate, depth) => {
    const issuer = path[depth + 1] ?? certificate;
    if (!certificate.issuer.equals(issuer.subject) || !isSignedBy(certificate, issuer)) return false;
    if (depth === 0) return true;
    const ca = certificateAuthority(certificate);
    const mayIssue = ca !== undefined && ((keyUsage(certificate) ?? 0) & KEY_CERT_SIGN) !== 0;
    // Between a CA and the leaf there are depth − 1 other CAs.
    return mayIssue && (ca.pathLength === undefined || ca.pathLength >= depth - 1);
  });
}

/** A leaf that signs and does nothing else. sigstore-js does not look at the key usages, so this is the only place. */
export function verifyPurpose(leaf: Certificate, use: 'codeSigning' | 'timeStamping'): void {
  const usages = extendedKeyUsages(leaf) ?? [];
  if (usages.length !== 1 || usages[0] !== oids[use]) {
    refuse('attest.purpose_wrong', `extended key usage ${use} alone`, usages.join(', ') || 'none');
  }
  if (use === 'timeStamping' && leaf.extensions.get(oids.extendedKeyUsage)?.critical !== true) {
    refuse('attest.purpose_wrong', 'a critical extended key usage', 'one that is not critical');
  }
  if (((keyUsage(leaf) ?? 0) & DIGITAL_SIGNATURE) === 0)
    refuse('attest.purpose_wrong', 'key usage digitalSignature', 'none');
  if (certificateAuthority(leaf))
    refuse('attest.purpose_wrong', 'a certificate that signs no others', 'a certificate authority');
}

/** An intermediate that names purposes must name the leaf's. */
export function verifyIssuerPurpose(chain: readonly Certificate[], use: 'codeSigning' | 'timeStamping'): void {
  for (const certificate of chain) {
    const usages = extendedKeyUsages(certificate);
    if (usages && !usages.includes(oids[use])) {
      refuse('attest.purpose_wrong', `authorities for ${use}`, `an authority for ${usages.join(', ')}`);
    }
  }
}

/** Leaf, authorities and the trusted root's own period, at every trusted time. */
export function verifyValidity(leaf: Certificate, authority: TrustedAuthority, times: readonly number[]): void {
  for (const at of times) {
    for (const { notBefore, notAfter } of [leaf, ...authority.chain]) {
      if (at < notBefore || at > notAfter) {
        refuse('attest.certificate_not_valid_then', `signed from ${toIso(notBefore)} to ${toIso(notAfter)}`, toIso(at));
      }
    }
    if (!isValidAt(authority.validFor, at)) {
      refuse('attest.authority_not_valid_then', 'a time when the trusted root trusts the authority', toIso(at));
    }
  }
}

/** RFC 6962: every SCT in the certificate is of a trusted log, and there is at least one. */
export function verifyScts(leaf: Certificate, authority: TrustedAuthority, logs: readonly TrustedLog[]): number {
  const extension = leaf.extensions.get(oids.sctList);
  const scts = extension ? parseSctList(extension.value) : [];
  const issuer = authority.chain[0];
  if (scts.length === 0 || !issuer) refuse('attest.sct_missing', 'a certificate timestamp', 'none');
  const subject = { issuerSpki: issuer.spki, tbs: tbsWithoutSct(leaf) };
  for (const sct of scts) {
    const log = logs.find(({ logId, validFor }) => logId.equals(sct.logId) && isValidAt(validFor, sct.at));
    if (!log)
      refuse('attest.sct_untrusted', 'a certificate log of the trusted root', sct.logId.toString('hex'), FIX_ROOT);
    if (!verify('sha256', sctInput(subject, sct.at), log.publicKey, sct.signature)) {
      refuse('attest.sct_invalid', 'the signature of the certificate log', 'another');
    }
  }
  return scts.length;
}

export function requireName(leaf: Certificate): string {
  const name = subjectAlternativeName(leaf);
  if (name === undefined) refuse('attest.name_missing', 'exactly one URI or e-mail address', 'none or several');
  return name;
}
