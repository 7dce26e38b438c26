import { randomBytes } from 'node:crypto';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { fastify, LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Clock, type Endpoint, limits } from '#base';
import { type Caller, parseNetworks, unauthenticated } from '#identity';
import type { Origin } from '#journal';
import { type Authenticator, createFailureLimit, presentedCredential, requireSameOrigin } from './credential.ts';
import { notFound, sendProblem, toProblem } from './problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; `anonymous` when the request carries no credential. A wrong credential never gets here. */
    caller: Caller;
    origin: Origin;
  }
  interface FastifyContextConfig {
    /** The body is a stream of any length, so that it may take any time. */
    streams?: boolean;
  }
  interface FastifyInstance {
    /** Every endpoint bound so far; the OpenAPI document is made of them. */
    endpoints: Endpoint[];
    /** Aborts when the server stops: whoever waits for something to happen ends his answer. */
    closing: AbortSignal;
  }
}

/** The instance every route is registered on. */
export type App = FastifyInstance<Server>;

export interface AppOptions {
  /** PEM. The server speaks TLS 1.3 and nothing else. */
  tls: { key: string; cert: string };
  publicUrl: string;
  /** Networks whose hosts may talk to this listener at all; others are cut off before any credential is looked at. */
  networks: readonly string[];
  authenticators: readonly Authenticator[];
  /** Paths of protocols that put another issuer's token into Authorization: it is theirs to look at, the caller is anonymous. */
  foreignCredentialPaths?: readonly string[];
  clock: Clock;
  /** A drill switches it off to show what it is for: then older TLS is spoken too. */
  controls?: { tls13: boolean };
  /** Within which a body that is not a stream has to arrive. */
  bodyMs?: number;
  logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug';
}

const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 20_000;
const BODY_MS = 60_000;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 2_000;
/** How long requests under way may take to end when the server is asked to stop. */
const STOP_MS = 10_000;
const SWEEP_MS = 50;

export function createApp(options: AppOptions): App {
  const app = fastify({
    https: {
      ...options.tls,
      minVersion: options.controls?.tls13 === false ? 'TLSv1.2' : 'TLSv1.3',
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: REQUEST_TIMEOUT_MS,
    },
    // Bodies that stream set no limit on time but on size; slow headers are cut off above, slow other bodies below.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    bodyLimit: limits.jsonBodyBytes,
    routerOptions: { maxParamLength: 300, ignoreTrailingSlash: false },
    trustProxy: false,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    genReqId: () => `req_${randomBytes(8).toString('hex')}`,
    logger: { level: options.logLevel, redact: ['req.headers', 'res.headers'] },
    logController: new LogController({ disableRequestLogging: true }),
  }) as unknown as App;
  app.server.maxConnections = CONNECTIONS_MAX;
  app.decorate('endpoints', []);
  stopGracefully(app);
  hurryBodies(app, options.bodyMs ?? BODY_MS);
  guardNetwork(app, options.networks);
  identifyCallers(app, options);
  addHeaders(app);
  app.setErrorHandler((error, request, reply) => sendProblem(reply, toProblem(error, request)));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, notFound()));
  return app;
}

/** A body that is parsed is small: whoever trickles it to hold a connection is cut off. */
function hurryBodies(app: App, ms: number): void {
  app.addHook('onRequest', async ({ raw, routeOptions }) => {
    if (routeOptions.config.streams === true || raw.complete) return;
    const timer = setTimeout(() => raw.destroy(), ms).unref();
    raw.once('end', () => clearTimeout(timer));
    raw.once('close', () => clearTimeout(timer));
  });
}

/** Requests under way are finished, streams that would never end are ended, and what takes too long is cut off. */
function stopGracefully(app: App): void {
  const closing = new AbortController();
  app.decorate('closing', closing.signal);
  // Node counts a connection that never asked for anything as busy.
  const silent = new Set<Socket>();
  app.server.on('secureConnection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  app.server.on('request', ({ socket }: { socket: Socket }) => silent.delete(socket));
  let sweep: NodeJS.Timeout | undefined;
  let force: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    closing.abort();
    for (const socket of silent) socket.destroy();
    sweep = setInterval(() => app.server.closeIdleConnections(), SWEEP_MS).unref();
    force = setTimeout(() => app.server.closeAllConnections(), STOP_MS);
  });
  app.addHook('onClose', async () => {
    clearInterval(sweep);
    clearTimeout(force);
  });
}

function guardNetwork(app: App, networks: readonly string[]): void {
  const admits = parseNetworks(networks);
  app.server.on('connection', (socket: Socket) => {
    if (!admits(socket.remoteAddress)) socket.destroy();
  });
}

function identifyCallers(
  app: App,
  { authenticators, publicUrl, clock, foreignCredentialPaths = [] }: AppOptions,
): void {
  const failures = createFailureLimit(() => clock.now());
  app.decorateRequest('caller');
  app.decorateRequest('origin');
  app.addHook('onRequest', async (request) => {
    const address = request.socket.remoteAddress ?? '';
    request.origin = { kind: 'http', address, requestId: request.id };
    request.caller = anonymous(request.origin);
    if (foreignCredentialPaths.includes(request.url)) return;
    const presented = presentedCredential(request);
    if (!presented) return;
    const caller = await firstAnswer(authenticators, presented.token, request.origin);
    if (caller === undefined) {
      // A browser keeps an ended session's cookie; that visitor is anonymous, not an attacker.
      if (presented.from === 'cookie') return;
      // Only wrong credentials are counted and held up: whoever has a valid one is not locked out by others.
      failures.note(address);
      failures.check(address);
      throw unauthenticated();
    }
    if (presented.from === 'cookie') requireSameOrigin(request, publicUrl);
    request.caller = caller;
  });
}

async function firstAnswer(
  authenticators: readonly Authenticator[],
  token: string,
  origin: Origin,
): Promise<Caller | undefined> {
  for (const authenticate of authenticators) {
    const caller = await authenticate(token, origin);
    if (caller) return caller;
  }
  return undefined;
}

function anonymous(origin: Origin): Caller {
  return {
    principal: 'anonymous',
    kind: 'anonymous',
    name: 'anonymous',
    origin,
    credential: { type: 'none', id: 'none' },
  };
}

/** The strictest defaults; a page widens what it needs. */
function addHeaders(app: App): void {
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cache-control': 'no-store',
    });
  });
}
