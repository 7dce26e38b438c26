import { Problem } from '#base';
import { type Client, createClient } from '#client';
import { hasTokenShape, identityContract, tokenPrefixes } from '#identity';
import type { Invocation, Run } from './command.ts';
import { readCa, withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { openHome } from './home.ts';
import { renderFields } from './output.ts';
import { readStdin, say } from './terminal.ts';

/** Takes the secret from stdin alone: an argument would stand in the process list and the shell's history. */
export const login: Run = async (invocation) => {
  if (invocation.terminal.stdin.isTTY === true) {
    say(invocation.terminal, 'Paste the enrolment link or token, then press Enter:');
  }
  const { token: secret, server: linked } = parseSecret(await readStdin(invocation.terminal));
  const server = invocation.flag('server') ?? invocation.terminal.env['WAYBILL_SERVER'] ?? linked;
  if (server === undefined) throw new UsageError('--server URL is missing.', 'Give the address of the server.');
  const home = openHome(invocation.terminal);
  const remembered = await home.login();
  const url = new URL(server).origin;
  const ca = await readCa(invocation, remembered?.server === url ? remembered.ca : undefined);

  const token = secret.startsWith(tokenPrefixes.enrolment) ? await redeem(url, ca, secret) : secret;
  const client = createClient({ url, ca, token });
  try {
    const who = await client.call(identityContract.whoami);
    await home.saveLogin({ server: url, ca }, token);
    return {
      document: { server: url, principal: who.principal, name: who.name, kind: who.kind },
      text: `Logged in to ${url} as ${who.name}.`,
    };
  } finally {
    client.close();
  }
};

async function redeem(url: string, ca: string | undefined, enrolment: string): Promise<string> {
  const client = createClient({ url, ca });
  try {
    return (await client.call(identityContract.redeemEnrolment, { body: { enrolment } })).token;
  } finally {
    client.close();
  }
}

/** A bare token, or a link with the enrolment in its fragment. */
export function parseSecret(text: string): { token: string; server: string | undefined } {
  const link = URL.canParse(text) ? new URL(text) : undefined;
  const token = link?.protocol === 'https:' ? link.hash.slice(1) : text;
  if (!hasTokenShape(token)) {
    throw new Problem({
      code: 'cli.token_malformed',
      kind: 'invalid',
      message: 'What came on stdin is neither an enrolment link nor a token.',
      hint: 'Paste the whole link, with what follows the # sign, or the whole token.',
    });
  }
  return { token, server: link?.protocol === 'https:' ? link.origin : undefined };
}

/** Ends the token on the server too, when that can be reached; forgets it here in any case. */
export const logout: Run = async (invocation) => {
  const home = openHome(invocation.terminal);
  if ((await home.login()) === undefined) return { document: { loggedOut: false }, text: 'You were not logged in.' };
  const ended = await endToken(invocation).catch(() => false);
  await home.forgetLogin();
  const text = ended
    ? 'Logged out. The token was ended on the server.'
    : 'Logged out here. The server could not be asked to end the token; it ends by itself when it expires.';
  return { document: { loggedOut: true, tokenEnded: ended }, text };
};

async function endToken(invocation: Invocation): Promise<boolean> {
  return withClient(invocation, async (client) => {
    const { credential } = await client.call(identityContract.whoami);
    await client.call(identityContract.revokeToken, { params: { token: credential.id } });
    return true;
  });
}

export const whoami: Run = async (invocation) => {
  const { server, ...who } = await withClient(invocation, async (client: Client) => ({
    server: client.origin,
    ...(await client.call(identityContract.whoami)),
  }));
  return {
    document: { server, ...who },
    text: renderFields(invocation.terminal, [
      ['server', server],
      ['name', who.name],
      ['kind', who.kind],
      ['principal', who.principal],
      ['credential', `${who.credential.type} ${who.credential.id}`],
    ]),
  };
};
