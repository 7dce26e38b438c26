/**
 * release: which artifact may go where.
 * Guarantees: a decision is made from facts the ledger vouches for and bundles that verify, never from rows; only artifacts of a
 * release repository are ever considered; nobody approves their own request; every decision, yes or no, leaves a signed
 * verification summary and a fact with each check.
 */
export { releaseModule } from './apply.ts';
export * as releaseContract from './contract.ts';
export { type DeciderOptions, startDecider } from './decider.ts';
export { environmentId, identities, resourceUri, seededEnvironments, seededPolicy } from './environment.ts';
export { authorOf, findPublication, loadAttestation, readPromotion, verdictOn } from './evidence.ts';
export { type Promoted } from './facts.ts';
export { presentEnvironment, presentPromotion } from './present.ts';
export { createReleases, type PromotionQuery, type Releases } from './release.ts';
export { type SeederOptions, startSeeder } from './seeder.ts';
export { type Environment, type Promotion, type PromotionStatus } from './store.ts';
