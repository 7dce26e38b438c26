import { type BundleVerdict, verifyBundle } from '#attest';
import { type Check, type Digest, failed, hexOf, passed, type Verdict, verdictOf } from '#base';
import { matchesPattern, predicateTypes, ProvenancePredicate, SummaryPredicate } from '#policy';
import type { PlanItem } from './protocol.ts';

/** What an agent was told once, by whoever set it up, and believes over anything the server says later. */
export interface Pins {
  /** `trusted_root.json`: the keys and certificates bundles must lead back to. */
  trustedRoot: unknown;
  publicUrl: string;
  project: string;
  environment: string;
  /** Level the build must have reached; 3 unless said. */
  minLevel?: number;
}

/**
 * May these bytes run here? Pure and offline: two bundles against the pinned root, identities compared letter by letter, and
 * every link between file, provenance and summary looked at. The server's plan is not evidence: it only says where to look.
 */
export function verifyDeployable(
  pins: Pins,
  item: PlanItem,
  bundles: { provenance: Uint8Array; summary: Uint8Array },
): Verdict {
  const { publicUrl, trustedRoot } = pins;
  const issuer = `${publicUrl}/oidc/control`;
  const digest = item.digest as Digest;
  const provenance = verifyBundle({
    bundle: bundles.provenance,
    trustedRoot,
    artifact: digest,
    expect: { issuer, san: item.provenanceSan, predicateType: predicateTypes.provenance },
  });
  const summary = verifyBundle({
    bundle: bundles.summary,
    trustedRoot,
    artifact: digest,
    expect: { issuer, san: `${publicUrl}/verifier/v1`, predicateType: predicateTypes.verificationSummary },
  });
  return verdictOf([
    checkNameIsOurs(pins, item),
    checkIdentityIsOurs(pins, item),
    ...labelled('provenance', provenance),
    ...labelled('summary', summary),
    ...checkProvenance(pins, provenance),
    ...checkSummary(pins, item, summary),
  ]);
}

const labelled = (which: string, { checks }: BundleVerdict): Check[] =>
  checks.map((check) => ({ ...check, name: `${which}: ${check.name}` }));

function checkNameIsOurs({ project }: Pins, { name }: PlanItem): Check {
  const label = 'artifact belongs to the project';
  if (name.startsWith(`${project}/`)) return passed(label, name);
  return failed(label, { code: 'deploy.foreign_artifact', expected: `${project}/…`, found: name });
}

/** The plan names the exact identity; it must be a workflow of a repository of this agent's own project. */
function checkIdentityIsOurs({ publicUrl, project }: Pins, { provenanceSan }: PlanItem): Check {
  const label = 'provenance identity belongs to the project';
  const expected = `${publicUrl}/${project}/*/.github/workflows/*@refs/*`;
  if (matchesPattern(expected, provenanceSan)) return passed(label, provenanceSan);
  return failed(label, { code: 'deploy.foreign_identity', expected, found: provenanceSan });
}

function checkProvenance({ publicUrl }: Pins, { statement }: BundleVerdict): Check[] {
  const label = 'builder is trusted';
  if (!statement)
    return [failed(label, { code: 'deploy.provenance_invalid', expected: 'verified provenance', found: 'none' })];
  const parsed = ProvenancePredicate.safeParse(statement.predicate);
  const expected = `${publicUrl}/builders/hosted-sandbox/v1`;
  const found = parsed.success ? parsed.data.runDetails.builder.id : 'another shape';
  return [
    found === expected ? passed(label, found) : failed(label, { code: 'deploy.builder_untrusted', expected, found }),
  ];
}

function checkSummary(pins: Pins, item: PlanItem, { statement }: BundleVerdict): Check[] {
  const { publicUrl, project, environment, minLevel = 3 } = pins;
  if (!statement) {
    const notes = { code: 'deploy.summary_invalid', expected: 'a verified summary', found: 'none' };
    return [failed('summary is for this environment', notes)];
  }
  const parsed = SummaryPredicate.safeParse(statement.predicate);
  if (!parsed.success) {
    const notes = {
      code: 'deploy.summary_malformed',
      expected: 'SLSA verification summary v1',
      found: 'another shape',
    };
    return [failed('summary is for this environment', notes)];
  }
  const { verifier, resourceUri, verificationResult, inputAttestations, verifiedLevels } = parsed.data;
  const inputs = inputAttestations.map(({ digest }) => digest.sha256);
  const levels = [0, 1, 2, 3].filter((level) => level >= minLevel).map((level) => `SLSA_BUILD_LEVEL_${level}`);
  return [
    compare(
      'summary is for this environment',
      'deploy.summary_for_other_resource',
      `${publicUrl}/${project}/environments/${environment}/${item.name}`,
      resourceUri,
    ),
    compare('summary says passed', 'deploy.summary_not_passed', 'PASSED', verificationResult),
    compare('summary names its verifier', 'deploy.summary_other_verifier', `${publicUrl}/verifier/v1`, verifier.id),
    inputs.includes(hexOf(item.provenance as Digest))
      ? passed('summary was made from this provenance')
      : failed('summary was made from this provenance', {
          code: 'deploy.summary_other_provenance',
          expected: hexOf(item.provenance as Digest),
          found: inputs.join(', ') || 'none',
        }),
    verifiedLevels.some((level) => levels.includes(level))
      ? passed('build level is high enough', verifiedLevels.join(', '))
      : failed('build level is high enough', {
          code: 'deploy.level_too_low',
          expected: levels.join(' or '),
          found: verifiedLevels.join(', ') || 'none',
        }),
  ];
}

function compare(name: string, code: string, expected: string, found: string): Check {
  return expected === found ? passed(name, found) : failed(name, { code, expected, found });
}
