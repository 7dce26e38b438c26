import type { z } from 'zod';
import { toIso } from '#base';
import type { DeploymentView, TargetView } from './contract.ts';
import type { Deployment, Target } from './store.ts';

export function presentTarget(target: Target): z.input<typeof TargetView> {
  const { id, environmentName, name, agent, at, seenAt } = target;
  return {
    id,
    environment: environmentName,
    name,
    agent,
    createdAt: toIso(at),
    seenAt: seenAt === null ? null : toIso(seenAt),
  };
}

export function presentDeployment(deployment: Deployment): z.input<typeof DeploymentView> {
  const { id, target, digest, name, version, artifact, promotion, path, status, drift, stopReason, fact } = deployment;
  const { verifiedAt, driftedAt, stoppedAt } = deployment;
  return {
    id,
    target,
    digest,
    name,
    version,
    artifact,
    promotion,
    path,
    status,
    verifiedAt: toIso(verifiedAt),
    drift,
    driftedAt: driftedAt === null ? null : toIso(driftedAt),
    stopReason,
    stoppedAt: stoppedAt === null ? null : toIso(stoppedAt),
    fact,
  };
}
