import { identityContract } from '#identity';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { renderTable, renderTime } from './output.ts';
import { say } from './terminal.ts';

const UNIT_SECONDS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** `30m`, `12h`, `7d` → seconds. */
export function parseDuration(text: string): number {
  const match = /^([1-9]\d{0,4})([mhd])$/.exec(text);
  if (!match) throw new UsageError(`"${text}" is not a time.`, 'Write it as 30m, 12h or 7d.');
  return Number(match[1]) * (UNIT_SECONDS[match[2] ?? ''] ?? 0);
}

/** stdout carries the token and nothing else, so that it can go straight into a file. */
export const createToken: Run = async (invocation) => {
  const [project, ttl] = [invocation.flag('project'), invocation.flag('for')];
  const [permissions, networks] = [invocation.list('permission'), invocation.list('network')];
  const body = {
    label: invocation.required('label'),
    ...(ttl === undefined ? {} : { ttlSeconds: parseDuration(ttl) }),
    ...(project === undefined ? {} : { project }),
    ...(permissions.length > 0 ? { permissions: [...permissions] } : {}),
    ...(networks.length > 0 ? { networks: [...networks] } : {}),
  };
  const issued = await withClient(invocation, (client) => client.call(identityContract.createToken, { body }));
  if (!invocation.json) {
    say(invocation.terminal, `Token ${issued.id}, until ${renderTime(issued.expiresAt)}. It is shown once:`);
  }
  return { document: issued, text: issued.token };
};

export const listTokens: Run = async (invocation) => {
  const page = await withClient(invocation, (client) => client.call(identityContract.listTokens));
  type Token = (typeof page.items)[number];
  const columns = [
    { title: 'ID', cell: (token: Token) => token.id },
    { title: 'PURPOSE', cell: (token: Token) => token.purpose },
    { title: 'LABEL', cell: (token: Token) => token.label },
    { title: 'EXPIRES', cell: (token: Token) => renderTime(token.expiresAt) },
    { title: 'LAST USED', cell: (token: Token) => renderTime(token.lastUsedAt) },
    { title: 'FROM', cell: (token: Token) => token.lastAddress },
  ];
  const text = renderTable(invocation.terminal, page.items, columns, 'No live token.');
  return { document: page, text };
};

export const revokeToken: Run = async (invocation) => {
  const token = invocation.required('token');
  const done = await withClient(invocation, (client) =>
    client.call(identityContract.revokeToken, { params: { token } }),
  );
  return { document: done, text: `Ended ${token}.` };
};
