import { artifactContract as contract, type ArtifactRecord, type Artifacts } from '#artifact';
import { parseDigest, toIso } from '#base';
import { type App, bindEndpoint } from '#http';

/** Artifacts and the repositories they lie in. */
export function bindArtifact(app: App, { artifacts }: { artifacts: Artifacts }): void {
  bindEndpoint(app, contract.listRepositories, async ({ caller, params }) => ({
    items: await artifacts.repositories(caller, params.project),
    next: null,
  }));
  bindEndpoint(app, contract.listArtifacts, async ({ caller, query }) => {
    const { items, next } = await artifacts.list(caller, query);
    return { items: items.map(artifactView), next };
  });
  bindEndpoint(app, contract.showArtifact, async ({ caller, params }) => ({
    items: (await artifacts.show(caller, params.artifact)).map(artifactView),
    next: null,
  }));
  bindEndpoint(app, contract.uploadArtifact, async ({ caller, params, query, stream }) => {
    const { record } = await artifacts.upload(caller, {
      repository: `${params.project}/${params.repository}`,
      name: query.name,
      version: query.version,
      file: query.file,
      mediaType: query.mediaType,
      digest: query.digest === undefined ? undefined : parseDigest(query.digest),
      body: stream,
    });
    return artifactView(record);
  });
  bindEndpoint(app, contract.downloadArtifact, async ({ caller, params, reply }) => {
    const [record] = await artifacts.show(caller, params.artifact);
    const { size, stream } = await artifacts.download(caller, record!.id);
    await reply
      .headers({
        'content-type': 'application/octet-stream',
        'content-length': size,
        'content-disposition': `attachment; filename="${record!.file}"`,
        'x-checksum-sha256': record!.digest.slice('sha256:'.length),
      })
      .send(stream);
  });
}

function artifactView({ at, ...record }: ArtifactRecord) {
  return { ...record, publishedAt: toIso(at) };
}
