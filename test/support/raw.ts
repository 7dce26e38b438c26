import { request } from 'node:https';

export interface RawAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
  json<T = unknown>(): T;
}

/** One HTTPS request as a foreign client makes it: any method, header and body, nothing checked. */
export function ask(
  { url, ca }: { url: string; ca: string },
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Uint8Array; json?: unknown } = {},
): Promise<RawAnswer> {
  const body = options.json === undefined ? options.body : JSON.stringify(options.json);
  const headers = {
    ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    ...options.headers,
  };
  const method = options.method ?? (body === undefined ? 'GET' : 'POST');
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), { method, ca, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const bytes = Buffer.concat(chunks);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: bytes,
          json: <T>() => JSON.parse(bytes.toString('utf8')) as T,
        });
      });
    });
    asked.once('error', reject);
    asked.end(body);
  });
}
