/**
 * policy: what must be true of an artifact before it may go somewhere.
 * Guarantees: pure; the same document and evidence give the same decision; only attestations that were verified and name the
 * artifact count; missing evidence, an unknown rule and an unknown parameter are refusals, each with what was expected and found.
 */
export { type Decision, decide } from './decide.ts';
export { parsePolicy, PolicyDocument, policyDigest, type Rule, ruleKinds } from './document.ts';
export { type Approval, type Evidence, type PreviousStep, type VerifiedAttestation } from './evidence.ts';
export { matchesPattern } from './pattern.ts';
export { predicateTypes, ProvenancePredicate, SummaryPredicate } from './predicate.ts';
