import { Problem } from '#base';
import type { WitnessExchange } from '#ledger';
import { readBody } from './answer.ts';
import { openConnection } from './connection.ts';

const TIMEOUT_MS = 5000;
/** An answer is a few signature lines or a note; an ML-DSA-44 line has 3.3 KiB. */
const ANSWER_MAX_BYTES = 128 * 1024;

/** Requests to witnesses (C2SP tlog-witness) over HTTPS, with the CA that was pinned when the witness was trusted. */
export function createWitnessExchange(): WitnessExchange {
  async function send(
    witness: { url: string; ca: string | null },
    path: string,
    method: 'GET' | 'POST',
    body?: string,
  ) {
    const { origin, pathname } = new URL(witness.url);
    const connection = openConnection({ url: origin, ca: witness.ca ?? undefined });
    try {
      const bytes = body === undefined ? undefined : Buffer.from(body);
      const response = await connection.exchange({
        method,
        target: `${pathname.replace(/\/$/, '')}/${path}`,
        headers: {
          'user-agent': 'waybill',
          accept: 'text/plain',
          ...(bytes ? { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(bytes.byteLength) } : {}),
        },
        ...(bytes ? { body: bytes } : {}),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = (await readBody(response, ANSWER_MAX_BYTES)).toString('utf8');
      return { status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body: text };
    } catch (error) {
      if (Problem.is(error)) throw error;
      throw new Problem({
        code: 'client.witness_broken',
        kind: 'unavailable',
        message: `The answer of the witness at ${witness.url} could not be read to its end.`,
        hint: 'It is asked again by itself; if it stays so, look at the log of that server.',
        cause: error,
      });
    } finally {
      connection.close();
    }
  }
  return {
    post: (witness, path, body) => send(witness, path, 'POST', body),
    get: (witness, path) => send(witness, path, 'GET'),
  };
}
