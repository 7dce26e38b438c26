import type { Digest, Verdict } from '#base';

/** An attestation with what checking its bundle said. Rules look only at those whose verdict is yes and that name the artifact. */
export interface VerifiedAttestation {
  bundle: Digest;
  verdict: Verdict;
  signer: { issuer: string; san: string };
  predicateType: string;
  subjects: readonly Digest[];
  predicate: unknown;
}

export interface Approval {
  principal: string;
  kind: 'person' | 'machine' | 'build' | 'system' | 'anonymous';
}

/** What a summary for the environment before this one must say today. */
export interface PreviousStep {
  environment: string;
  resourceUri: string;
  policyDigest: Digest;
}

/** Everything a decision may look at. `null` is "not there", and not there is a refusal for whatever rule asks. */
export interface Evidence {
  /** Milliseconds since the epoch. */
  now: number;
  artifact: { digest: Digest; name: string; version: string; repositoryKind: 'release' | 'playground' };
  /** The fact that published the artifact and whether the ledger vouches for it. */
  publication: { fact: number; ledger: Verdict } | null;
  run: { id: string; result: string; commit: string } | null;
  attestations: readonly VerifiedAttestation[];
  requester: string;
  /** Who signed the commit that was built. */
  author: string | null;
  approvals: readonly Approval[];
  previous: readonly PreviousStep[];
}
