import type { FastifyReply } from 'fastify';
import type { App } from './app.ts';

export interface ServerEvent {
  /** Resumes here: the client sends it back as Last-Event-ID. */
  id: string;
  event?: string;
  data: string;
}

const KEEP_ALIVE_MS = 15_000;

/** Sends server-sent events until the source ends or the client goes; a comment keeps idle connections open. */
export async function sendEvents(reply: FastifyReply, events: AsyncIterable<ServerEvent>): Promise<void> {
  const { raw, server } = reply;
  const { closing } = server as unknown as App;
  reply.hijack();
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
  });
  raw.write(': open\n\n');
  const keepAlive = setInterval(() => raw.write(': still here\n\n'), KEEP_ALIVE_MS);
  try {
    for await (const event of events) {
      if (raw.destroyed) break;
      const lines = event.data.split('\n').map((line) => `data: ${line}\n`);
      const name = event.event === undefined ? '' : `event: ${event.event}\n`;
      if (!raw.write(`id: ${event.id}\n${name}${lines.join('')}\n`)) await drained(raw);
    }
    // Cut short by a stop of the server, the stream has not ended: the client resumes where it was.
    if (!raw.destroyed && !closing.aborted) raw.write('event: end\ndata: end\n\n');
  } catch (error) {
    reply.log.error({ err: error }, 'an event stream broke off');
  } finally {
    clearInterval(keepAlive);
    raw.end();
  }
}

function drained(raw: FastifyReply['raw']): Promise<void> {
  return new Promise((resolve) => {
    raw.once('drain', resolve);
    raw.once('close', resolve);
  });
}
