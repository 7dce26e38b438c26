import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { parseDigest } from '#base';
import { type Client, createClient } from '#client';
import { addPeer, distrustLog, setWitnessPolicy, showFork, showWitnesses } from '#ledger';
import type { Invocation, Outcome, Run } from './command.ts';
import { readCa, withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { openHome, replaceFile } from './home.ts';
import { renderFields, renderTable, renderTime } from './output.ts';
import { printable } from './printable.ts';

type View = z.output<typeof showWitnesses.response>;

export const witness: Run = async (invocation) => {
  const action = invocation.argument('action') ?? 'list';
  const run = actions[action];
  if (run) return await run(invocation);
  throw new UsageError(
    `"${action}" is not something to do with witnesses.`,
    'Use list, pair, policy, fork or distrust.',
  );
};

const actions: Readonly<Record<string, Run>> = {
  list: async (invocation) => render(invocation, await withClient(invocation, (client) => client.call(showWitnesses))),
  pair,
  policy,
  fork,
  distrust,
};

/** Asks both for their keys, then tells each about the other. What one refuses leaves the other one only listening. */
async function pair(invocation: Invocation): Promise<Outcome> {
  const url = needed(invocation, 'with', 'the address of the other server');
  const [ca, token] = await Promise.all([
    readFile(needed(invocation, 'with-ca', 'its certificate authority'), 'utf8'),
    readFile(needed(invocation, 'with-token-file', 'a token of an owner of it'), 'utf8'),
  ]);
  const other = createClient({ url, ca, token: token.trim() });
  try {
    return await withClient(invocation, async (client) => {
      const [ours, theirs] = await Promise.all([client.call(showWitnesses), other.call(showWitnesses)]);
      const ownCa = (await readCa(invocation, (await openHome(invocation.terminal).login())?.ca)) ?? null;
      // First both sides learn whom to vouch for, then each asks the other.
      await tell(other, { log: ours.log });
      await tell(client, { log: theirs.log });
      const settings = settingsOf(invocation);
      await tell(client, { ...settings, witness: witnessOf(theirs, ca) });
      await tell(other, { ...settings, witness: witnessOf(ours, ownCa) });
      const view = await client.call(showWitnesses);
      const done = render(invocation, view);
      return { ...done, text: `${ours.origin} and ${theirs.origin} witness each other.\n\n${done.text}` };
    });
  } finally {
    other.close();
  }
}

type PeerBody = z.input<NonNullable<typeof addPeer.body>>;

async function tell(client: Client, body: PeerBody): Promise<void> {
  await client.call(addPeer, { body });
}

/** The Ed25519 key is the one every witness has; the address is where the server says that it is. */
function witnessOf({ witness: { url, vkeys } }: View, ca: string | null): NonNullable<PeerBody['witness']> {
  return { vkey: vkeys[0] ?? '', url, ca };
}

function settingsOf(invocation: Invocation): Pick<PeerBody, 'quorum' | 'fail'> {
  const quorum = invocation.flag('quorum');
  const fail = invocation.flag('fail') as 'open' | 'closed' | undefined;
  return { ...(quorum === undefined ? {} : { quorum: parseQuorum(quorum) }), ...(fail ? { fail } : {}) };
}

function parseQuorum(text: string): number | 'any' | 'all' {
  if (text === 'any' || text === 'all') return text;
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new UsageError(`"${text}" is not a quorum.`, 'Use any, all or a number.');
}

async function policy(invocation: Invocation): Promise<Outcome> {
  const file = invocation.flag('set');
  const fail = invocation.flag('fail') as 'open' | 'closed' | undefined;
  const view = await withClient(invocation, async (client) => {
    const now = await client.call(showWitnesses);
    if (file === undefined && fail === undefined) return now;
    const text = file === undefined ? now.policy : await readFile(file, 'utf8');
    return await client.call(setWitnessPolicy, { body: { policy: text, fail: fail ?? now.fail } });
  });
  return {
    document: { policy: view.policy, fail: view.fail },
    text: `# fail-${view.fail}\n${printable(view.policy).trimEnd()}`,
  };
}

async function distrust(invocation: Invocation): Promise<Outcome> {
  const origin = needed(invocation, 'log', 'the origin of the log');
  const reason = needed(invocation, 'reason', 'why; it is recorded');
  const view = await withClient(invocation, (client) => client.call(distrustLog, { body: { origin, reason } }));
  return { document: view, text: `${printable(origin)} is not cosigned here any more.` };
}

async function fork(invocation: Invocation): Promise<Outcome> {
  const evidence = parseDigest(needed(invocation, 'evidence', 'which evidence'));
  const file = await withClient(invocation, (client) => client.call(showFork, { params: { evidence } }));
  const out = invocation.flag('out');
  if (out !== undefined) await replaceFile(out, `${JSON.stringify(file, null, 2)}\n`, 0o644);
  const what = `${file.fork} of ${file.origin}, noticed by ${file.noticedBy}`;
  return {
    document: file,
    text: printable(out === undefined ? JSON.stringify(file, null, 2) : `Wrote ${out}: ${what}.`),
  };
}

function needed(invocation: Invocation, flag: string, what: string): string {
  const value = invocation.flag(flag);
  if (value !== undefined) return value;
  throw new UsageError(`--${flag} is missing: ${what}.`, 'See `waybill ledger witness --help`.');
}

function render({ terminal }: Invocation, view: View): Outcome {
  const parts = [
    renderFields(terminal, [
      ['log', view.origin],
      ['key', view.log],
      ['as a witness', view.witness.vkeys[0]],
      ['policy', `fail-${view.fail}`],
      ['size', view.size],
      ['witnessed', view.witnessedSize ?? 'no witness is asked for'],
    ]),
    renderTable(
      terminal,
      view.witnesses,
      [
        { title: 'WITNESS', cell: ({ name }) => name },
        { title: 'SIZE', cell: ({ size }) => size },
        { title: 'AT', cell: ({ at }) => renderTime(at) },
        { title: 'TROUBLE', cell: ({ trouble }) => trouble },
      ],
      'Nobody witnesses this log. Next: waybill ledger witness pair --with URL',
    ),
    renderTable(
      terminal,
      view.logs,
      [
        { title: 'WE WITNESS', cell: ({ origin }) => origin },
        { title: 'SIZE', cell: ({ size }) => size },
        { title: 'STATE', cell: ({ forked }) => (forked ? 'contradicted itself' : 'consistent') },
      ],
      'We witness no other log.',
    ),
  ];
  if (view.forks.length > 0) {
    const columns = [
      { title: 'EVIDENCE', cell: (each: View['forks'][number]) => each.evidence },
      { title: 'KIND', cell: (each: View['forks'][number]) => each.kind },
      { title: 'LOG', cell: (each: View['forks'][number]) => each.origin },
      { title: 'NOTICED', cell: (each: View['forks'][number]) => renderTime(each.noticedAt) },
    ];
    parts.push(renderTable(terminal, view.forks, columns, ''));
  }
  return { document: view, text: parts.join('\n\n'), exit: view.forks.length > 0 ? 'no' : 'yes' };
}
