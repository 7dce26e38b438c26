/**
 * source: git repositories behind a gate.
 * Guarantees: a ref moves only by a push the gate accepted, and that decision is on record first; every accepted commit is
 * signed by an enrolled key; a refused push leaves nothing behind; refs moved on the disk are noticed and not served.
 */
export { sourceModule } from './apply.ts';
export * as sourceContract from './contract.ts';
export {
  pushAborted,
  pushAccepted,
  type PushAccepted,
  pushRefused,
  type PushRefused,
  repositoryCreated,
} from './facts.ts';
export { defaultProtectedPaths } from './path.ts';
export { allControls, defaultGateLimits, type GateLimits, type SourceControl, type SourceControls } from './policy.ts';
export { type GitAnswer } from './push.ts';
export { type LogEntry, type TreeFile } from './reading.ts';
export { createSource, type GateExplanation, type GitService, type Source, type SourceOptions } from './source.ts';
export { type SshSignature, verifySshSignature } from './sshsig.ts';
export { type CommitRecord, type Push, type PushCertificatePolicy, type Ref, type Repository } from './store.ts';
