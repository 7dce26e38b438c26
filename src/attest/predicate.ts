import { z } from 'zod';
import { parseWith, Problem, toIso } from '#base';

/** Predicates of statements: the kinds of claims that are made and read here, each with its schema (signing.md §2.4). */

const Time = z.iso.datetime({ offset: true });
const Uri = z.string().min(1).max(2048);
const Digests = z.record(z.string().max(32), z.string().max(256));

/** in-toto ResourceDescriptor v1: at least one way to tell what is meant. */
const Resource = z
  .object({
    name: z.string().max(1024).optional(),
    uri: Uri.optional(),
    digest: Digests.optional(),
    downloadLocation: Uri.optional(),
    mediaType: z.string().max(200).optional(),
    annotations: z.record(z.string(), z.unknown()).optional(),
  })
  .refine(({ name, uri, digest }) => name ?? uri ?? digest, 'name it by a name, a URI or a digest');

const Names = z.array(z.string().max(1024)).max(100_000);

/** in-toto test-result v0.1. */
export const TestResult = z.object({
  result: z.enum(['PASSED', 'WARNED', 'FAILED']),
  configuration: z.array(Resource),
  url: Uri.optional(),
  passedTests: Names.optional(),
  warnedTests: Names.optional(),
  failedTests: Names.optional(),
});

/** SLSA verification summary v1. */
export const VerificationSummary = z.object({
  verifier: z.object({ id: Uri, version: z.record(z.string(), z.string()).optional() }),
  timeVerified: Time.optional(),
  resourceUri: Uri,
  policy: Resource,
  inputAttestations: z.array(Resource).optional(),
  verificationResult: z.enum(['PASSED', 'FAILED']),
  verifiedLevels: z.array(z.string().max(200)),
  dependencyLevels: z.record(z.string(), z.int().min(0)).optional(),
  slsaVersion: z.string().max(20).optional(),
});

/** in-toto simple verification result v0.2: what VSA is for builds, for everything else. */
export const SimpleVerification = z.object({
  verifier: z.object({ id: Uri }),
  policies: z.array(Resource).optional(),
  timeCreated: Time,
  properties: z.array(z.string().min(1).max(200)).min(1),
});

/** The bill of materials itself, as CycloneDX and SPDX define it. */
export const CycloneDx = z.looseObject({ bomFormat: z.literal('CycloneDX'), specVersion: z.string() });
export const Spdx = z.looseObject({ spdxVersion: z.string().regex(/^SPDX-2\./) });

/** in-toto vulns v0.2. */
export const Vulnerabilities = z.object({
  scanner: z.object({
    uri: Uri,
    version: z.string().max(200).optional(),
    db: z.object({ uri: Uri.optional(), version: z.string().max(200).optional(), lastUpdate: Time.optional() }),
    result: z.array(
      z.object({
        id: z.string().max(200),
        severity: z.array(z.object({ method: z.string().max(100), score: z.string().max(200) })),
        annotations: z.array(z.record(z.string(), z.unknown())).optional(),
      }),
    ),
  }),
  metadata: z.object({ scanStartedOn: Time, scanFinishedOn: Time }),
});

/** Ours: somebody with a name approved something, for a time. */
export const ApprovalPredicate = z.strictObject({
  /** Name in the approver's certificate, or the page of the person. */
  approver: z.strictObject({ id: Uri }),
  decision: z.enum(['APPROVED', 'REJECTED']),
  /** What it was asked for: an environment, a change, a release. */
  request: z.strictObject({ uri: Uri, reason: z.string().max(2000).optional() }),
  approvedOn: Time,
  expiresOn: Time.optional(),
});

/** Ours: an artifact was put to work somewhere, on the word of a verification summary. */
export const DeploymentPredicate = z.strictObject({
  deployer: z.strictObject({ id: Uri }),
  environment: z.strictObject({
    uri: Uri,
    cluster: z.string().max(253).optional(),
    namespace: z.string().max(253).optional(),
  }),
  workload: z.strictObject({ kind: z.string().max(100), name: z.string().max(253) }),
  decision: z.enum(['ALLOWED', 'DENIED']),
  /** Digest of the bundle with the verification summary that allowed it. */
  summary: z.strictObject({ digest: Digests }).optional(),
  startedOn: Time,
  finishedOn: Time.optional(),
});

const known = {
  'https://in-toto.io/attestation/test-result/v0.1': TestResult,
  'https://slsa.dev/verification_summary/v1': VerificationSummary,
  'https://in-toto.io/attestation/svr/v0.2': SimpleVerification,
  'https://cyclonedx.org/bom': CycloneDx,
  'https://spdx.dev/Document': Spdx,
  'https://in-toto.io/attestation/vulns/v0.2': Vulnerabilities,
} as const;

/** Below the public URL of the installation that made the claim: the address is also where the schema is. */
export const ownPredicates = {
  approval: { path: '/attestations/approval/v1', schema: ApprovalPredicate, title: 'Approval' },
  deployment: { path: '/attestations/deployment/v1', schema: DeploymentPredicate, title: 'Deployment' },
} as const;

/** Untrusted predicate of a known type → checked; one of an unknown type is whatever its author says. */
export function checkPredicate(type: string, predicate: unknown): Record<string, unknown> {
  const own = Object.values(ownPredicates).find(({ path }) => URL.canParse(type) && new URL(type).pathname === path);
  const schema: z.ZodType | undefined = (known as Record<string, z.ZodType>)[type] ?? own?.schema;
  const given = parseWith(z.record(z.string(), z.unknown()), predicate, 'attest.predicate_invalid');
  if (schema) parseWith(schema, given, 'attest.predicate_invalid');
  return given;
}

/** JSON Schema 2020-12 of one of our own predicates, as published. */
export function predicateSchema(name: keyof typeof ownPredicates, publicUrl: string): Record<string, unknown> {
  const { path, schema, title } = ownPredicates[name];
  return { $id: `${publicUrl}${path}/schema.json`, title, ...z.toJSONSchema(schema) };
}

interface Claim {
  predicateType: string;
  predicate: Record<string, unknown>;
}

export const testResultClaim = (predicate: z.input<typeof TestResult>): Claim =>
  claim('https://in-toto.io/attestation/test-result/v0.1', predicate);

export const simpleVerificationClaim = (
  verifier: string,
  properties: readonly string[],
  now: number,
  policies: z.input<typeof SimpleVerification>['policies'] = [],
): Claim =>
  claim('https://in-toto.io/attestation/svr/v0.2', {
    verifier: { id: verifier },
    policies,
    timeCreated: toIso(now),
    properties: [...properties],
  });

/** The format of a bill of materials says which predicate it is. `attest.predicate_invalid` for anything else. */
export function billOfMaterialsClaim(document: unknown): Claim {
  if (CycloneDx.safeParse(document).success) return claim('https://cyclonedx.org/bom', document);
  if (Spdx.safeParse(document).success) return claim('https://spdx.dev/Document', document);
  throw new Problem({
    code: 'attest.predicate_invalid',
    kind: 'invalid',
    message: 'This is neither a CycloneDX nor an SPDX 2 document in JSON.',
    hint: 'Write the bill of materials as cyclonedx-json or spdx-json.',
  });
}

export const vulnerabilitiesClaim = (predicate: z.input<typeof Vulnerabilities>): Claim =>
  claim('https://in-toto.io/attestation/vulns/v0.2', predicate);

export const approvalClaim = (publicUrl: string, predicate: z.input<typeof ApprovalPredicate>): Claim =>
  claim(`${publicUrl}${ownPredicates.approval.path}`, predicate);

export const deploymentClaim = (publicUrl: string, predicate: z.input<typeof DeploymentPredicate>): Claim =>
  claim(`${publicUrl}${ownPredicates.deployment.path}`, predicate);

const claim = (predicateType: string, predicate: unknown): Claim => ({
  predicateType,
  predicate: checkPredicate(predicateType, predicate),
});
