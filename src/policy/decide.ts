import { type Check, type Digest, failed, firstRefusal, passed } from '#base';
import { type PolicyDocument, policyDigest, type Rule } from './document.ts';
import type { Evidence } from './evidence.ts';
import { checkApprovals, checkPreviousEnvironment } from './gate.ts';
import {
  builderLevel,
  checkMaxAge,
  checkRequiredPredicates,
  checkSigner,
  checkSource,
  checkTrustedBuilder,
} from './provenance.ts';

export interface Decision {
  allowed: boolean;
  policy: Digest;
  checks: readonly Check[];
  /** Highest level that is certain, as a verification summary names it; empty if no builder was trusted. */
  levels: readonly string[];
}

/**
 * Holds the evidence against every rule; allowed only if every check passed. Two checks belong to no rule and are always made:
 * the ledger has the publication (nothing counts before), and the artifact is named by at least one verified attestation.
 */
export function decide(policy: PolicyDocument, evidence: Evidence): Decision {
  const checks = [checkLedger(evidence), checkAttested(evidence)];
  for (const rule of policy.rules) checks.push(...checkRule(rule, evidence));
  const allowed = checks.every((check) => check.status === 'passed');
  return { allowed, policy: policyDigest(policy), checks, levels: levelsOf(policy, evidence) };
}

function levelsOf(policy: PolicyDocument, evidence: Evidence): string[] {
  const levels = policy.rules.flatMap((rule) =>
    rule.kind === 'trusted-builder' ? [builderLevel(rule, evidence)] : [],
  );
  const level = levels.length === 0 ? -1 : Math.min(...levels);
  return level < 0 ? [] : [`SLSA_BUILD_LEVEL_${level}`];
}

function checkRule(rule: Rule, evidence: Evidence): Check[] {
  switch (rule.kind) {
    case 'trusted-builder':
      return checkTrustedBuilder(rule, evidence);
    case 'signer':
      return [checkSigner(rule, evidence)];
    case 'source':
      return checkSource(rule, evidence);
    case 'run-succeeded':
      return [checkRunSucceeded(evidence)];
    case 'previous-environment':
      return [checkPreviousEnvironment(rule, evidence)];
    case 'approvals':
      return [checkApprovals(rule, evidence)];
    case 'release-repository':
      return [checkReleaseRepository(evidence)];
    case 'max-age':
      return [checkMaxAge(rule, evidence)];
    case 'required-predicates':
      return checkRequiredPredicates(rule, evidence);
  }
  return [failed('rule', { code: 'policy.rule_unknown', found: JSON.stringify(rule satisfies never) })];
}

function checkLedger({ publication }: Evidence): Check {
  const name = 'publication is in the ledger';
  if (!publication) {
    return failed(name, { code: 'policy.publication_missing', expected: 'a publication', found: 'none' });
  }
  if (publication.ledger.ok) return passed(name, `fact ${publication.fact}`);
  const refusal = firstRefusal(publication.ledger);
  return failed(name, {
    code: 'policy.publication_not_in_ledger',
    expected: `fact ${publication.fact} proven by the ledger`,
    found: refusal ? `${refusal.name}: ${refusal.found ?? refusal.detail ?? refusal.status}` : 'no proof',
    fix: 'Run waybill ledger verify.',
  });
}

function checkAttested(evidence: Evidence): Check {
  const name = 'artifact is attested';
  const about = evidence.attestations.filter((entry) => entry.subjects.includes(evidence.artifact.digest));
  if (about.some((entry) => entry.verdict.ok)) return passed(name);
  const refusal = about.map((entry) => firstRefusal(entry.verdict)).find((check) => check !== undefined);
  return failed(name, {
    code: 'policy.not_attested',
    expected: `a verified bundle that names ${evidence.artifact.digest}`,
    found: refusal ? `a bundle that does not verify (${refusal.name}: ${refusal.found ?? refusal.status})` : 'none',
    fix: 'Only artifacts that a build of this platform published carry one.',
  });
}

function checkRunSucceeded({ run }: Evidence): Check {
  const name = 'run succeeded';
  if (run?.result === 'success') return passed(name, run.id);
  return failed(name, {
    code: 'policy.run_not_succeeded',
    expected: 'a finished run with result success',
    found: run ? run.result : 'no run',
  });
}

function checkReleaseRepository({ artifact }: Evidence): Check {
  const name = 'artifact is in the release repository';
  if (artifact.repositoryKind === 'release') return passed(name);
  return failed(name, {
    code: 'policy.not_release_repository',
    expected: 'release',
    found: artifact.repositoryKind,
    fix: 'Have CI build and publish it; what came from the playground stays there.',
  });
}
