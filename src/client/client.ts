import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { type Digest, type Endpoint, isDigest, limits, parseJson, parseWith, Problem } from '#base';
import { ANSWER_MAX_BYTES, isSuccess, problemOf, readBody } from './answer.ts';
import { type Connection, openConnection, streamProblem } from './connection.ts';
import { createVerifyingStream } from './content.ts';
import { createEventParser, type ServerEvent } from './events.ts';
import { type CallInput, type LooseInput, targetOf } from './request.ts';

/** One question, one answer; streams are limited by silence instead. */
const FETCH_TIMEOUT_MS = 30_000;
/** A transfer in which nothing moves for so long is dead. */
const IDLE_MAX_MS = 300_000;
/** The server sends a comment every 15 s on an event stream; three missed ones mean that it is gone. */
const SILENCE_MAX_MS = 50_000;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 10_000;

export interface ClientOptions {
  /** `https://host:port` of the server. */
  url: string;
  /** PEM of the CA to trust, and no other. */
  ca?: string | undefined;
  /** Bearer token, or what gives the current one. Sent to that server only, in a header only. */
  token?: string | (() => string | undefined) | undefined;
  fetchTimeoutMs?: number | undefined;
}

type Args<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> =
  object extends CallInput<P, Q, B> ? [input?: CallInput<P, Q, B>] : [input: CallInput<P, Q, B>];

export interface UploadContent {
  content: Uint8Array | Readable;
  /** Bytes, when known: the server can then refuse before anything is sent. */
  size?: number | undefined;
  mediaType?: string;
  headers?: Readonly<Record<string, string>>;
}

export interface DownloadOptions {
  /** The stream fails unless the bytes have this digest. Without it the digest that the server claims is demanded. */
  digest?: Digest | undefined;
  maxBytes?: number | undefined;
  headers?: Readonly<Record<string, string>>;
}

export interface Download {
  /** Fails at its end unless digest and length are right; keeps the last chunk back until then. */
  stream: Readable;
  size: number | undefined;
  digest: Digest | undefined;
  mediaType: string | undefined;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface EventOptions {
  /** Resume after this event id. */
  after?: string;
  signal?: AbortSignal;
  /** How often to reconnect in a row without an event in between before giving up. */
  attemptsMax?: number;
}

/** Typed calls to one server. Every failure is a `Problem`; an answer that does not fit its schema is one too. */
export interface Client {
  readonly origin: string;
  call<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(
    endpoint: Endpoint<P, Q, B, R>,
    ...args: Args<P, Q, B>
  ): Promise<z.output<R>>;
  upload<P extends z.ZodType, Q extends z.ZodType, R extends z.ZodType>(
    endpoint: Endpoint<P, Q, z.ZodNever, R>,
    input: CallInput<P, Q, z.ZodNever>,
    content: UploadContent,
  ): Promise<z.output<R>>;
  download<P extends z.ZodType, Q extends z.ZodType>(
    endpoint: Endpoint<P, Q, z.ZodNever, z.ZodType>,
    input: CallInput<P, Q, z.ZodNever>,
    options?: DownloadOptions,
  ): Promise<Download>;
  /** Until the server says `end`; reconnects from the last event id when the connection breaks. */
  events<P extends z.ZodType, Q extends z.ZodType>(
    endpoint: Endpoint<P, Q, z.ZodNever, z.ZodType>,
    input: CallInput<P, Q, z.ZodNever>,
    options?: EventOptions,
  ): AsyncGenerator<ServerEvent, void, undefined>;
  close(): void;
}

export function createClient(options: ClientOptions): Client {
  const connection = openConnection(options);
  const context: Context = { connection, token: options.token, timeoutMs: options.fetchTimeoutMs ?? FETCH_TIMEOUT_MS };
  return {
    origin: connection.origin,
    call: (endpoint, ...[input]) => call(context, endpoint, input ?? {}) as never,
    upload: (endpoint, input, content) => upload(context, endpoint, input as LooseInput, content) as never,
    download: (endpoint, input, settings) => download(context, endpoint, input as LooseInput, settings ?? {}),
    events: (endpoint, input, settings) => events(context, endpoint, input as LooseInput, settings ?? {}),
    close: () => connection.close(),
  };
}

interface Context {
  connection: Connection;
  token: ClientOptions['token'];
  timeoutMs: number;
}

async function call(context: Context, endpoint: Endpoint, input: LooseInput): Promise<unknown> {
  const body = input.body === undefined ? undefined : Buffer.from(JSON.stringify(input.body));
  const signal = AbortSignal.timeout(context.timeoutMs);
  const response = await context.connection.exchange({
    method: endpoint.method,
    target: targetOf(endpoint, input),
    headers: { ...headersOf(context, 'application/json'), ...(body ? jsonHeaders(body) : {}) },
    ...(body ? { body } : {}),
    signal,
  });
  return readAnswer(context, endpoint, response);
}

function jsonHeaders(body: Buffer): Record<string, string> {
  return { 'content-type': 'application/json', 'content-length': String(body.byteLength) };
}

async function upload(
  context: Context,
  endpoint: Endpoint,
  input: LooseInput,
  { content, size, mediaType, headers }: UploadContent,
): Promise<unknown> {
  const length = content instanceof Readable ? size : content.byteLength;
  const response = await context.connection.exchange({
    method: endpoint.method,
    target: targetOf(endpoint, input),
    headers: {
      ...headersOf(context, 'application/json'),
      'content-type': mediaType ?? 'application/octet-stream',
      ...(length === undefined ? {} : { 'content-length': String(length) }),
      ...headers,
    },
    body: content,
    idleMs: IDLE_MAX_MS,
  });
  return readAnswer(context, endpoint, response);
}

async function readAnswer(context: Context, endpoint: Endpoint, response: IncomingMessage): Promise<unknown> {
  try {
    if (!isSuccess(response)) throw await problemOf(response);
    const text = (await readBody(response, ANSWER_MAX_BYTES)).toString('utf8');
    const value = text === '' ? undefined : parseJson(text, ANSWER_MAX_BYTES);
    return parseWith(endpoint.response, value, 'client.answer_invalid');
  } catch (error) {
    if (Problem.is(error) && error.code === 'client.answer_invalid') throw versionProblem(endpoint, error);
    throw streamProblem(context.connection.origin, error);
  }
}

function versionProblem(endpoint: Endpoint, cause: Problem): Problem {
  return new Problem({
    code: 'client.answer_invalid',
    kind: 'rejected',
    message: `The server's answer to ${endpoint.name} does not have the promised shape: ${cause.message}`,
    hint: 'Check with `waybill doctor` that this program and the server have the same version.',
    ...(cause.details ? { details: cause.details } : {}),
  });
}

async function download(
  context: Context,
  endpoint: Endpoint,
  input: LooseInput,
  { digest, maxBytes, headers }: DownloadOptions,
): Promise<Download> {
  const response = await context.connection.exchange({
    method: endpoint.method,
    target: targetOf(endpoint, input),
    headers: { ...headersOf(context, '*/*'), ...headers },
    idleMs: IDLE_MAX_MS,
  });
  if (!isSuccess(response)) throw await problemOf(response);
  const size = sizeOf(response);
  const expected = digest ?? claimedDigest(response);
  const stream = createVerifyingStream({ digest: expected, size, maxBytes: maxBytes ?? limits.artifactBytes });
  response.on('error', (error) => stream.destroy(streamProblem(context.connection.origin, error)));
  // A stream that is given up takes its connection with it.
  stream.on('close', () => response.destroy());
  response.pipe(stream);
  const mediaType = response.headers['content-type'];
  return { stream, size, digest: expected, mediaType, headers: response.headers };
}

function sizeOf(response: IncomingMessage): number | undefined {
  const length = response.headers['content-length'];
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** The server's own word, in the header of OCI or as a strong entity tag. */
function claimedDigest(response: IncomingMessage): Digest | undefined {
  const claims = [response.headers['docker-content-digest'], response.headers.etag?.replaceAll('"', '')];
  return claims.find(isDigest);
}

async function* events(
  context: Context,
  endpoint: Endpoint,
  input: LooseInput,
  { after, signal, attemptsMax = 10 }: EventOptions,
): AsyncGenerator<ServerEvent, void, undefined> {
  let last = after;
  let attempts = 0;
  let retryMs = RETRY_MIN_MS;
  while (!isAborted(signal)) {
    try {
      for await (const event of connectEvents(context, endpoint, input, last, signal)) {
        [attempts, retryMs] = [0, RETRY_MIN_MS];
        if (event.id !== '') last = event.id;
        if (event.event === 'end') return;
        yield event;
      }
    } catch (error) {
      if (isAborted(signal)) return;
      const problem = streamProblem(context.connection.origin, error);
      if (problem.kind !== 'unavailable' || attempts >= attemptsMax) throw problem;
    }
    attempts += 1;
    if (attempts > attemptsMax) throw endedEarly(context.connection.origin);
    await sleep(retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

async function* connectEvents(
  context: Context,
  endpoint: Endpoint,
  input: LooseInput,
  last: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ServerEvent, void, undefined> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
  try {
    const response = await context.connection.exchange({
      method: endpoint.method,
      target: targetOf(endpoint, input),
      headers: { ...headersOf(context, 'text/event-stream'), ...(last === undefined ? {} : { 'last-event-id': last }) },
      signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
    });
    if (!isSuccess(response)) throw await problemOf(response);
    const parser = createEventParser();
    response.setEncoding('utf8');
    for await (const text of response as AsyncIterable<string>) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
      yield* parser.push(text);
    }
  } finally {
    clearTimeout(timer);
  }
}

function endedEarly(origin: string): Problem {
  return new Problem({
    code: 'client.stream_ended',
    kind: 'unavailable',
    message: `${origin} kept ending the stream before it was complete.`,
    hint: 'Try again; if it stays so, look at the server log.',
  });
}

function headersOf(context: Context, accept: string): Record<string, string> {
  const token = typeof context.token === 'function' ? context.token() : context.token;
  return {
    accept,
    'user-agent': 'waybill',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
}
