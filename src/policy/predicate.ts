import { z } from 'zod';

export const predicateTypes = {
  provenance: 'https://slsa.dev/provenance/v1',
  verificationSummary: 'https://slsa.dev/verification_summary/v1',
} as const;

const Digests = z.record(z.string().max(50), z.string().max(200));

/** The fields of SLSA provenance v1 that rules read. Signed by the control plane, parsed all the same. */
export const ProvenancePredicate = z.object({
  buildDefinition: z.object({
    buildType: z.string(),
    externalParameters: z.record(z.string(), z.unknown()),
    resolvedDependencies: z.array(z.object({ uri: z.string().optional(), digest: Digests.optional() })).default([]),
  }),
  runDetails: z.object({
    builder: z.object({ id: z.string() }),
    metadata: z.object({
      invocationId: z.string(),
      startedOn: z.iso.datetime().optional(),
      finishedOn: z.iso.datetime(),
    }),
  }),
});
export type ProvenancePredicate = z.output<typeof ProvenancePredicate>;

/** What `externalParameters.workflow` of our build type holds (docs/formats): where the build definition came from. */
export const WorkflowParameter = z.object({ repository: z.string(), path: z.string(), ref: z.string() });

/** The fields of a SLSA verification summary v1 that rules and agents read. */
export const SummaryPredicate = z.object({
  verifier: z.object({ id: z.string() }),
  timeVerified: z.iso.datetime(),
  resourceUri: z.string(),
  policy: z.object({ uri: z.string(), digest: z.object({ sha256: z.string() }) }),
  inputAttestations: z.array(z.object({ uri: z.string(), digest: z.object({ sha256: z.string() }) })).min(1),
  verificationResult: z.enum(['PASSED', 'FAILED']),
  verifiedLevels: z.array(z.string()),
});
export type SummaryPredicate = z.output<typeof SummaryPredicate>;
