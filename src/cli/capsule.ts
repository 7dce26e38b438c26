import { readFile, stat } from 'node:fs/promises';
import { type Digest, parseDigest, Problem } from '#base';
import { parsePolicy, type Policy } from '#ledger';
import { CAPSULE_CHARS_MAX, policyOfKey, traceContract, verifyCapsule } from '#trace';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { replaceFile } from './home.ts';
import { renderVerdict } from './output.ts';
import { printable } from './printable.ts';
import { startProgress } from './progress.ts';
import { digestFile, queryOf } from './trace.ts';

/** Proving every fact of a long chain takes its time. */
const EXPORT_TIMEOUT_MS = 600_000;

export const exportTrace: Run = async (invocation) => {
  const query = await queryOf(invocation.required('target'));
  const progress = startProgress(invocation.terminal, 'Packing the chain');
  try {
    const capsule = await withClient(
      invocation,
      (client) => client.call(traceContract.showCapsule, { query }),
      EXPORT_TIMEOUT_MS,
    );
    progress.stop();
    const out = invocation.flag('out');
    const text = `${JSON.stringify(capsule)}\n`;
    if (out !== undefined) await replaceFile(out, text, 0o644);
    const withheld = capsule.facts.filter(
      (fact) => fact.withheld === 'permission' || fact.withheld === 'erased',
    ).length;
    const warning =
      withheld === 0
        ? []
        : [
            `${withheld} payloads are not in it: you may not see them, or they are erased. It will not verify without them.`,
          ];
    const next = [
      `Wrote ${printable(String(out))}: ${capsule.facts.length} facts, ${capsule.bundles.length} bundles. Offline, with what you pinned:`,
      `  waybill trace verify ${printable(String(out))} --trusted-root trusted_root.json --vkey VKEY --artifact FILE`,
    ];
    return {
      document: capsule,
      text: out === undefined ? printable(text.trimEnd()) : [...warning, ...next].join('\n'),
    };
  } finally {
    progress.stop();
  }
};

export const checkCapsule: Run = async (invocation) => {
  const file = invocation.required('file');
  if ((await stat(file)).size > CAPSULE_CHARS_MAX * 4) {
    throw new UsageError('This file is larger than any capsule.', 'Export it again with `waybill trace export`.');
  }
  const [policy, artifact, root] = [
    await policyOf(invocation),
    await artifactOf(invocation),
    invocation.flag('trusted-root'),
  ];
  const verdict = await verifyCapsule(await readFile(file, 'utf8'), {
    ...(policy ? { policy } : {}),
    ...(artifact === undefined ? {} : { artifact }),
    ...(root === undefined ? {} : { trustedRoot: await readFile(root) }),
    believeCapsule: invocation.isSet('unpinned'),
  });
  const { ledger, trustedRoot } = verdict.pinned;
  const doubt = ledger && trustedRoot ? '' : ', by keys that are NOT PINNED: whoever made the file may have made them';
  const yes = `The chain of ${verdict.digest ?? ''} holds${doubt}.`;
  return {
    document: { file, ...verdict },
    text: renderVerdict(invocation.terminal, verdict, yes, `${printable(file)} does NOT prove a whole chain.`),
    exit: verdict.ok ? 'yes' : 'no',
  };
};

async function policyOf(invocation: Invocation): Promise<Policy | undefined> {
  const [vkey, file] = [invocation.flag('vkey'), invocation.flag('policy')];
  if (vkey !== undefined && file !== undefined) {
    throw new UsageError('--vkey and --policy exclude each other.', 'A policy names the key itself.');
  }
  if (file !== undefined) return parsePolicy(await readFile(file, 'utf8'));
  try {
    return vkey === undefined ? undefined : policyOfKey(vkey);
  } catch (error) {
    if (!Problem.is(error)) throw error;
    throw new UsageError('--vkey is not the key of a ledger.', 'It looks like events.NAME+8 hex digits+base64.');
  }
}

async function artifactOf(invocation: Invocation): Promise<Digest | undefined> {
  const [file, digest] = [invocation.flag('artifact'), invocation.flag('digest')];
  if (file !== undefined && digest !== undefined) {
    throw new UsageError('--artifact and --digest exclude each other.', 'A file is hashed here.');
  }
  if (file !== undefined) return await digestFile(file);
  return digest === undefined ? undefined : parseDigest(digest);
}
