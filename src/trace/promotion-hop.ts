import { verifyBundle } from '#attest';
import { type Check, type Digest, hexOf } from '#base';
import { predicateTypes, SummaryPredicate } from '#policy';
import { identities } from '#release';
import type { BundleState, ChainEvidence, PromotionEvidence } from './evidence.ts';
import { agrees, bundleCheck, bundleVerdict, holds, type Hop, makeHop, streamCheck } from './hop.ts';

/** One step from environment to environment: who asked, who approved, and the summary that was signed. */
export function promotionHop(
  evidence: ChainEvidence,
  promotion: PromotionEvidence,
  before: PromotionEvidence | undefined,
): Hop {
  const { requested, approvals, decided, summary, stream, rows } = promotion;
  const { payload } = decided.fact;
  const published = evidence.publication?.fact.payload;
  const approvers = approvals.map(({ fact }) => fact.actor.principal).sort();
  return makeHop({
    kind: 'promotion',
    id: payload.promotion,
    title: `Promoted to ${payload.environmentName}`,
    proven: [decided, requested, ...approvals],
    links: { digest: payload.digest, artifact: payload.artifact, summary: payload.summary },
    checks: [
      streamCheck(stream),
      ...rows,
      agrees('requester', requested?.fact.actor.principal, payload.requester),
      agrees('approvers', [...payload.approvers].sort().join(', '), approvers.join(', ')),
      holds('approved by others', !approvers.includes(payload.requester), {
        expected: 'approvers other than the requester',
        found: payload.requester,
      }),
      bundleCheck('summary in the object store', summary),
      ...checkSummary(evidence, payload, summary, before),
      agrees('digest', published?.digest, payload.digest),
      agrees('artifact', published?.artifact, payload.artifact),
    ],
  });
}

function checkSummary(
  { publicUrl, trustedRoot, publication }: ChainEvidence,
  payload: PromotionEvidence['decided']['fact']['payload'],
  { bytes }: BundleState,
  before: PromotionEvidence | undefined,
): Check[] {
  const { issuer, verifier } = identities(publicUrl);
  const verdict = verifyBundle({
    bundle: bytes ?? Buffer.alloc(0),
    trustedRoot,
    artifact: payload.digest as Digest,
    expect: { issuer, san: verifier, predicateType: predicateTypes.verificationSummary },
  });
  const signature = bundleVerdict('summary verifies offline', verdict);
  const parsed = SummaryPredicate.safeParse(verdict.statement?.predicate);
  if (!parsed.success) return [signature];
  const { resourceUri, verificationResult, policy, inputAttestations } = parsed.data;
  const inputs = inputAttestations.map(({ digest }) => digest.sha256);
  const needed = [publication?.fact.payload.provenance, before?.decided.fact.payload.summary].filter(
    (digest) => digest !== undefined,
  );
  return [
    signature,
    agrees('summary says', 'PASSED', verificationResult),
    agrees('summary is for', payload.resourceUri, resourceUri),
    agrees('policy', payload.policyDigest, `sha256:${policy.digest.sha256}`),
    ...needed.map((digest) =>
      holds(`summary was made from ${digest.slice(0, 19)}…`, inputs.includes(hexOf(digest as Digest)), {
        expected: digest,
        found: inputs.join(', ') || 'none',
      }),
    ),
  ];
}
