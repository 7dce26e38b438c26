import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { identityContract, parseSshPublicKey } from '#identity';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { renderFields, renderTable, renderTime } from './output.ts';

export const enrolKey: Run = async (invocation) => {
  const file = resolve(invocation.required('file'));
  const publicKey = (await readFile(file, 'utf8')).trim();
  // Looked at here first: a private key given by mistake must not leave this machine.
  parseSshPublicKey(publicKey);
  const label = invocation.flag('label');
  const body = { publicKey, ...(label === undefined ? {} : { label }) };
  const key = await withClient(invocation, (client) => client.call(identityContract.enrolKey, { body }));
  const text = [
    renderFields(invocation.terminal, [
      ['enrolled', key.fingerprint],
      ['type', key.keyType],
      ['label', key.label],
    ]),
    `Sign with it: git config gpg.format ssh && git config commit.gpgsign true && git config user.signingkey "${file}"`,
  ].join('\n');
  return { document: key, text };
};

export const listKeys: Run = async (invocation) => {
  const page = await withClient(invocation, (client) => client.call(identityContract.listKeys));
  type Key = (typeof page.items)[number];
  const columns = [
    { title: 'FINGERPRINT', cell: (key: Key) => key.fingerprint },
    { title: 'TYPE', cell: (key: Key) => key.keyType },
    { title: 'LABEL', cell: (key: Key) => key.label },
    { title: 'ENROLLED', cell: (key: Key) => renderTime(key.enrolledAt) },
    { title: 'REVOKED', cell: (key: Key) => renderTime(key.revokedAt) },
  ];
  const empty = 'No signing key. Next: waybill key enrol ~/.ssh/id_ed25519.pub';
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, empty) };
};

export const revokeKey: Run = async (invocation) => {
  const fingerprint = invocation.required('fingerprint');
  const reason = invocation.flag('reason');
  const body = { fingerprint, ...(reason === undefined ? {} : { reason }) };
  const done = await withClient(invocation, (client) => client.call(identityContract.revokeKey, { body }));
  return { document: done, text: `Revoked ${fingerprint}: what it signs from now on is refused.` };
};
