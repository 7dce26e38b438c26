import { type Build, buildContract as contract, type LogChunk } from '#build';
import { type App, bindEndpoint, sendEvents, type ServerEvent } from '#http';

/** Runs, their logs, and what runners speak. */
export function bindBuild(app: App, { build }: { build: Build }): void {
  bindEndpoint(app, contract.listRuns, ({ caller, query }) => build.listRuns(caller, query));
  bindEndpoint(app, contract.showRun, ({ caller, params }) => build.showRun(caller, params.run));
  bindEndpoint(app, contract.cancelRun, async ({ caller, params }) => {
    await build.cancelRun(caller, params.run);
    return { run: params.run };
  });
  bindEndpoint(app, contract.listRefusals, async ({ caller, params }) => ({
    items: await build.listRefusals(caller, params.project),
    next: null,
  }));
  bindEndpoint(app, contract.readLog, async ({ caller, params, reply }) => {
    await reply.type('text/plain; charset=utf-8').send(await build.readLog(caller, params.job));
  });
  bindEndpoint(app, contract.followLog, async ({ caller, params, request, reply, signal }) => {
    const after = Number(request.headers['last-event-id'] ?? 0);
    const chunks = await build.followLog(caller, params.job, Number.isSafeInteger(after) ? after : 0, signal);
    await sendEvents(reply, logEvents(chunks));
  });

  bindEndpoint(app, contract.claim, async ({ caller, body, signal }) => ({
    assignment: (await build.claim(caller, body, signal)) ?? null,
  }));
  bindEndpoint(app, contract.heartbeat, ({ caller, params }) => build.heartbeat(caller, params.job));
  bindEndpoint(app, contract.fetchSource, async ({ caller, params, reply }) => {
    await reply.type('application/octet-stream').send(await build.openSource(caller, params.job));
  });
  bindEndpoint(app, contract.appendLog, ({ caller, params, query, stream }) =>
    build.appendLog(caller, params.job, query.offset, stream),
  );
  bindEndpoint(app, contract.putOutput, async ({ caller, params, query, stream }) => {
    const { name, digest, size } = await build.putOutput(caller, params.job, { name: params.name, ...query }, stream);
    return { name, digest, size };
  });
  bindEndpoint(app, contract.complete, async ({ caller, params, body }) => {
    await build.complete(caller, params.job, body);
    return { job: params.job };
  });
}

async function* logEvents(chunks: AsyncIterable<LogChunk>): AsyncGenerator<ServerEvent> {
  for await (const chunk of chunks) yield { id: String(chunk.end), data: JSON.stringify(chunk.text) };
}
