import type { Fact, ModuleDefinition } from '#journal';
import type { Tx } from '#storage';
import {
  downloaded,
  publicationRefused,
  type Published,
  published,
  type Uploaded,
  uploaded,
  type UploadRefused,
  uploadRefused,
} from './facts.ts';
import { migrations } from './migrations.ts';
import { type ArtifactPath, pathKey, type RepositoryKind } from './path.ts';
import { insertRecord, insertRefusal, type RecordTable } from './store.ts';

const nothing = () => Promise.resolve();

export const artifactModule: ModuleDefinition = {
  name: 'artifact',
  migrations,
  facts: [published, publicationRefused, uploaded, uploadRefused, downloaded],
  apply: {
    'artifact.published': (tx, fact: Fact<Published>) => {
      const { run, output, commit, provenance } = fact.payload;
      return insertRecord(tx, { ...rowOf(fact, 'release'), run, output, commit, provenance });
    },
    'artifact.uploaded': (tx, fact: Fact<Uploaded>) => insertRecord(tx, rowOf(fact, 'playground')),
    'artifact.upload_refused': applyRefusal,
    'artifact.publication_refused': nothing,
    'artifact.downloaded': nothing,
  },
};

/** The kind of repository comes from the kind of fact: no field that somebody sends can make a playground file releasable. */
function rowOf(fact: Fact<Published | Uploaded>, kind: RepositoryKind): RecordTable {
  const { artifact, project, repository, name, version, file, digest, size, mediaType } = fact.payload;
  const path: ArtifactPath = { kind, project, repository, name, version, file };
  return {
    id: artifact,
    fact: fact.number,
    kind,
    project,
    repository,
    name,
    version,
    file,
    path_key: pathKey(path),
    digest,
    size,
    media_type: mediaType,
    run: null,
    output: null,
    commit: null,
    provenance: null,
    principal: fact.actor.principal,
    at: fact.at,
  };
}

async function applyRefusal(tx: Tx, fact: Fact<UploadRefused>): Promise<void> {
  const { refusal, project, repository, name, version, file, code } = fact.payload;
  await insertRefusal(tx, {
    id: refusal,
    fact: fact.number,
    project,
    repository,
    path: `${name}/${version}/${file}`,
    code,
    principal: fact.actor.principal,
    at: fact.at,
  });
}
