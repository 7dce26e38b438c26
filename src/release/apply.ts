import { canonicalJson } from '#base';
import type { Fact, ModuleDefinition } from '#journal';
import type { Tx } from '#storage';
import * as facts from './facts.ts';
import { migrations } from './migrations.ts';
import {
  decidePromotion,
  insertApproval,
  insertEnvironment,
  insertPromotion,
  type PromotionStatus,
  updatePolicy,
} from './store.ts';

export const releaseModule: ModuleDefinition = {
  name: 'release',
  migrations,
  facts: [
    facts.environmentCreated,
    facts.policyChanged,
    facts.promotionRequested,
    facts.promotionApproved,
    facts.promoted,
    facts.promotionRefused,
    facts.requestRefused,
  ],
  apply: {
    'release.environment_created': applyEnvironment,
    'release.policy_changed': applyPolicy,
    'release.promotion_requested': applyRequest,
    'release.promotion_approved': applyApproval,
    'release.promoted': (tx, fact: Fact<facts.Promoted>) => applyDecision(tx, fact, 'promoted'),
    'release.promotion_refused': (tx, fact: Fact<facts.Promoted>) => applyDecision(tx, fact, 'refused'),
    'release.request_refused': () => Promise.resolve(),
  },
};

async function applyEnvironment(tx: Tx, { payload, at }: Fact<facts.EnvironmentCreated>): Promise<void> {
  await insertEnvironment(tx, {
    id: payload.environment,
    project: payload.project,
    name: payload.name,
    position: payload.position,
    policy: canonicalJson(payload.policy),
    policy_digest: payload.policyDigest,
    policy_version: 1,
    at,
  });
}

async function applyPolicy(tx: Tx, { payload }: Fact<facts.PolicyChanged>): Promise<void> {
  await updatePolicy(tx, payload.environment, {
    policy: canonicalJson(payload.policy),
    policy_digest: payload.policyDigest,
    policy_version: payload.policyVersion,
  });
}

async function applyRequest(tx: Tx, fact: Fact<facts.PromotionRequested>): Promise<void> {
  const { payload } = fact;
  await insertPromotion(tx, {
    id: payload.promotion,
    fact: fact.number,
    project: payload.project,
    environment: payload.environment,
    environment_name: payload.environmentName,
    artifact: payload.artifact,
    digest: payload.digest,
    name: payload.name,
    version: payload.version,
    requester: fact.actor.principal,
    comment: payload.comment,
    status: 'waiting',
    requested_at: fact.at,
    decided_fact: null,
    decided_at: null,
    summary: null,
    resource_uri: null,
    policy_digest: null,
    checks: null,
  });
}

async function applyApproval(tx: Tx, fact: Fact<facts.PromotionApproved>): Promise<void> {
  await insertApproval(tx, {
    promotion: fact.payload.promotion,
    principal: fact.actor.principal,
    kind: fact.payload.approverKind,
    comment: fact.payload.comment,
    fact: fact.number,
    at: fact.at,
  });
}

async function applyDecision(tx: Tx, fact: Fact<facts.Promoted>, status: PromotionStatus): Promise<void> {
  const { promotion, summary, resourceUri, policyDigest, checks } = fact.payload;
  await decidePromotion(tx, promotion, {
    status,
    decided_fact: fact.number,
    decided_at: fact.at,
    summary,
    resource_uri: resourceUri,
    policy_digest: policyDigest,
    checks: canonicalJson(checks),
  });
}
