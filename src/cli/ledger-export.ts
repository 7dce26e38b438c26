import { readFile } from 'node:fs/promises';
import { type Check, parseJson, type Verdict } from '#base';
import {
  checkEverything,
  exportFactNow,
  parseFactFile,
  parseForkFile,
  parsePolicy,
  parseStreamProof,
  type Policy,
  proveStreamNow,
  renderPolicy,
  verifyFactFile,
  verifyForkFile,
  verifyStreamProof,
} from '#ledger';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { replaceFile } from './home.ts';
import { renderVerdict } from './output.ts';
import { printable } from './printable.ts';
import { startProgress } from './progress.ts';

const FILE_MAX_CHARS = 64 * 1024 * 1024;
const SLOW_TIMEOUT_MS = 3_600_000;

export const exportEvidence: Run = async (invocation) => {
  const what = invocation.required('what');
  const number = /^[1-9]\d{0,15}$/.test(what) ? Number(what) : undefined;
  if (number === undefined && !what.includes('/'))
    throw new UsageError(`"${what}" is neither a fact nor a stream.`, 'Facts are numbers; streams look like noun/id.');
  const file = await withClient(invocation, async (client) =>
    number === undefined
      ? await client.call(proveStreamNow, { query: { stream: what } })
      : await client.call(exportFactNow, { params: { number } }),
  );
  const out = invocation.flag('out');
  const text = `${JSON.stringify(file, null, 2)}\n`;
  if (out !== undefined) await replaceFile(out, text, 0o644);
  const next = `Wrote ${out}. Anybody can check it: waybill ledger check ${out} --key VKEY`;
  return { document: file, text: out === undefined ? printable(text.trimEnd()) : next };
};

export const checkEvidence: Run = async (invocation) => {
  const text = await readFile(invocation.required('file'), 'utf8');
  const { kind } = parseJson(text, FILE_MAX_CHARS) as { kind?: unknown };
  const verdict = await judge(invocation, text, String(kind));
  const yes = 'It is what it says it is.';
  return {
    document: verdict,
    text: renderVerdict(invocation.terminal, verdict, yes, 'It is not proven.'),
    exit: verdict.ok ? 'yes' : 'no',
  };
};

async function judge(invocation: Invocation, text: string, kind: string): Promise<Verdict> {
  if (kind === 'waybill.fork-evidence') return verifyForkFile(parseForkFile(text), invocation.flag('key'));
  const policy = await trustedPolicy(invocation);
  if (kind === 'waybill.fact-evidence') return verifyFactFile(parseFactFile(text), policy);
  if (kind === 'waybill.stream-proof') return verifyStreamProof(parseStreamProof(text), policy);
  throw new UsageError('This file is not something that `waybill ledger export` writes.', 'Export it again.');
}

/** From the reader, never from the file: a forger would bring his own. */
async function trustedPolicy(invocation: Invocation): Promise<Policy> {
  const [file, key] = [invocation.flag('policy'), invocation.flag('key')];
  if ((file === undefined) === (key === undefined))
    throw new UsageError('Say whom you trust: --policy FILE or --key VKEY.', 'See `waybill ledger check --help`.');
  if (file !== undefined) return parsePolicy(await readFile(file, 'utf8'));
  return parsePolicy(renderPolicy({ log: { vkey: key as string }, witnesses: [], k: 'any' }));
}

export const checkServer: Run = async (invocation) => {
  const progress = startProgress(invocation.terminal, 'Hashing every byte again');
  try {
    const verdict = await withClient(invocation, (client) => client.call(checkEverything), SLOW_TIMEOUT_MS);
    progress.stop();
    const checks = verdict.checks.map((check) => JSON.parse(JSON.stringify(check)) as Check);
    return {
      document: verdict,
      text: renderVerdict(
        invocation.terminal,
        { ok: verdict.ok, checks },
        'Every byte is right.',
        'Something is not right.',
      ),
      exit: verdict.ok ? 'yes' : 'no',
    };
  } finally {
    progress.stop();
  }
};
