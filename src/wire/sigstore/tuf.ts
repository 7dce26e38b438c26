import type { Attest } from '#attest';
import { Problem } from '#base';
import type { App } from '#http';

/** The TUF repository under `/tuf/`, for everybody: it holds public keys and is verified by whoever reads it. */
export function registerTuf(app: App, { attest }: { attest: Attest }): void {
  app.get<{ Params: { '*': string } }>('/tuf/*', async (request, reply) => {
    const path = request.params['*'];
    const document = await attest.tuf.file(path);
    if (document === undefined) throw noFile();
    const isFixed = path !== 'timestamp.json';
    return await reply
      .header('cache-control', isFixed ? 'public, max-age=86400, immutable' : 'no-cache')
      .type(path.endsWith('.json') ? 'application/json; charset=utf-8' : 'application/octet-stream')
      .send(document);
  });
}

const noFile = () =>
  new Problem({
    code: 'wire.tuf_not_found',
    kind: 'not_found',
    message: 'The TUF repository has no such file.',
    hint: 'Start with 1.root.json and timestamp.json; clients find the rest from there.',
  });
