/**
 * artifact: where finished files rest.
 * Guarantees: only outputs of a finished, successful run whose provenance verifies get into a release repository, and no caller
 * of any role puts bytes there; a version never changes; what came through the playground says so for ever, even if CI later
 * builds the same bytes; a download is on record before its first byte leaves, and leaves re-hashed.
 */
export { artifactModule } from './apply.ts';
export { type ArtifactControls, type Artifacts, createArtifacts, type Download, type Repository } from './artifact.ts';
export * as artifactContract from './contract.ts';
export { type Published, type Uploaded } from './facts.ts';
export {
  ArtifactName,
  type ArtifactPath,
  PathSegment,
  parseArtifactPath,
  parseNameAtVersion,
  pathKey,
  type RepositoryKind,
  versionOf,
} from './path.ts';
export { provenanceSan, readRun, type RunRecord } from './publication.ts';
export { type PublisherOptions, publishOutputs, startPublisher } from './publisher.ts';
export { type ArtifactRecord, type Refusal } from './store.ts';
