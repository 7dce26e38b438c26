/**
 * identity: who is asking, and may they?
 * Guarantees: denied unless a live grant says otherwise; one engine for every door; every credential is generated, hashed at
 * rest, bound to a purpose and ends; no role, the owner's included, may write to a release repository.
 */
export { identityModule } from './apply.ts';
export * as identityContract from './contract.ts';
export { type IssuedToken, type TokenView } from './credentials.ts';
export { type Caller, type CredentialLimits, type Decision, type Grant, type Scope } from './decision.ts';
export { type IdentityControls, unauthenticated } from './engine.ts';
export {
  actorOf,
  consoleActor,
  consoleCaller,
  createIdentity,
  type GrantRequest,
  type Identity,
  systemCaller,
} from './identity.ts';
export { Cidr, parseNetworks } from './network.ts';
export { JobClaims } from './oidc/claims.ts';
export {
  type BelievedToken,
  createIssuers,
  type IdentityToken,
  type Issuers,
  type OwnIssuer,
  SIGNING_AUDIENCE,
  type TrustedIssuer,
} from './issuers.ts';
export { type Condition, type IssuerKind, issuerKinds, TrustRule } from './oidc/rule.ts';
export { isPermission, type Permission, permissions, type Role, roleNames, roles } from './role.ts';
export { parseSshPublicKey, type SshPublicKey } from './ssh-key.ts';
export { type Principal, type Project, type SigningKey } from './store.ts';
export { generateToken, hashToken, hasTokenShape, tokenPrefixes, type TokenPurpose } from './token.ts';
