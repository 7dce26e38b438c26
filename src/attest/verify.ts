import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot as SigstoreTrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { type Check, type Digest, hexOf, toIso, type Verdict, verdictOf } from '#base';
import { type Bundle, parseBundle } from './bundle.ts';
import { type Certificate, identityExtensions, parseCertificate } from './certificate.ts';
import { check, type Finding, refuse, skipped } from './check.ts';
import type { FulcioExtension } from './oid.ts';
import { verifyDigest } from './prehash.ts';
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
import {
  findLog,
  signatureOf,
  signedDigest,
  verifyCheckpoint,
  verifyEntryBody,
  verifyEntryInclusion,
  verifyPromise,
} from './verify-log.ts';
import { verifyTimestamp } from './verify-timestamp.ts';

export interface VerifyRequest {
  /** Untrusted: JSON text, bytes, or a parsed value. */
  bundle: unknown;
  trustedRoot: unknown;
  /** Must be among the statement's subjects, or be what was signed. */
  artifact?: Digest;
  /** `message` also takes a bundle that signs bytes and claims nothing about them; it needs `artifact`. */
  accept?: 'statement' | 'message';
  /** The artifact itself. For the signature of a message, sigstore-js is asked as well when it is given. */
  artifactBytes?: Uint8Array;
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
  /**
   * Number of the entry in its log, and when the log took it in: by its own promise (Rekor v1), or else the timestamp's time.
   * Only when the verdict is yes.
   */
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
  const content = checkContent(bundle.value.bundle, request);

  const verdict = verdictOf([
    bundle.check,
    root.check,
    ...certificate.checks,
    ...times.checks,
    validity,
    signature,
    ...signer.checks,
    ...content.checks,
    ...checkWithSigstore(bundle.value, root.value.json, request),
  ]);
  if (!verdict.ok || !signer.value) return verdict;
  const signedAt = Math.min(...times.trusted);
  const { logIndex, integratedTime } = bundle.value.bundle.verificationMaterial.tlogEntries[0]!;
  const promised = typeof integratedTime === 'number' ? integratedTime * 1000 : undefined;
  return {
    ...verdict,
    ...(content.statement ? { statement: content.statement } : {}),
    signer: signer.value,
    signedAt,
    entry: { logIndex, integratedAt: promised ?? signedAt },
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

/** What vouches for the time of the signature: the timestamp authority and, in the form of Rekor v1, the log. */
function checkTimes(bundle: Bundle, root: TrustedRoot): { checks: Check[]; trusted: number[] } {
  const { tlogEntries, timestampVerificationData } = bundle.verificationMaterial;
  const signature = signatureOf(bundle);
  const stamps = check('timestamp', () => {
    const times = timestampVerificationData.rfc3161Timestamps.map(({ signedTimestamp }) =>
      verifyTimestamp(signedTimestamp, signature, root.timestampAuthorities),
    );
    return { value: times, detail: `signed before ${times.map(toIso).join(', ')}` };
  });
  const entry = tlogEntries[0]!;
  const promises = entry.kindVersion.version === '0.0.1';
  const promisedAt = typeof entry.integratedTime === 'number' ? [entry.integratedTime * 1000] : [];
  const body = check('log entry', () => ({ value: verifyEntryBody(bundle, entry) ?? true }));
  const log = check<TrustedLog>('log', () => ({
    value: findLog(entry, root.logs, promises ? promisedAt : (stamps.value ?? [])),
  }));
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
  const made = [stamps.check, body.check, log.check, inclusion.check, checkpoint.check];
  return {
    checks: promises ? [...made, promise.check] : made,
    trusted: [...(stamps.value ?? []), ...(promises && promise.value !== undefined ? [promise.value] : [])],
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

function checkSignature(bundle: Bundle, leaf: Certificate | undefined): Check {
  const name = 'signature';
  if (!leaf) return skipped(name, 'the certificate cannot be read').check;
  return check(name, () => {
    const { namedCurve } = leaf.publicKey.asymmetricKeyDetails ?? {};
    if (namedCurve !== 'prime256v1')
      refuse('attest.signature_invalid', 'an ECDSA P-256 key', namedCurve ?? 'another kind of key');
    const what = bundle.dsseEnvelope ? 'statement' : 'artifact';
    if (!verifyDigest(leaf.publicKey, 'sha256', signedDigest(bundle), signatureOf(bundle))) {
      const expected = `a signature of the certified key over this ${what}`;
      refuse('attest.signature_invalid', expected, `another signature or ${what}`);
    }
    return { value: true, detail: `ECDSA P-256 over the ${what}` };
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

/** What the signature is about: a statement about the artifact, or the artifact's own bytes. */
function checkContent(bundle: Bundle, request: VerifyRequest): { checks: Check[]; statement?: Statement | undefined } {
  const { messageSignature } = bundle;
  if (!messageSignature) {
    const { checks, value } = checkStatement(bundle, request);
    return { checks, statement: value };
  }
  const { artifact, accept = 'statement', expect } = request;
  const subject = check('subject', () => {
    if (accept !== 'message' || expect.predicateType !== undefined) {
      refuse('attest.statement_missing', 'a statement', 'the signature of a message, which claims nothing');
    }
    const found = messageSignature.messageDigest.digest.toString('hex');
    if (artifact === undefined || hexOf(artifact) !== found) {
      refuse('attest.subject_wrong', artifact ?? 'an artifact', `sha256:${found}`, 'This signs another artifact.');
    }
    return { value: true, detail: artifact };
  });
  return { checks: [subject.check] };
}

function checkStatement({ dsseEnvelope }: Bundle, { artifact, expect }: VerifyRequest) {
  const statement = check('statement', () => ({
    value: parseStatement(dsseEnvelope!.payload),
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

/**
 * The last word: another implementation, at its defaults (one log entry, one certificate timestamp, one timestamp). It hashes a
 * message itself, so without the message's bytes it is not asked; every check of ours has then been made all the same.
 */
function checkWithSigstore(
  { bundle, json }: { bundle: Bundle; json: unknown },
  trustedRoot: unknown,
  { expect, artifactBytes }: VerifyRequest,
): Check[] {
  if (bundle.messageSignature && artifactBytes === undefined) return [];
  const made = check('sigstore-js agrees', () => {
    const material = toTrustMaterial(SigstoreTrustedRoot.fromJSON(trustedRoot));
    const read = bundleFromJSON(json);
    const entity = bundle.messageSignature ? toSignedEntity(read, Buffer.from(artifactBytes!)) : toSignedEntity(read);
    const { identity } = new Verifier(material).verify(entity);
    // Its own policy treats names as regular expressions, so names are compared here.
    const { subjectAlternativeName: san, extensions } = identity ?? {};
    const names = namesOf(expect);
    if (san === undefined || !names.includes(san)) refuse('attest.signer_wrong', listed(names), san ?? 'none');
    if (extensions?.issuer !== expect.issuer)
      refuse('attest.issuer_wrong', listed([expect.issuer]), extensions?.issuer ?? 'none');
    return { value: true, detail: '@sigstore/verify at its defaults' };
  });
  return [made.check];
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
