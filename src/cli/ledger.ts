import type { z } from 'zod';
import { type Check, failed, passed, Problem, verdictOf } from '#base';
import { type Client, openCheckpointMemory } from '#client';
import {
  hashBase64,
  leafHash,
  openCheckpoint,
  parseTlogProof,
  parseVkey,
  showFactProof,
  verifyInclusion,
  verifyLedgerNow,
} from '#ledger';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { openHome, replaceFile } from './home.ts';
import { renderFields, renderVerdict } from './output.ts';
import { printable } from './printable.ts';
import { startProgress } from './progress.ts';

/** Reading a whole journal and log again may take minutes. */
const VERIFY_TIMEOUT_MS = 3_600_000;

export const showStatus: Run = async (invocation) => {
  const view = await withClient(invocation, (client) => memoryOf(invocation).advance(client));
  const { checkpoint, vkey, consistentSince, witnessing } = view;
  const document = {
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: hashBase64(checkpoint.root),
    vkey,
    checkpoint: checkpoint.note,
    consistentSince: consistentSince ?? null,
    witnessing,
  };
  const memory =
    consistentSince === undefined
      ? 'First sight of this server: remembered. From now on it may only add.'
      : `✓ It continues the checkpoint of size ${consistentSince} that was seen here before.`;
  const fields = renderFields(invocation.terminal, [
    ['log', document.origin],
    ['size', document.size],
    ['root', document.root],
    ['key', vkey],
    [
      'witnessed',
      witnessing?.quorum ? `size ${witnessing.witnessedSize ?? 0}, fail-${witnessing.fail}` : 'no witness is asked for',
    ],
    ['missing', witnessing?.troubles.join(' ')],
  ]);
  return { document, text: `${fields}\n${memory}` };
};

function memoryOf(invocation: Invocation) {
  return openCheckpointMemory(openHome(invocation.terminal).checkpointFile);
}

/** The leaf of a fact, and whether it is under a checkpoint that continues what was seen before: computed here. */
export const showEntry: Run = async (invocation) => {
  const number = parseFactNumber(invocation.required('fact'));
  const { entry, checks } = await withClient(invocation, (client) => proveFact(invocation, client, number));
  const verdict = verdictOf(checks);
  const yes = `Fact ${number} is entry ${entry.index} of the log, under the signed checkpoint of size ${entry.size}.`;
  return {
    document: { ...entry, ...verdict },
    text: [
      renderVerdict(invocation.terminal, verdict, yes, `Fact ${number} is not proven to be in the log.`),
      '',
      printable(entry.leaf),
    ].join('\n'),
    exit: verdict.ok ? 'yes' : 'no',
  };
};

async function proveFact(invocation: Invocation, client: Client, number: number) {
  const { vkey } = await memoryOf(invocation).advance(client);
  const entry = await client.call(showFactProof, { params: { number } });
  // Not older than what was remembered above: the log may only have grown since.
  await memoryOf(invocation).advance(client);
  return { entry, checks: checkFact(entry, number, vkey) };
}

type Entry = z.output<typeof showFactProof.response>;

function checkFact(entry: Entry, number: number, vkey: string): Check[] {
  const verifier = parseVkey(vkey);
  const proof = parseTlogProof(entry.tlogProof);
  const leaf = leafHash(Buffer.from(entry.leaf));
  const index =
    proof.index === number - 1
      ? passed('position', `entry ${proof.index}`)
      : failed('position', { code: 'ledger.position', expected: String(number - 1), found: String(proof.index) });
  const checkpoint = openOrUndefined(proof.note, verifier);
  if (checkpoint === undefined) {
    return [index, failed('checkpoint', { code: 'ledger.signature_invalid', expected: `signed by ${vkey}` })];
  }
  const { size, root } = checkpoint;
  const included = verifyInclusion({ index: proof.index, size, leaf, path: proof.path, root });
  return [
    index,
    passed('checkpoint', `size ${size}, signed by ${verifier.name}`),
    included
      ? passed('inclusion', `the leaf hashes to the signed root over ${proof.path.length} steps`)
      : failed('inclusion', { code: 'ledger.not_included', expected: hashBase64(root), found: 'another root' }),
  ];
}

function openOrUndefined(note: string, verifier: ReturnType<typeof parseVkey>) {
  try {
    return openCheckpoint(note, verifier.name, [verifier]);
  } catch (error) {
    if (Problem.is(error)) return undefined;
    throw error;
  }
}

/** A proof as one file that anybody can check without this server. */
export const proveEntry: Run = async (invocation) => {
  const number = parseFactNumber(invocation.required('fact'));
  const { entry, checks } = await withClient(invocation, (client) => proveFact(invocation, client, number));
  const verdict = verdictOf(checks);
  const file = invocation.flag('out');
  if (verdict.ok && file !== undefined) await replaceFile(file, entry.tlogProof, 0o644);
  const yes = file === undefined ? entry.tlogProof.trimEnd() : `Wrote ${file} (C2SP tlog-proof).`;
  return {
    document: { number, tlogProof: entry.tlogProof, leaf: entry.leaf, file: file ?? null, ...verdict },
    text: verdict.ok ? yes : renderVerdict(invocation.terminal, verdict, '', `Fact ${number} is not proven.`),
    exit: verdict.ok ? 'yes' : 'no',
  };
};

function parseFactNumber(text: string): number {
  const number = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new UsageError(`"${text}" is not the number of a fact.`, 'Facts are numbered 1, 2, 3, …');
}

export const verifyLedger: Run = async (invocation) => {
  const progress = startProgress(invocation.terminal, 'Reading the whole journal and log again');
  try {
    const verdict = await withClient(
      invocation,
      async (client) => {
        await memoryOf(invocation).advance(client);
        return await client.call(verifyLedgerNow);
      },
      VERIFY_TIMEOUT_MS,
    );
    progress.stop();
    const yes = 'Journal and log agree, and nothing was altered.';
    return {
      document: verdict,
      text: renderVerdict(invocation.terminal, verdict, yes, 'Something was altered.'),
      exit: verdict.ok ? 'yes' : 'no',
    };
  } finally {
    progress.stop();
  }
};
