import type { Attest } from '#attest';
import { type Digest, faultPoint, hexOf, Problem, toIso } from '#base';
import type { Identity } from '#identity';
import { type Fact, type Follower, systemActor } from '#journal';
import { type Decision, decide, type Evidence, policyDigest, predicateTypes } from '#policy';
import type { Db } from '#storage';
import { identities, policyUri, resourceUri } from './environment.ts';
import {
  type CurrentPolicy,
  type EvidenceSources,
  loadEvidence,
  type PromotionRecord,
  readPolicy,
  readPromotion,
} from './evidence.ts';
import { type CheckRecord, promoted, promotionRefused } from './facts.ts';
import { findEnvironment, policyVersionOf, selectEnvironments } from './store.ts';

export interface DeciderOptions extends EvidenceSources {
  db: Db;
  attest: Attest;
  identity: Pick<Identity, 'findProjectById'>;
  /** Stands in the summaries it signs. */
  version: string;
  /** A drill switches one off to show what it is for: without policy whatever is requested is promoted. */
  controls?: { policy: boolean };
  onError?: (error: unknown, fact: Fact) => void;
}

const actor = systemActor('release.decider');
const TEXT_MAX = 4000;

/**
 * Follows requests and approvals and decides as soon as there is all it takes: only a missing approval is waited for, anything
 * else that is wrong or not there is a refusal. Either way it signs a verification summary and records the decision with every
 * check that led to it.
 */
export function startDecider(options: DeciderOptions): Follower {
  return options.journal.follow({
    name: 'release.decider',
    types: ['release.promotion_requested', 'release.promotion_approved'],
    handle: (fact) => settle(options, fact.stream),
    ...(options.onError ? { onError: options.onError } : {}),
  });
}

/** Idempotent: a decided promotion is left alone, and a summary that a crash kept from being recorded is found again. */
export async function settle(options: DeciderOptions, stream: string): Promise<void> {
  const { journal } = options;
  const record = readPromotion(await journal.byStream(stream));
  if (!record || record.decided) return;
  const { project, environment } = record.requested.payload;
  const slug = (await options.identity.findProjectById(project))?.slug;
  const policyVersion = (await findEnvironment(options.db, environment))?.policyVersion;
  const environments = await readEnvironments(options, project);
  const target = environments.find(({ id }) => id === environment);
  if (slug === undefined || !target) throw undecidable(record);
  const evidence = await loadEvidence(options, record, slug, environments);
  const decision = judge(options, target, evidence);
  if (waitsForApproval(decision)) return;
  const summary = await signSummary(options, { record, slug, target, evidence, decision });
  faultPoint('release.before_promoted');
  await journal.record({
    fact: decision.allowed ? promoted : promotionRefused,
    stream,
    expectSeq: record.length,
    subject: evidence.artifact.digest,
    actor,
    payload: {
      ...about(record),
      requester: evidence.requester,
      approvers: evidence.approvals.map(({ principal }) => principal),
      summary,
      resourceUri: resourceUri(options.publicUrl, slug, target.name, evidence.artifact.name),
      policyDigest: target.digest,
      checks: decision.checks.map(shortened),
    },
    // Nothing is decided by a policy that was replaced meanwhile: the next attempt looks at the new one.
    guard: async (tx) => {
      if ((await policyVersionOf(tx, environment)) !== policyVersion) throw policyMoved(target.name);
    },
  });
  faultPoint('release.after_promoted');
}

async function readEnvironments(options: DeciderOptions, project: string): Promise<CurrentPolicy[]> {
  const rows = await selectEnvironments(options.db, project);
  const policies = await Promise.all(rows.map(({ id }) => readPolicy(options, id)));
  return policies.filter((policy) => policy !== undefined);
}

function judge({ controls }: DeciderOptions, target: CurrentPolicy, evidence: Evidence): Decision {
  if (policyDigest(target.policy) !== target.digest)
    throw new TypeError(`release: policy of ${target.id} is malformed`);
  const decision = decide(target.policy, evidence);
  return controls?.policy === false ? { ...decision, allowed: true } : decision;
}

/** Everything else is in order, so an approval can still turn it into a yes. */
function waitsForApproval({ allowed, checks }: Decision): boolean {
  const refusals = checks.filter(({ status }) => status !== 'passed');
  return !allowed && refusals.every(({ code }) => code === 'policy.approvals_missing');
}

interface Settled {
  record: PromotionRecord;
  slug: string;
  target: CurrentPolicy;
  evidence: Evidence;
  decision: Decision;
}

/** SLSA verification summary v1; a refusal gets one too. */
async function signSummary(options: DeciderOptions, settled: Settled): Promise<Digest> {
  const { attest, publicUrl, version } = options;
  const { record, slug, target, evidence, decision } = settled;
  const { verifier } = identities(publicUrl);
  const { promotion } = record.requested.payload;
  const { digest, name } = evidence.artifact;
  const result = decision.allowed ? 'PASSED' : 'FAILED';
  const inputs = evidence.attestations.filter(({ verdict }) => verdict.ok);
  const { bundle } = await attest.sign({
    predicateType: predicateTypes.verificationSummary,
    predicate: {
      verifier: { id: verifier, version: { waybill: version } },
      timeVerified: toIso(evidence.now),
      resourceUri: resourceUri(publicUrl, slug, target.name, name),
      policy: {
        uri: policyUri(publicUrl, slug, target.name, target.version),
        digest: { sha256: hexOf(target.digest) },
      },
      inputAttestations: inputs.map((input) => ({
        uri: `${publicUrl}/api/v1/bundles/${input.bundle}`,
        digest: { sha256: hexOf(input.bundle) },
      })),
      verificationResult: result,
      verifiedLevels: decision.allowed ? decision.levels : ['FAILED'],
      slsaVersion: '1.2',
    },
    subjects: [{ name, digest: { sha256: hexOf(digest) } }],
    identity: {
      san: verifier,
      extensions: { deploymentEnvironment: target.name, runInvocationUri: `${publicUrl}/promotions/${promotion}` },
    },
    actor,
    // A summary made under another policy is another summary.
    idempotencyKey: `release/${promotion}/${result}/${target.digest}/${target.version}`,
  });
  return bundle;
}

function about({ requested }: PromotionRecord) {
  const { promotion, project, environment, environmentName, artifact, digest, name, version } = requested.payload;
  return { promotion, project, environment, environmentName, artifact, digest, name, version };
}

const shortened = (check: CheckRecord): CheckRecord => ({
  ...check,
  ...(check.expected === undefined ? {} : { expected: check.expected.slice(0, TEXT_MAX) }),
  ...(check.found === undefined ? {} : { found: check.found.slice(0, TEXT_MAX) }),
  ...(check.detail === undefined ? {} : { detail: check.detail.slice(0, TEXT_MAX) }),
});

const policyMoved = (environment: string) =>
  new Problem({
    code: 'release.policy_moved',
    kind: 'conflict',
    message: `The policy of ${environment} changed while a promotion was decided.`,
    hint: 'It is decided again, by the policy there is now.',
  });

const undecidable = ({ requested }: PromotionRecord) =>
  new Problem({
    code: 'release.undecidable',
    kind: 'unavailable',
    message: `The ledger does not vouch for the policy that promotion ${requested.payload.promotion} is to be decided by.`,
    hint: 'Run waybill ledger verify. The promotion is decided when the ledger can be trusted again.',
  });
