import { verify } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot as SigstoreTrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { type Check, type Digest, hexOf, toIso, type Verdict, verdictOf } from '#base';
import { type Bundle, parseBundle } from './bundle.ts';
import { type Certificate, identityExtensions, parseCertificate } from './certificate.ts';
import { check, type Finding, refuse, skipped } from './check.ts';
import { preAuthEncoding } from './dsse.ts';
import type { FulcioExtension } from './oid.ts';
import { parseStatement, type Statement } from './statement.ts';
import { parseTrustedRoot, type TrustedAuthority, type TrustedLog, type TrustedRoot } from './trusted-root.ts';
import {
  requireName,
  verifyChain,
  verifyIssuerPurpose,
  verifyPurpose,
  verifyScts,
  verifyValidity,
} from './verify-certificate.ts';
import { findLog, verifyCheckpoint, verifyEntryBody, verifyEntryInclusion, verifyPromise } from './verify-log.ts';
import { verifyTimestamp } from './verify-timestamp.ts';

export interface VerifyRequest {
  /** Untrusted: JSON text, bytes, or a parsed value. */
  bundle: unknown;
  trustedRoot: unknown;
  /** Must be among the statement's subjects. */
  artifact?: Digest;
  /** Compared letter by letter: no patterns, no prefixes. */
  expect: {
    issuer: string;
    san?: string;
    /** Any one of these names will do. */
    sanOneOf?: readonly string[];
    predicateType?: string;
  };
}

export interface BundleVerdict extends Verdict {
  /** What is claimed. Only when the verdict is yes. */
  statement?: Statement;
  /** Who claims it. Only when the verdict is yes. */
  signer?: { san: string; issuer: string; extensions: Partial<Record<FulcioExtension, string>> };
  /** Number of the entry in the signatures log, and when the log took it in. Only when the verdict is yes. */
  entry?: { logIndex: number; integratedAt: number };
  /** The earliest trusted time of the signature. Only when the verdict is yes. */
  signedAt?: number;
}

/**
 * Verifies a bundle offline against a trusted root. Pure: reads no file, no clock and no network.
 * Each thing is checked by itself and says what was expected and found; then stock sigstore-js, at its defaults, has to agree.
 */
export function verifyBundle(request: VerifyRequest): BundleVerdict {
  const bundle = check('bundle', () => ({ value: parseBundle(request.bundle), detail: 'Sigstore bundle v0.3' }));
  const root = check('trusted root', () => ({ value: parseTrustedRoot(request.trustedRoot) }));
  if (!bundle.value || !root.value) return unreadable([bundle.check, root.check]);

  const certificate = checkCertificate(bundle.value.bundle, root.value.root);
  const times = checkTimes(bundle.value.bundle, root.value.root);
  const validity = checkValidity(certificate.leaf.value, certificate.chain.value, times);
  const signature = checkSignature(bundle.value.bundle, certificate.leaf.value);
  const signer = checkSigner(certificate.leaf.value, request.expect);
  const statement = checkStatement(bundle.value.bundle, request);
  const sigstore = checkWithSigstore(bundle.value.json, root.value.json, request.expect);

  const verdict = verdictOf([
    bundle.check,
    root.check,
    ...certificate.checks,
    ...times.checks,
    validity,
    signature,
    ...signer.checks,
    ...statement.checks,
    sigstore,
  ]);
  if (!verdict.ok || !statement.value || !signer.value) return verdict;
  const [entry] = bundle.value.bundle.verificationMaterial.tlogEntries;
  return {
    ...verdict,
    statement: statement.value,
    signer: signer.value,
    signedAt: Math.min(...times.trusted),
    ...(entry ? { entry: { logIndex: entry.logIndex, integratedAt: entry.integratedTime * 1000 } } : {}),
  };
}

function unreadable(checks: readonly Check[]): BundleVerdict {
  return verdictOf([...checks, skipped('signature', 'bundle or trusted root cannot be read').check]);
}

function checkCertificate({ verificationMaterial }: Bundle, root: TrustedRoot) {
  const leaf = check('certificate', () => ({ value: parseCertificate(verificationMaterial.certificate.rawBytes) }));
  const chain = after(leaf, 'certificate chain', (certificate) => ({
    value: verifyChain(certificate, root.authorities),
  }));
  const purpose = after(leaf, 'certificate purpose', (certificate) => {
    verifyPurpose(certificate, 'codeSigning');
    if (chain.value) verifyIssuerPurpose(chain.value.chain, 'codeSigning');
    return { value: true, detail: 'signs code and nothing else' };
  });
  const sct = after(chain, 'certificate log', (authority) => {
    const count = verifyScts(leaf.value as Certificate, authority, root.certificateLogs);
    return { value: count, detail: `${count} signed certificate timestamp` };
  });
  return { leaf, chain, checks: [leaf.check, chain.check, purpose.check, sct.check] };
}

/** What vouches for the time of the signature: the timestamp authority and the signatures log. */
function checkTimes(bundle: Bundle, root: TrustedRoot): { checks: Check[]; trusted: number[] } {
  const { tlogEntries, timestampVerificationData } = bundle.verificationMaterial;
  const signature = bundle.dsseEnvelope.signatures[0]!.sig;
  const stamps = check('timestamp', () => {
    const times = timestampVerificationData.rfc3161Timestamps.map(({ signedTimestamp }) =>
      verifyTimestamp(signedTimestamp, signature, root.timestampAuthorities),
    );
    return { value: times, detail: `signed before ${times.map(toIso).join(', ')}` };
  });
  const entry = tlogEntries[0]!;
  const body = check('log entry', () => ({ value: verifyEntryBody(bundle, entry) ?? true }));
  const log = check<TrustedLog>('log', () => ({ value: findLog(entry, root.logs) }));
  const checkpoint = after(log, 'log checkpoint', (found) => {
    const { size } = verifyCheckpoint(entry, found);
    return { value: size, detail: `${found.hostname}, ${size} entries` };
  });
  const inclusion = check('log inclusion', () => ({
    value: verifyEntryInclusion(entry) ?? true,
    detail: `entry ${entry.logIndex}`,
  }));
  const promise = after(log, 'log promise', (found) => {
    const at = verifyPromise(entry, found);
    return { value: at, detail: `taken in at ${toIso(at)}` };
  });
  return {
    checks: [stamps.check, body.check, log.check, inclusion.check, checkpoint.check, promise.check],
    trusted: [...(stamps.value ?? []), ...(promise.value === undefined ? [] : [promise.value])],
  };
}

function checkValidity(
  leaf: Certificate | undefined,
  authority: TrustedAuthority | undefined,
  { trusted }: { trusted: readonly number[] },
): Check {
  const name = 'certificate validity';
  if (!leaf || !authority) return skipped(name, 'there is no trusted certificate chain').check;
  if (trusted.length === 0) return skipped(name, 'no trusted time was found').check;
  return check(name, () => {
    verifyValidity(leaf, authority, trusted);
    return { value: true, detail: `valid at ${trusted.map(toIso).join(', ')}` };
  }).check;
}

function checkSignature({ dsseEnvelope }: Bundle, leaf: Certificate | undefined): Check {
  const name = 'signature';
  if (!leaf) return skipped(name, 'the certificate cannot be read').check;
  return check(name, () => {
    const signed = preAuthEncoding(dsseEnvelope.payloadType, dsseEnvelope.payload);
    const { namedCurve } = leaf.publicKey.asymmetricKeyDetails ?? {};
    if (namedCurve !== 'prime256v1')
      refuse('attest.signature_invalid', 'an ECDSA P-256 key', namedCurve ?? 'another kind of key');
    if (!verify('sha256', signed, leaf.publicKey, dsseEnvelope.signatures[0]!.sig)) {
      refuse(
        'attest.signature_invalid',
        'a signature of the certified key over this statement',
        'another signature or statement',
      );
    }
    return { value: true, detail: 'ECDSA P-256 over the statement' };
  }).check;
}

function checkSigner(leaf: Certificate | undefined, expect: VerifyRequest['expect']) {
  if (!leaf) {
    const because = 'the certificate cannot be read';
    return { checks: [skipped('signer', because).check, skipped('signer issuer', because).check], value: undefined };
  }
  const names = namesOf(expect);
  const san = check('signer', () => {
    const found = requireName(leaf);
    if (!names.includes(found)) {
      refuse('attest.signer_wrong', listed(names), found, 'Whoever signed this is not whom you asked for.');
    }
    return { value: found, detail: found };
  });
  const extensions = check('signer issuer', () => {
    const found = identityExtensions(leaf);
    if (found.issuer === undefined || found.issuer !== expect.issuer) {
      refuse(
        'attest.issuer_wrong',
        listed([expect.issuer]),
        found.issuer ?? 'none',
        'Somebody else vouches for the name of the signer.',
      );
    }
    return { value: found, detail: found.issuer };
  });
  const value =
    san.value !== undefined && extensions.value
      ? { san: san.value, issuer: expect.issuer, extensions: extensions.value }
      : undefined;
  return { checks: [san.check, extensions.check], value };
}

function checkStatement({ dsseEnvelope }: Bundle, { artifact, expect }: VerifyRequest) {
  const statement = check('statement', () => ({
    value: parseStatement(dsseEnvelope.payload),
    detail: 'in-toto Statement v1',
  }));
  const checks = [statement.check];
  if (artifact !== undefined) {
    const subject = after(statement, 'subject', ({ subject: subjects }) => {
      const found = subjects.find(({ digest }) => digest['sha256'] === hexOf(artifact));
      if (!found) {
        const others = subjects
          .slice(0, 5)
          .map(({ name, digest }) => `${name ?? ''} sha256:${digest['sha256'] ?? '—'}`.trim());
        refuse('attest.subject_wrong', artifact, others.join('; '), 'This bundle is about other artifacts.');
      }
      return { value: found, detail: `${found.name ?? ''} ${artifact}`.trim() };
    });
    checks.push(subject.check);
  }
  if (expect.predicateType !== undefined) {
    const predicate = after(statement, 'predicate type', ({ predicateType }) => {
      if (predicateType !== expect.predicateType)
        refuse('attest.predicate_type_wrong', String(expect.predicateType), predicateType);
      return { value: true, detail: predicateType };
    });
    checks.push(predicate.check);
  }
  return { checks, value: statement.value };
}

const namesOf = ({ san, sanOneOf = [] }: VerifyRequest['expect']) => [...(san === undefined ? [] : [san]), ...sanOneOf];
const listed = (names: readonly string[]) =>
  names.map((name) => name || '(an empty name)').join(' or ') || 'a name, but none was asked for';

/** The last word: another implementation, at its defaults (one log entry, one certificate timestamp, one timestamp). */
function checkWithSigstore(bundle: unknown, trustedRoot: unknown, expect: VerifyRequest['expect']): Check {
  return check('sigstore-js agrees', () => {
    const material = toTrustMaterial(SigstoreTrustedRoot.fromJSON(trustedRoot));
    const { identity } = new Verifier(material).verify(toSignedEntity(bundleFromJSON(bundle)));
    // Its own policy treats names as regular expressions, so names are compared here.
    const { subjectAlternativeName: san, extensions } = identity ?? {};
    const names = namesOf(expect);
    if (san === undefined || !names.includes(san)) refuse('attest.signer_wrong', listed(names), san ?? 'none');
    if (extensions?.issuer !== expect.issuer)
      refuse('attest.issuer_wrong', listed([expect.issuer]), extensions?.issuer ?? 'none');
    return { value: true, detail: '@sigstore/verify at its defaults' };
  }).check;
}

/** A check that needs what another one found. */
function after<A, T>(
  before: Finding<A>,
  name: string,
  run: (value: A) => { value: T; detail?: string | undefined },
): Finding<T> {
  if (before.value === undefined) return skipped(name, `${before.check.name} failed`);
  const value = before.value;
  return check(name, () => {
    const { detail, ...found } = run(value);
    return { ...found, ...(detail === undefined ? {} : { detail }) };
  });
}
