import type { IncomingMessage } from 'node:http';
import { Problem, type ProblemKind } from '#base';

/** A JSON answer. A page of 200 items with their checks stays far below. */
export const ANSWER_MAX_BYTES = 32 * 1024 * 1024;

const KINDS: Readonly<Record<number, ProblemKind>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  405: 'invalid',
  409: 'conflict',
  410: 'not_found',
  412: 'conflict',
  413: 'limited',
  415: 'invalid',
  422: 'rejected',
  429: 'limited',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};

const PROBLEM_KINDS: ReadonlySet<string> = new Set(Object.values(KINDS));
/** What a server may say about itself is shown to people: keep it to a readable length. */
const TEXT_MAX_CHARS = 4000;

/** Reads a whole answer; more than `maxBytes` ends the connection. */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > maxBytes) {
      response.destroy();
      throw new Problem({
        code: 'client.answer_too_large',
        kind: 'limited',
        message: `The server's answer is larger than ${maxBytes} bytes.`,
        hint: 'Ask for a smaller page with --limit.',
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function isSuccess(response: IncomingMessage): boolean {
  const status = response.statusCode ?? 0;
  return status >= 200 && status < 300;
}

/** An answer that is not a success → the problem it describes (RFC 9457), or the best that its status allows to say. */
export async function problemOf(response: IncomingMessage): Promise<Problem> {
  const status = response.statusCode ?? 0;
  const body = await readBody(response, ANSWER_MAX_BYTES).catch(() => Buffer.alloc(0));
  const fields = parseProblem(response.headers['content-type'], body);
  const requestId = text(fields['requestId']) ?? text(response.headers['x-request-id']);
  const details = Object.fromEntries(Object.entries(fields).filter(([name]) => !STANDARD_MEMBERS.has(name)));
  return new Problem({
    code: text(fields['code']) ?? (status >= 500 ? 'client.server_failed' : 'client.answer_unexpected'),
    kind: kindOf(status, fields['kind']),
    message: text(fields['detail']) ?? text(fields['title']) ?? `The server answered with status ${status}.`,
    hint: text(fields['hint']) ?? hintOf(status),
    details: { ...details, status, ...(requestId === undefined ? {} : { requestId }) },
  });
}

/** RFC 9457 §3.1 and ours; every other member is a detail of that problem. */
const STANDARD_MEMBERS = new Set([
  'type',
  'title',
  'status',
  'detail',
  'instance',
  'code',
  'kind',
  'hint',
  'requestId',
]);

function kindOf(status: number, claimed: unknown): ProblemKind {
  if (typeof claimed === 'string' && PROBLEM_KINDS.has(claimed)) return claimed as ProblemKind;
  return KINDS[status] ?? (status >= 500 ? 'unavailable' : 'invalid');
}

function hintOf(status: number): string {
  if (status === 401) return 'Log in with `waybill login`.';
  if (status >= 500) return 'Look at the server log; the same request id stands there.';
  return 'Check that the address is that of a Waybill server, and that both have the same version.';
}

function parseProblem(type: string | undefined, body: Buffer): Readonly<Record<string, unknown>> {
  if (!/^application\/(problem\+)?json\b/.test(type ?? '')) return {};
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, TEXT_MAX_CHARS) : undefined;
}
