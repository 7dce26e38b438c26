import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  exportTuf,
  importTuf,
  type Metadata,
  rotateTrust,
  showTrust,
  showTuf,
  signMetadata,
  tufKey,
  trustParts,
} from '#attest';
import { parseJson } from '#base';
import { identityContract as contract, type IssuerKind, issuerKinds } from '#identity';
import type { Invocation, Outcome, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { replaceFile } from './home.ts';
import { renderChecks, renderFields, renderTable, renderTime } from './output.ts';

const FILE_CHARS_MAX = 200_000;

export const showParts: Run = async (invocation) => {
  const trust = await withClient(invocation, (client) => client.call(showTrust));
  const rows = trustParts.flatMap((part) => trust.parts[part].map((generation) => ({ part, ...generation })));
  const table = renderTable(
    invocation.terminal,
    rows,
    [
      { title: 'part', cell: (row) => row.part },
      { title: 'generation', cell: (row) => String(row.generation) },
      { title: 'from', cell: (row) => renderTime(row.startsAt) },
      { title: 'until', cell: (row) => (row.endsAt === null ? 'in use' : renderTime(row.endsAt)) },
    ],
    '',
  );
  const alerts = trust.alerts.map(({ at, code, message }) => `! ${renderTime(at)} ${code}: ${message}`);
  return { document: trust, text: [table, ...alerts].join('\n'), exit: trust.alerts.length === 0 ? 'yes' : 'no' };
};

export const rotatePart: Run = async (invocation) => {
  const part = trustParts.find((one) => one === invocation.required('part'));
  if (!part) throw new UsageError('There is no such part.', `Name one of ${trustParts.join(', ')}.`);
  const body = { part, reason: invocation.flag('reason') ?? '', compromised: invocation.isSet('compromised') };
  const rotated = await withClient(invocation, (client) => client.call(rotateTrust, { body }));
  const advice =
    'Give out the new trusted root: waybill trust root. Clients of the TUF repository find it by themselves.';
  return { document: rotated, text: `Generation ${rotated.generation} of ${part} is in use.\n${advice}` };
};

export const manageIssuers: Run = async (invocation) => {
  const action = actionOf(invocation, ['list', 'add', 'drop']);
  if (action === 'list') {
    const page = await withClient(invocation, (client) => client.call(contract.listIssuers));
    const text = renderTable(
      invocation.terminal,
      page.items,
      [
        { title: 'issuer', cell: (row) => row.issuer },
        { title: 'kind', cell: (row) => row.kind },
        { title: 'keys', cell: (row) => row.keys.from },
      ],
      'No outside issuer is trusted.',
    );
    return { document: page, text };
  }
  const issuer = named(invocation, 'issuer');
  if (action === 'drop') {
    await withClient(invocation, (client) => client.call(contract.dropIssuer, { body: { issuer } }));
    return { document: { issuer }, text: `${issuer} is trusted no longer.` };
  }
  const maxAge = invocation.flag('max-age');
  const body = {
    issuer,
    kind: issuerKinds.find((kind) => kind === invocation.flag('kind')) ?? ('generic' satisfies IssuerKind),
    keys: await keysOf(invocation),
    ...(maxAge === undefined ? {} : { maxAgeSeconds: Number(maxAge) }),
  };
  await withClient(invocation, (client) => client.call(contract.trustIssuer, { body }));
  return {
    document: body,
    text: `${issuer} is trusted. Say which of its tokens are believed: waybill trust rule set.`,
  };
};

async function keysOf(invocation: Invocation) {
  const file = invocation.flag('keys');
  const ca = invocation.flag('issuer-ca');
  const pem = ca === undefined ? null : await readFile(ca, 'utf8');
  const url = invocation.flag('keys-url');
  if (url !== undefined) return { from: 'address' as const, url, ca: pem };
  if (file === undefined) return { from: 'discovery' as const, ca: pem };
  const { keys } = parseJson(await readFile(file, 'utf8'), FILE_CHARS_MAX) as { keys?: unknown };
  if (!Array.isArray(keys))
    throw new UsageError(`${file} is not a key set.`, 'Give a JSON Web Key Set: {"keys": [ … ]}.');
  return { from: 'inline' as const, keys };
}

export const manageRules: Run = async (invocation) => {
  const action = actionOf(invocation, ['list', 'set', 'drop', 'check']);
  if (action === 'list') {
    const page = await withClient(invocation, (client) => client.call(contract.listRules));
    const text = renderTable(
      invocation.terminal,
      page.items,
      [
        { title: 'rule', cell: (row) => row.name },
        { title: 'generation', cell: (row) => String(row.generation) },
        { title: 'issuer', cell: (row) => row.issuer },
        { title: 'audience', cell: (row) => row.audience },
        { title: 'conditions', cell: (row) => Object.keys(row.when).join(', ') },
      ],
      'There are no trust rules.',
    );
    return { document: page, text };
  }
  if (action === 'check') return await checkToken(invocation);
  const name = named(invocation, 'name');
  if (action === 'drop') {
    await withClient(invocation, (client) => client.call(contract.dropRule, { params: { name } }));
    return { document: { name }, text: `Dropped the rule ${name}.` };
  }
  const file = invocation.flag('file');
  if (file === undefined) throw new UsageError('Which rule?', 'Give --file with issuer, audience and when, as JSON.');
  const body = parseJson(await readFile(file, 'utf8'), FILE_CHARS_MAX) as never;
  const set = await withClient(invocation, (client) => client.call(contract.setRule, { params: { name }, body }));
  return { document: set, text: `The rule ${name} is in force (generation ${set.generation}).` };
};

async function checkToken(invocation: Invocation): Promise<Outcome> {
  const file = invocation.flag('identity-token');
  if (file === undefined) throw new UsageError('Which token?', 'Give --identity-token with the file it is in.');
  const token = (await readFile(file, 'utf8')).trim();
  const said = await withClient(invocation, (client) => client.call(contract.explainToken, { body: { token } }));
  const shown = renderChecks(invocation.terminal, said.checks);
  const end = said.ok ? 'This token is believed.' : 'This token is NOT believed.';
  return { document: said, text: `${shown}\n\n${end}`, exit: said.ok ? 'yes' : 'no' };
}

export const manageTuf: Run = async (invocation) => {
  const action = actionOf(invocation, ['status', 'key', 'export', 'sign', 'import'], 'action');
  if (action === 'key') return await makeKey(invocation);
  if (action === 'sign') return await signFileOf(invocation);
  if (action === 'import') {
    const metadata = await readFile(named(invocation, 'file'), 'utf8');
    const done = await withClient(invocation, (client) => client.call(importTuf, { body: { metadata } }));
    return { document: done, text: 'Taken. Clients follow from now on.' };
  }
  if (action === 'export') {
    const role = invocation.flag('role') === 'targets' ? 'targets' : 'root';
    const newKey = invocation.flag('new-key');
    const body = { role, ...(newKey === undefined ? {} : { newKey }) } as const;
    const { metadata } = await withClient(invocation, (client) => client.call(exportTuf, { body }));
    return await written(invocation, metadata.trimEnd(), parseJson(metadata, FILE_CHARS_MAX));
  }
  const status = await withClient(invocation, (client) => client.call(showTuf));
  const fields = renderFields(invocation.terminal, [
    ['key of root', status.key === 'vault' ? 'in this server' : 'offline'],
    ...Object.entries(status.roles).map(
      ([role, { version, expiresAt }]) =>
        [role, `version ${version}, until ${renderTime(expiresAt)}`] as [string, string],
    ),
    ['awaits a signature', status.pending ? 'yes: waybill trust tuf export --role targets' : 'no'],
  ]);
  return { document: status, text: fields, exit: status.pending ? 'pending' : 'yes' };
};

/** On the machine where the key stays: nothing is sent anywhere. */
async function makeKey(invocation: Invocation): Promise<Outcome> {
  const file = named(invocation, 'file');
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  await replaceFile(file, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  const { keyval } = tufKey(publicKey.export({ format: 'der', type: 'spki' }));
  const text = `The private key is in ${file}. Its public key is\n\n  ${keyval.public}\n\nOn the server: waybill trust tuf export --role root --new-key ${keyval.public}`;
  return { document: { publicKey: keyval.public, file }, text };
}

async function signFileOf(invocation: Invocation): Promise<Outcome> {
  const metadata = parseJson(await readFile(named(invocation, 'file'), 'utf8'), FILE_CHARS_MAX) as Metadata;
  const keyFile = invocation.flag('key');
  if (keyFile === undefined) throw new UsageError('With which key?', 'Give --key with the file of the private key.');
  const key = createPrivateKey(await readFile(keyFile, 'utf8'));
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const made = await signMetadata(metadata.signed, [{ key: tufKey(spki), sign: (bytes) => sign(null, bytes, key) }]);
  const signed = { ...metadata, signatures: [...metadata.signatures, ...made.signatures] };
  return await written(invocation, JSON.stringify(signed), signed);
}

async function written(invocation: Invocation, text: string, document: unknown): Promise<Outcome> {
  const out = invocation.flag('out');
  if (out === undefined) return { document, text };
  await replaceFile(out, `${text}\n`, 0o644);
  return { document: { file: out }, text: `Written to ${out}.` };
}

function actionOf<A extends string>(invocation: Invocation, actions: readonly A[], name = 'action'): A {
  const action = actions.find((one) => one === invocation.required(name));
  if (!action) throw new UsageError('There is no such action.', `Use one of ${actions.join(', ')}.`);
  return action;
}

function named(invocation: Invocation, what: string): string {
  const value = invocation.argument(what);
  if (value === undefined) throw new UsageError(`This needs the ${what}.`, 'Add it after the action.');
  return value;
}
