import { type Check, failed, passed } from '#base';
import type { Rule } from './document.ts';
import type { Evidence, VerifiedAttestation } from './evidence.ts';
import { matchesAny } from './pattern.ts';
import { predicateTypes, ProvenancePredicate, WorkflowParameter } from './predicate.ts';

type RuleOf<K extends Rule['kind']> = Extract<Rule, { kind: K }>;

interface Provenance {
  attestation: VerifiedAttestation;
  predicate: ProvenancePredicate;
}

/** Clocks of two machines may differ this much before a build seems to come from the future. */
const CLOCK_SKEW_MS = 5 * 60_000;

export function verifiedAbout(evidence: Evidence, predicateType: string): VerifiedAttestation[] {
  return evidence.attestations.filter(
    (entry) =>
      entry.verdict.ok && entry.predicateType === predicateType && entry.subjects.includes(evidence.artifact.digest),
  );
}

/** Every verified provenance of the artifact must satisfy a rule: a second, weaker one may not hide behind a good one. */
function provenances(evidence: Evidence): (Provenance | undefined)[] {
  return verifiedAbout(evidence, predicateTypes.provenance).map((attestation) => {
    const parsed = ProvenancePredicate.safeParse(attestation.predicate);
    return parsed.success ? { attestation, predicate: parsed.data } : undefined;
  });
}

function checkEach(name: string, evidence: Evidence, check: (provenance: Provenance) => Check): Check {
  const all = provenances(evidence);
  if (all.length === 0) {
    return failed(name, { code: 'policy.provenance_missing', expected: 'verified provenance', found: 'none' });
  }
  const checks = all.map((provenance) =>
    provenance
      ? check(provenance)
      : failed(name, { code: 'policy.provenance_malformed', expected: 'SLSA provenance v1', found: 'another shape' }),
  );
  return checks.find((made) => made.status !== 'passed') ?? checks[0]!;
}

export function checkTrustedBuilder(rule: RuleOf<'trusted-builder'>, evidence: Evidence): Check[] {
  return [
    checkEach('builder is trusted', evidence, ({ predicate }) => checkBuilder(rule, predicate)),
    checkEach('build type is known', evidence, ({ predicate }) => {
      const { buildType } = predicate.buildDefinition;
      if (rule.buildTypes.includes(buildType)) return passed('build type is known', buildType);
      return failed('build type is known', {
        code: 'policy.build_type_unknown',
        expected: rule.buildTypes.join(' or '),
        found: buildType,
      });
    }),
    checkEach('external parameters are known', evidence, ({ predicate }) => checkParameters(rule, predicate)),
  ];
}

function checkBuilder(rule: RuleOf<'trusted-builder'>, predicate: ProvenancePredicate): Check {
  const name = 'builder is trusted';
  const { id } = predicate.runDetails.builder;
  const level = levelOf(rule, predicate);
  if (level >= rule.minLevel) return passed(name, `${id}, SLSA_BUILD_LEVEL_${level}`);
  return failed(name, {
    code: level < 0 ? 'policy.builder_untrusted' : 'policy.builder_level_too_low',
    expected: `a builder of level ${rule.minLevel}: ${rule.builders.map((builder) => builder.id).join(', ')}`,
    found: level < 0 ? id : `${id} of level ${level}`,
  });
}

function levelOf(rule: RuleOf<'trusted-builder'>, { runDetails }: ProvenancePredicate): number {
  const trusted = rule.builders.filter(({ id }) => id === runDetails.builder.id);
  return Math.max(-1, ...trusted.map(({ level }) => level));
}

/** The lowest level any provenance of the artifact reaches; −1 if a builder is not trusted or there is no provenance. */
export function builderLevel(rule: RuleOf<'trusted-builder'>, evidence: Evidence): number {
  const levels = provenances(evidence).map((provenance) => (provenance ? levelOf(rule, provenance.predicate) : -1));
  return levels.length === 0 ? -1 : Math.min(...levels);
}

function checkParameters(rule: RuleOf<'trusted-builder'>, predicate: ProvenancePredicate): Check {
  const name = 'external parameters are known';
  const unknown = Object.keys(predicate.buildDefinition.externalParameters).filter(
    (key) => !rule.externalParameters.includes(key),
  );
  if (unknown.length === 0) return passed(name);
  return failed(name, {
    code: 'policy.external_parameter_unknown',
    expected: rule.externalParameters.join(', '),
    found: unknown.join(', '),
    fix: 'Read what the parameter does, then add its name to the policy.',
  });
}

export function checkSigner(rule: RuleOf<'signer'>, evidence: Evidence): Check {
  const name = 'provenance is signed by the control plane';
  return checkEach(name, evidence, ({ attestation }) => {
    const { issuer, san } = attestation.signer;
    if (issuer === rule.issuer && matchesAny(rule.identities, san)) return passed(name, `${san} by ${issuer}`);
    return failed(name, {
      code: 'policy.signer_untrusted',
      expected: `${rule.identities.join(' or ')} by ${rule.issuer}`,
      found: `${san} by ${issuer}`,
    });
  });
}

export function checkSource(rule: RuleOf<'source'>, evidence: Evidence): Check[] {
  return [
    checkEach('source is allowed', evidence, ({ predicate }) => checkOrigin(rule, predicate)),
    checkEach('signing identity names the source', evidence, checkIdentityNamesSource),
    checkEach('commit is the one the run built', evidence, ({ predicate }) => checkCommit(evidence, predicate)),
  ];
}

function checkOrigin(rule: RuleOf<'source'>, predicate: ProvenancePredicate): Check {
  const name = 'source is allowed';
  const workflow = WorkflowParameter.safeParse(predicate.buildDefinition.externalParameters['workflow']);
  if (!workflow.success) {
    return failed(name, { code: 'policy.source_missing', expected: 'externalParameters.workflow', found: 'none' });
  }
  const { repository, ref } = workflow.data;
  if (matchesAny(rule.repositories, repository) && matchesAny(rule.refs, ref)) {
    return passed(name, `${repository} at ${ref}`);
  }
  return failed(name, {
    code: 'policy.source_not_allowed',
    expected: `${rule.repositories.join(' or ')} at ${rule.refs.join(' or ')}`,
    found: `${repository} at ${ref}`,
  });
}

/** The certificate was issued for one workflow at one ref; the statement must be about that one. */
function checkIdentityNamesSource({ attestation, predicate }: Provenance): Check {
  const name = 'signing identity names the source';
  const workflow = WorkflowParameter.safeParse(predicate.buildDefinition.externalParameters['workflow']);
  const expected = workflow.success
    ? `${workflow.data.repository}/${workflow.data.path}@${workflow.data.ref}`
    : 'externalParameters.workflow';
  if (workflow.success && expected === attestation.signer.san) return passed(name);
  return failed(name, { code: 'policy.signer_not_of_source', expected, found: attestation.signer.san });
}

function checkCommit({ run }: Evidence, predicate: ProvenancePredicate): Check {
  const name = 'commit is the one the run built';
  const commits = predicate.buildDefinition.resolvedDependencies
    .map((dependency) => dependency.digest?.['gitCommit'])
    .filter((commit) => commit !== undefined);
  if (run && commits.includes(run.commit)) return passed(name, run.commit);
  return failed(name, {
    code: 'policy.commit_mismatch',
    expected: run ? run.commit : 'the run’s commit',
    found: commits.join(', ') || 'no commit in resolvedDependencies',
  });
}

export function checkMaxAge(rule: RuleOf<'max-age'>, evidence: Evidence): Check {
  const name = 'build is recent enough';
  return checkEach(name, evidence, ({ predicate }) => {
    const finishedOn = predicate.runDetails.metadata.finishedOn;
    const ageMs = evidence.now - Date.parse(finishedOn);
    if (ageMs >= -CLOCK_SKEW_MS && ageMs <= rule.seconds * 1000) return passed(name, `finished ${finishedOn}`);
    return failed(name, {
      code: ageMs < 0 ? 'policy.build_from_the_future' : 'policy.build_too_old',
      expected: `finished at most ${rule.seconds} s ago`,
      found: finishedOn,
      fix: 'Build it again.',
    });
  });
}

export function checkRequiredPredicates(rule: RuleOf<'required-predicates'>, evidence: Evidence): Check[] {
  return rule.types.map((type) => {
    const name = `attestation ${type}`;
    const found = verifiedAbout(evidence, type).filter((entry) => entry.signer.issuer === rule.issuer);
    if (found[0]) return passed(name, found[0].bundle);
    return failed(name, {
      code: 'policy.predicate_missing',
      expected: `one signed under ${rule.issuer}`,
      found: 'none',
    });
  });
}
