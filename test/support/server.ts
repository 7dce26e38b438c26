import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Client } from '#client';
import { type Controls, parseServerOptions, type RunningServer, startServer } from '#server';

export interface TestServer extends RunningServer {
  data: string;
  ca: string;
  /** A client without a credential. */
  anonymous: Client;
  /** The owner's client, enrolled through the first start's link. */
  owner: Client;
  ownerToken: string;
  /** A client of anybody, by token. */
  as(token: string): Client;
  stop(options?: { keepData?: boolean }): Promise<void>;
}

/** A real server in this process, on a free port and a fresh data directory. */
export async function startTestServer(options: { controls?: Controls; data?: string } = {}): Promise<TestServer> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'waybill-test-')));
  const server = await startServer(parseServerOptions({ data, listen: '127.0.0.1:0', logLevel: 'error' }), {
    ...(options.controls ? { controls: options.controls } : {}),
  });
  const ca = await readFile(server.caPath, 'utf8');
  const as = (token?: string) => createClient({ url: server.url, ca, ...(token === undefined ? {} : { token }) });
  const ownerToken = await enrol(as(), server.enrolment?.link);
  return {
    ...server,
    data,
    ca,
    anonymous: as(),
    owner: as(ownerToken),
    ownerToken,
    as,
    async stop({ keepData = false } = {}) {
      await server.close();
      if (!keepData) await rm(data, { recursive: true, force: true });
    },
  };
}

/** Enrolment link → short-lived token, through the API. */
export async function enrol(client: Client, link: string | undefined): Promise<string> {
  const { identityContract } = await import('#identity');
  if (link === undefined) throw new Error('there is no enrolment link');
  const { token } = await client.call(identityContract.redeemEnrolment, {
    body: { enrolment: link.slice(link.indexOf('#') + 1) },
  });
  return token;
}
