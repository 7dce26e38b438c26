/**
 * attest: signed claims that strangers can check offline with stock tools.
 * Guarantees: whatever is signed has a certificate in the certificate list, a timestamp, an entry in the signatures log and a
 * proof against a signed checkpoint before anyone sees it, and verifies with stock sigstore-js; only the control plane signs
 * as the control issuer; one idempotency key gives one bundle. `verifyBundle` needs a bundle and a trusted root, nothing else.
 */
export {
  type Attest,
  type AttestOptions,
  type BundleRow,
  createAttest,
  type SignedAttestation,
  type SignRequest,
} from './attest.ts';
export {
  type AnyBundleJson,
  BUNDLE_BYTES_MAX,
  BUNDLE_MEDIA_TYPE,
  type BundleJson,
  type ProvenEntry,
  renderBundle,
  renderLogEntry,
} from './bundle.ts';
export { toPem } from './certificate.ts';
export { type CertificateRequest, type IssuedCertificate } from './certificate-request.ts';
export { buildLevelOf } from './claims.ts';
export {
  certifyKey,
  exportTuf,
  importTuf,
  listAttestations,
  receiveBundle,
  rotateTrust,
  showBundle,
  showClientTrust,
  showSigningConfig,
  showTrust,
  showTrustedRoot,
  showTuf,
  witnessSignature,
} from './contract.ts';
export { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding } from './dsse.ts';
export { attestModule } from './module.ts';
export { type FulcioExtension, type IdentityExtensions } from './oid.ts';
export {
  approvalClaim,
  billOfMaterialsClaim,
  checkPredicate,
  deploymentClaim,
  ownPredicates,
  predicateSchema,
  simpleVerificationClaim,
  testResultClaim,
  vulnerabilitiesClaim,
} from './predicate.ts';
export { digestBytes, type DigestAlgorithm } from './prehash.ts';
export { clientTrust, type SigningConfigJson, signingConfig } from './signing-config.ts';
export { digestOfFile, type Output, runVerifier } from './standalone.ts';
export { parseStatement, Statement, STATEMENT_TYPE, type Subject, subjectDigests } from './statement.ts';
export { type LoggedEntry, type Submission, type SubmittedContent } from './submit.ts';
export {
  parseTrustedRoot,
  printTrustedRoot,
  TRUSTED_ROOT_MEDIA_TYPE,
  type TrustedRootJson,
  withoutCertificateLogs,
} from './trusted-root.ts';
export { type SignatureLog, type TrustPart, trustParts, type TrustState } from './trust-state.ts';
export { type TufRepository, type TufStatus } from './tuf-repository.ts';
export { type Metadata, signMetadata, tufKey } from './tuf.ts';
export { checkStamp, parseTimestampQuery, renderRejection, type StampRequest } from './tsq.ts';
export { type BundleVerdict, verifyBundle, type VerifyRequest } from './verify.ts';
export { startCertificateMonitor } from './monitor.ts';
export { startTrustKeeper, type TrustKeeper } from './worker.ts';
