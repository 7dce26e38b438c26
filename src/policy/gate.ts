import { type Check, failed, hexOf, passed } from '#base';
import type { Rule } from './document.ts';
import type { Evidence, PreviousStep, VerifiedAttestation } from './evidence.ts';
import { predicateTypes, SummaryPredicate } from './predicate.ts';
import { verifiedAbout } from './provenance.ts';

type RuleOf<K extends Rule['kind']> = Extract<Rule, { kind: K }>;

/** The step before must have said yes, about this very digest, for its own environment, under the policy it has today. */
export function checkPreviousEnvironment(rule: RuleOf<'previous-environment'>, evidence: Evidence): Check {
  const name = `passed ${rule.environment}`;
  const step = evidence.previous.find((entry) => entry.environment === rule.environment);
  if (!step) {
    return failed(name, {
      code: 'policy.environment_unknown',
      expected: `an environment ${rule.environment}`,
      found: 'none',
    });
  }
  const summaries = verifiedAbout(evidence, predicateTypes.verificationSummary);
  const faults = summaries.map((summary) => faultOf(rule, step, summary));
  const good = faults.indexOf(undefined);
  if (good >= 0) return passed(name, summaries[good]!.bundle);
  // The newest summary tells most; attestations come oldest first.
  return faults.at(-1) ?? missing(name, rule, step);
}

function faultOf(
  rule: RuleOf<'previous-environment'>,
  step: PreviousStep,
  { signer, predicate }: VerifiedAttestation,
): Check | undefined {
  const name = `passed ${rule.environment}`;
  if (signer.issuer !== rule.issuer || signer.san !== rule.verifier) {
    return failed(name, {
      code: 'policy.summary_signer_untrusted',
      expected: `${rule.verifier} by ${rule.issuer}`,
      found: `${signer.san} by ${signer.issuer}`,
    });
  }
  const parsed = SummaryPredicate.safeParse(predicate);
  if (!parsed.success || parsed.data.verifier.id !== rule.verifier) {
    return failed(name, {
      code: 'policy.summary_malformed',
      expected: `a verification summary of ${rule.verifier}`,
      found: parsed.success ? parsed.data.verifier.id : 'another shape',
    });
  }
  const { resourceUri, verificationResult, policy } = parsed.data;
  if (resourceUri !== step.resourceUri) return missing(name, rule, step, resourceUri);
  if (verificationResult !== 'PASSED') {
    return failed(name, { code: 'policy.summary_failed', expected: 'PASSED', found: verificationResult });
  }
  if (policy.digest.sha256 !== hexOf(step.policyDigest)) {
    return failed(name, {
      code: 'policy.summary_outdated',
      expected: `made under policy ${hexOf(step.policyDigest)}`,
      found: policy.digest.sha256,
      fix: `The policy of ${rule.environment} has changed since: promote to ${rule.environment} again.`,
    });
  }
  return undefined;
}

function missing(name: string, rule: RuleOf<'previous-environment'>, step: PreviousStep, found = 'none'): Check {
  return failed(name, {
    code: 'policy.summary_missing',
    expected: `a verification summary for ${step.resourceUri}`,
    found,
    fix: `Promote to ${rule.environment} first.`,
  });
}

/** Only people count, each once; never the requester, and not the commit's author if the rule says so. */
export function checkApprovals(rule: RuleOf<'approvals'>, evidence: Evidence): Check {
  const name = 'approvals';
  const people = new Set(evidence.approvals.filter(({ kind }) => kind === 'person').map(({ principal }) => principal));
  people.delete(evidence.requester);
  if (rule.notAuthor) {
    if (evidence.author === null) {
      return failed(name, {
        code: 'policy.author_unknown',
        expected: 'the person who signed the commit',
        found: 'unknown',
      });
    }
    people.delete(evidence.author);
  }
  if (people.size >= rule.count) return passed(name, [...people].join(', '));
  const others = rule.notAuthor ? 'the requester or the author of the commit' : 'the requester';
  return failed(name, {
    code: 'policy.approvals_missing',
    expected: `${rule.count} by people other than ${others}`,
    found: String(people.size),
    fix: 'Ask somebody else who may approve: waybill promotion approve.',
  });
}
