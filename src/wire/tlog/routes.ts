import type { App } from '#http';
import type { Identity } from '#identity';
import type { TileLog } from '#ledger';
import { unauthenticated } from '#identity';
import { Problem } from '#base';

const CHECKPOINT_SECONDS = 1;
const IMMUTABLE = 'private, max-age=31536000, immutable';

/** C2SP tlog-tiles over HTTP: `/logs/<log>/checkpoint` and `/logs/<log>/tile/…`, for whoever may read the ledger. */
export function registerTileRoutes(
  app: App,
  { identity, logs }: { identity: Identity; logs: Readonly<Record<string, TileLog>> },
): void {
  app.get<{ Params: { log: string; '*': string } }>('/logs/:log/*', async (request, reply) => {
    if (request.caller.kind === 'anonymous') throw unauthenticated();
    await identity.require(request.caller, 'ledger:read');
    const path = request.params['*'];
    const { log } = request.params;
    const bytes = Object.hasOwn(logs, log) ? await logs[log]?.tileBytes(path) : undefined;
    if (!bytes) throw noTile();
    const isCheckpoint = path === 'checkpoint';
    return await reply
      .header('cache-control', isCheckpoint ? `private, max-age=${CHECKPOINT_SECONDS}` : IMMUTABLE)
      .type(isCheckpoint ? 'text/plain; charset=utf-8' : 'application/octet-stream')
      .send(bytes);
  });
}

const noTile = () =>
  new Problem({
    code: 'wire.tile_not_found',
    kind: 'not_found',
    message: 'The log has no such tile, or no checkpoint implies it yet.',
    hint: 'Read the checkpoint first, and ask only for tiles that its size implies.',
  });
