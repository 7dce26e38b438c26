/**
 * trace: the chain of evidence of one artifact, from the running file back to the person.
 * Guarantees: rows only lead the way, every claim is checked against the fact, the fact against the ledger, the bytes against
 * their digest, each hop against the next; what is missing or cannot be told breaks the chain, and the first broken hop is named
 * with what was expected and found. Judging is pure: evidence in, trace out.
 */
export { type Broken, type Trace, traceChain } from './chain.ts';
export * as traceContract from './contract.ts';
export { type ChainEvidence } from './evidence.ts';
export { type FactView, type Hop, type HopKind, hopKinds } from './hop.ts';
export { type LoadParts } from './load.ts';
export { type TraceQuery } from './locate.ts';
export { createTraces, type TraceOptions, type Traces } from './trace.ts';
