import { request } from 'node:https';
import { rootCertificates } from 'node:tls';
import { parseJson, Problem } from '#base';

/** Reads one JSON document of an outside issuer: HTTPS only, no redirects, small, soon. */

const DOCUMENT_BYTES_MAX = 256 * 1024;
const TIMEOUT_MS = 5_000;

export type FetchDocument = (url: string, ca: string | null) => Promise<unknown>;

/** `ca`: PEM of the only authority trusted for this issuer; without it those that Node knows. `identity.issuer_unreachable`. */
export const fetchDocument: FetchDocument = async (url, ca) => {
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:') throw unreachable(url, 'it is not an https address');
  return await new Promise<unknown>((resolve, reject) => {
    const asked = request(url, {
      ca: ca ?? [...rootCertificates],
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { accept: 'application/json', 'user-agent': 'waybill' },
      agent: false,
    });
    asked.once('error', (cause) => reject(unreachable(url, 'it cannot be reached', cause)));
    asked.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const fail = (reason: string, cause?: unknown) => {
        reject(unreachable(url, reason, cause));
        asked.destroy();
      };
      if (response.statusCode !== 200) return fail(`it answers with status ${response.statusCode ?? 0}`);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > DOCUMENT_BYTES_MAX) fail('its answer is too large');
        else chunks.push(chunk);
      });
      response.once('error', (cause) => fail('its answer broke off', cause));
      response.once('end', () => {
        try {
          resolve(parseJson(Buffer.concat(chunks).toString('utf8'), DOCUMENT_BYTES_MAX));
        } catch (cause) {
          reject(unreachable(url, 'its answer is not JSON', cause));
        }
      });
    });
    asked.end();
  });
};

const unreachable = (url: string, reason: string, cause?: unknown) =>
  new Problem({
    code: 'identity.issuer_unreachable',
    kind: 'unavailable',
    message: `The keys of an issuer cannot be read from ${url.slice(0, 300)}: ${reason}.`,
    hint: 'Check the address and the CA of the issuer, or give its key set inline.',
    ...(cause === undefined ? {} : { cause }),
  });
