/**
 * wire: foreign protocols, one folder each. They translate; what may happen is decided by the modules before them.
 */
export { registerFileRoutes } from './files/index.ts';
export { registerGitRoutes } from './git/index.ts';
export {
  createRateLimit,
  foreignCredentialPaths,
  registerSigstoreRoutes,
  type SigstoreDeps,
} from './sigstore/index.ts';
export { registerTileRoutes, registerWitnessRoutes } from './tlog/index.ts';
