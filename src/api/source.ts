import { toIso } from '#base';
import { type App, bindEndpoint } from '#http';
import { type Push, type Ref, type Repository, type Source, sourceContract as contract } from '#source';

/** Repositories, their gate and the pushes it decided. */
export function bindSource(app: App, { source, publicUrl }: { source: Source; publicUrl: string }): void {
  const view = (repository: Repository, refs?: readonly Ref[]) => ({
    id: repository.id,
    name: repository.name,
    cloneUrl: `${publicUrl}/${repository.name}.git`,
    protectedPaths: [...repository.protectedPaths],
    pushCertificates: repository.pushCertificates,
    createdAt: toIso(repository.createdAt),
    ...(refs ? { refs: [...refs] } : {}),
  });

  bindEndpoint(app, contract.listRepositories, async ({ caller, params }) => ({
    items: (await source.listRepositories(caller, params.project)).map((repository) => view(repository)),
    next: null,
  }));
  bindEndpoint(app, contract.createRepository, async ({ caller, params, body }) =>
    view(await source.createRepository(caller, { project: params.project, name: body.name, ...settingsOf(body) })),
  );
  bindEndpoint(app, contract.showRepository, async ({ caller, params }) => {
    const repository = await source.showRepository(caller, `${params.project}/${params.repository}`);
    return view(repository, await source.refs(repository.id));
  });
  bindEndpoint(app, contract.showGate, async ({ caller, params }) => {
    const gate = await source.explainGate(caller, `${params.project}/${params.repository}`);
    return {
      ...gate,
      controls: gate.controls.map((control) => ({ ...control })),
      protectedPaths: [...gate.protectedPaths],
      limits: { ...gate.limits },
    };
  });
  bindEndpoint(app, contract.changeGate, async ({ caller, params, body }) =>
    view(await source.changeSettings(caller, `${params.project}/${params.repository}`, settingsOf(body))),
  );

  bindEndpoint(app, contract.listPushes, async ({ caller, params, query }) => {
    const pushes = await source.listPushes(caller, {
      project: params.project,
      limit: query.limit,
      ...(query.repository === undefined ? {} : { repository: query.repository }),
      ...(query.after === undefined ? {} : { before: Number(query.after) }),
    });
    const last = pushes.length === query.limit ? pushes.at(-1) : undefined;
    return { items: await Promise.all(pushes.map(pushView)), next: last ? String(last.fact) : null };
  });
  bindEndpoint(
    app,
    contract.showPush,
    async ({ caller, params }) => await pushView(await source.showPush(caller, params.push)),
  );

  async function pushView(push: Push) {
    const { name } = await source.requireRepositoryById(push.repository);
    return {
      ...push,
      repository: name,
      at: toIso(push.at),
      updates: push.updates.map((update) => ({ ...update })),
      checks: [...push.checks],
    };
  }
}

function settingsOf(body: {
  protectedPaths?: string[] | undefined;
  pushCertificates?: Repository['pushCertificates'] | undefined;
}) {
  return {
    ...(body.protectedPaths === undefined ? {} : { protectedPaths: body.protectedPaths }),
    ...(body.pushCertificates === undefined ? {} : { pushCertificates: body.pushCertificates }),
  };
}
