import type { z } from 'zod';
import { toIso } from '#base';
import type { EnvironmentView, PromotionView } from './contract.ts';
import type { Environment, Promotion } from './store.ts';

export function presentEnvironment(environment: Environment): z.input<typeof EnvironmentView> {
  const { id, name, position, policy, policyDigest, policyVersion, at } = environment;
  return { id, name, position, policy, policyDigest, policyVersion, createdAt: toIso(at) };
}

export function presentPromotion(promotion: Promotion): z.input<typeof PromotionView> {
  const { requestedAt, decidedAt, approvals, environmentName, checks } = promotion;
  const { id, artifact, digest, name, version, requester, comment, status, fact, decidedFact } = promotion;
  const { summary, resourceUri, policyDigest } = promotion;
  return {
    id,
    environment: environmentName,
    artifact,
    digest,
    name,
    version,
    requester,
    comment,
    status,
    requestedAt: toIso(requestedAt),
    decidedAt: decidedAt === null ? null : toIso(decidedAt),
    summary,
    resourceUri,
    policyDigest,
    checks: [...checks],
    approvals: approvals.map((approval) => ({
      principal: approval.principal,
      comment: approval.comment,
      approvedAt: toIso(approval.at),
    })),
    fact,
    decidedFact,
  };
}
