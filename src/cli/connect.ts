import { readFile } from 'node:fs/promises';
import { Problem } from '#base';
import { type Client, createClient } from '#client';
import type { Invocation } from './command.ts';
import { openHome } from './home.ts';

/** A client for the server that a command is meant for: `--server`, else the environment, else the login. */
export async function connect(invocation: Invocation, fetchTimeoutMs?: number): Promise<Client> {
  const { env } = invocation.terminal;
  const home = openHome(invocation.terminal);
  const login = await home.login();
  const server = invocation.flag('server') ?? env['WAYBILL_SERVER'] ?? login?.server;
  if (server === undefined) {
    throw new Problem({
      code: 'cli.not_logged_in',
      kind: 'unauthenticated',
      message: 'No server is known.',
      hint: 'Run `waybill login --server URL --ca FILE` and paste the enrolment link or token.',
    });
  }
  const ca = await readCa(invocation, server === login?.server ? login.ca : undefined);
  // A stored token is meant for one server; it is not sent to another because somebody typed another address.
  const own = server === login?.server || env['WAYBILL_TOKEN_FILE'] !== undefined;
  const token = own ? await home.token() : undefined;
  if (token === undefined) {
    throw new Problem({
      code: 'cli.not_logged_in',
      kind: 'unauthenticated',
      message: `You are not logged in to ${server}.`,
      hint: `Run \`waybill login --server ${server}\` and paste the enrolment link or token.`,
    });
  }
  return createClient({ url: server, ca, token, fetchTimeoutMs });
}

/** PEM of `--ca`, of WAYBILL_CA, or what the login remembers. */
export async function readCa(invocation: Invocation, remembered?: string): Promise<string | undefined> {
  const file = invocation.flag('ca') ?? invocation.terminal.env['WAYBILL_CA'];
  if (file === undefined) return remembered;
  const pem = await readFile(file, 'utf8');
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem;
  throw new Problem({
    code: 'cli.ca_invalid',
    kind: 'invalid',
    message: `${file} is not a PEM certificate.`,
    hint: 'Copy ca.pem from the data directory of the server.',
  });
}

/** One question to the server, with the connection closed after it. */
export async function withClient<T>(
  invocation: Invocation,
  ask: (client: Client) => Promise<T>,
  fetchTimeoutMs?: number,
): Promise<T> {
  const client = await connect(invocation, fetchTimeoutMs);
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}
