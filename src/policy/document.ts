import { z } from 'zod';
import { canonicalJson, type Digest, digestOf, parseWith } from '#base';

const Text = z.string().min(1).max(500);
/** Literal text with `*`: see `matchesPattern`. */
const Pattern = z.string().min(1).max(500);

const TrustedBuilder = z.strictObject({
  kind: z.literal('trusted-builder'),
  /** What each builder may at most vouch for. */
  builders: z
    .array(z.strictObject({ id: Text, level: z.int().min(0).max(3) }))
    .min(1)
    .max(50),
  minLevel: z.int().min(0).max(3),
  buildTypes: z.array(Text).min(1).max(20),
  /** Names directly under `externalParameters` that the author of this policy has considered; any other is a refusal. */
  externalParameters: z.array(Text).max(50),
});

const Signer = z.strictObject({
  kind: z.literal('signer'),
  issuer: Text,
  /** Patterns of the certificate's subject alternative name. */
  identities: z.array(Pattern).min(1).max(50),
});

const Source = z.strictObject({
  kind: z.literal('source'),
  repositories: z.array(Pattern).min(1).max(200),
  refs: z.array(Pattern).min(1).max(200),
});

const RunSucceeded = z.strictObject({ kind: z.literal('run-succeeded') });

const PreviousEnvironment = z.strictObject({
  kind: z.literal('previous-environment'),
  environment: Text,
  issuer: Text,
  /** Identity the summary must be signed with, and the `verifier.id` it must name. */
  verifier: Text,
});

const Approvals = z.strictObject({
  kind: z.literal('approvals'),
  count: z.int().min(1).max(20),
  /** The requester never counts; with this the person who signed the commit does not count either. */
  notAuthor: z.boolean(),
});

const ReleaseRepository = z.strictObject({ kind: z.literal('release-repository') });

const MaxAge = z.strictObject({
  kind: z.literal('max-age'),
  seconds: z
    .int()
    .min(60)
    .max(100 * 365 * 86_400),
});

const RequiredPredicates = z.strictObject({
  kind: z.literal('required-predicates'),
  types: z.array(Text).min(1).max(20),
  issuer: Text,
});

const AnyRule = z.discriminatedUnion('kind', [
  TrustedBuilder,
  Signer,
  Source,
  RunSucceeded,
  PreviousEnvironment,
  Approvals,
  ReleaseRepository,
  MaxAge,
  RequiredPredicates,
]);

/** A policy as people write and review it. A field this version does not know is refused, never skipped. */
export const PolicyDocument = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9./-]{0,120}$/),
  rules: z.array(AnyRule).min(1).max(100),
});

export type PolicyDocument = z.output<typeof PolicyDocument>;
export type Rule = z.output<typeof AnyRule>;

export const ruleKinds = [
  'trusted-builder',
  'signer',
  'source',
  'run-succeeded',
  'previous-environment',
  'approvals',
  'release-repository',
  'max-age',
  'required-predicates',
] as const satisfies readonly Rule['kind'][];

/** Untrusted value → policy, or `Problem policy.document_invalid` with a pointer to each fault. */
export function parsePolicy(value: unknown): PolicyDocument {
  return parseWith(PolicyDocument, value, 'policy.document_invalid');
}

/** SHA-256 over the canonical JSON: what a verification summary names as the policy it was made under. */
export function policyDigest(policy: PolicyDocument): Digest {
  return digestOf(canonicalJson(policy));
}
