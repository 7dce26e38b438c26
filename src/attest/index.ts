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
export { BUNDLE_BYTES_MAX, BUNDLE_MEDIA_TYPE, type BundleJson } from './bundle.ts';
export { listAttestations, showBundle, showTrustedRoot } from './contract.ts';
export { attestModule } from './module.ts';
export { type FulcioExtension, type IdentityExtensions } from './oid.ts';
export { parseStatement, Statement, STATEMENT_TYPE, type Subject, subjectDigests } from './statement.ts';
export { printTrustedRoot, TRUSTED_ROOT_MEDIA_TYPE, type TrustedRootJson } from './trusted-root.ts';
export { type BundleVerdict, verifyBundle, type VerifyRequest } from './verify.ts';
