/**
 * trace: the chain of evidence of one artifact, from the running file back to the person.
 * Guarantees: rows only lead the way, every claim is checked against the fact, the fact against the ledger, the bytes against
 * their digest, each hop against the next; what is missing or cannot be told breaks the chain, and the first broken hop is named
 * with what was expected and found. Judging is pure: evidence in, trace out;
 * the evidence comes from the server or from a capsule, and there is one judge for both.
 */
export { Capsule, CAPSULE_CHARS_MAX, CAPSULE_MEDIA_TYPE, parseCapsule } from './capsule.ts';
export { type Broken, type Trace, traceChain } from './chain.ts';
export * as traceContract from './contract.ts';
export { type ChainEvidence } from './evidence.ts';
export { type FactView, type Hop, type HopKind, hopKinds } from './hop.ts';
export { type LoadParts } from './load.ts';
export { type TraceQuery } from './locate.ts';
export { type CapsuleTrust, type CapsuleVerdict, policyOfKey, verifyCapsule } from './verify-capsule.ts';
export { createTraces, type TraceOptions, type Traces } from './trace.ts';
