/**
 * journal: what happened, in order.
 * Guarantees: a fact and the rows it changes are one transaction, on the disk before the caller is answered; numbers have no
 * gaps and follow commit order; the tables can be rebuilt from the facts and compared; a worker sees every fact of its types,
 * in order, at least once. Payloads are erasable: the ledger's leaf holds a salted commitment only.
 */
export {
  type Actor,
  commitmentOf,
  defineFact,
  type Draft,
  type Fact,
  type FactDefinition,
  leafBytes,
  type LeafFields,
  type Origin,
  systemActor,
} from './fact.ts';
export { type Erasure, type Erasures } from './erasure.ts';
export { erasureRequested, payloadErased } from './facts.ts';
export { type Follower, type FollowOptions } from './follow.ts';
export { createJournal, type FactQuery, type Guard, type Journal } from './journal.ts';
export { type Apply, type EraseRule, type ModuleDefinition, onFact } from './module.ts';
export { rebuildAndCompare } from './rebuild.ts';
