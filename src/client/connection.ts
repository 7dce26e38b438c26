import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { Problem } from '#base';

/** What a connection is made of. There is no way to switch verification of the certificate off. */
export interface ConnectionOptions {
  /** `https://host[:port]`; anything else is refused. */
  url: string;
  /** PEM of the only certificate authorities to trust. Without it: those that Node trusts. */
  ca?: string | undefined;
}

export interface Exchange {
  method: string;
  /** Path and query. */
  target: string;
  headers: Readonly<Record<string, string>>;
  body?: Uint8Array | Readable;
  signal?: AbortSignal;
  /** Give up when nothing moves for this long, in either direction; for what takes as long as it takes. */
  idleMs?: number;
}

export interface Connection {
  readonly origin: string;
  /** Resolves with the answer's head; its body has not been read. Redirects are answers like any other. */
  exchange(exchange: Exchange): Promise<IncomingMessage>;
  close(): void;
}

/** Enough for a runner that streams logs while it uploads. */
const SOCKETS_MAX = 16;

export function openConnection({ url, ca }: ConnectionOptions): Connection {
  const origin = parseOrigin(url);
  const agent = new Agent({
    keepAlive: true,
    maxSockets: SOCKETS_MAX,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  });
  return {
    origin,
    async exchange(exchange) {
      try {
        return await send(agent, origin, exchange);
      } catch (error) {
        if (Problem.is(error)) throw error;
        throw connectionProblem(origin, error);
      }
    },
    close: () => agent.destroy(),
  };
}

function parseOrigin(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'https:' || parsed.username !== '' || parsed.password !== '' || parsed.search !== '') {
    throw new Problem({
      code: 'client.url_invalid',
      kind: 'invalid',
      message: 'The server address must be an https:// address without a user name or query.',
      hint: 'Give it as https://host or https://host:port.',
    });
  }
  return parsed.origin;
}

async function send(agent: Agent, origin: string, exchange: Exchange): Promise<IncomingMessage> {
  for (;;) {
    const request = httpsRequest(new URL(exchange.target, origin), {
      agent,
      method: exchange.method,
      headers: exchange.headers,
      ...(exchange.signal ? { signal: exchange.signal } : {}),
    });
    const { idleMs } = exchange;
    if (idleMs !== undefined)
      request.setTimeout(idleMs, () => request.destroy(new DOMException('idle', 'TimeoutError')));
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    try {
      if (exchange.body instanceof Readable) pipeBody(exchange.body, request);
      else request.end(exchange.body);
      const [response] = await answered;
      return response;
    } catch (error) {
      // The server closed a kept-alive connection just as we used it; a request that changes nothing is sent once more.
      if (request.reusedSocket && codeOf(error) === 'ECONNRESET' && exchange.method === 'GET') continue;
      throw error;
    }
  }
}

/** A server may refuse before it has read everything (too large, not allowed): then its answer counts, and we stop sending. */
function pipeBody(body: Readable, request: ClientRequest): void {
  body.on('error', (cause) => {
    request.destroy(
      new Problem({
        code: 'client.source_unreadable',
        kind: 'invalid',
        message: 'What was to be sent could not be read to its end.',
        hint: 'Check the file, then send it again. The server keeps nothing of a broken upload.',
        cause,
      }),
    );
  });
  request.on('close', () => body.destroy());
  request.on('response', (response) => {
    if (request.writableFinished) return;
    body.unpipe(request);
    body.destroy();
    response.on('close', () => request.destroy());
  });
  body.pipe(request);
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REVOKED',
  'INVALID_PURPOSE',
  'INVALID_CA',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

function connectionProblem(origin: string, cause: unknown): Problem {
  const code = codeOf(cause);
  if (code !== undefined && UNTRUSTED.has(code)) {
    return new Problem({
      code: 'client.certificate_untrusted',
      kind: 'rejected',
      message: `The certificate of ${origin} cannot be trusted (${code}). Nothing was sent.`,
      hint: 'Check the address, and give the CA certificate of that server with --ca FILE.',
      cause,
    });
  }
  if (cause instanceof Error && /alert protocol version|unsupported protocol/i.test(cause.message)) {
    return new Problem({
      code: 'client.tls_too_old',
      kind: 'rejected',
      message: `${origin} does not speak TLS 1.3. Nothing was sent.`,
      hint: 'Look for a proxy that ends TLS in front of the server, and let it pass the connection through.',
      cause,
    });
  }
  if (cause instanceof Error && cause.name === 'TimeoutError') return timedOut(origin, cause);
  if (cause instanceof Error && cause.name === 'AbortError') {
    const reason: unknown = cause.cause;
    return reason instanceof Error && reason.name === 'TimeoutError'
      ? timedOut(origin, cause)
      : new Problem({
          code: 'client.aborted',
          kind: 'unavailable',
          message: 'The request was given up.',
          hint: 'Start it again when you are ready.',
          cause,
        });
  }
  return new Problem({
    code: 'client.unreachable',
    kind: 'unavailable',
    message: `${origin} cannot be reached${code === undefined ? '' : ` (${code})`}.`,
    hint: 'Check that the server runs and that the address and port are right, then try again.',
    cause,
  });
}

function timedOut(origin: string, cause: unknown): Problem {
  return new Problem({
    code: 'client.timed_out',
    kind: 'unavailable',
    message: `${origin} did not answer in time.`,
    hint: 'Try again; if it stays so, look at the server log.',
    cause,
  });
}

/** For a stream that broke after its head arrived. */
export function streamProblem(origin: string, cause: unknown): Problem {
  return Problem.is(cause) ? cause : connectionProblem(origin, cause);
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
