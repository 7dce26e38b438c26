import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { createDigester, type Digest, isDigest } from '#base';
import { openCheckpointMemory } from '#client';
import { traceContract } from '#trace';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { openHome } from './home.ts';
import { renderChecks, renderTime } from './output.ts';
import { printable } from './printable.ts';
import { startProgress } from './progress.ts';
import { paint, type Terminal } from './terminal.ts';

type Trace = z.output<typeof traceContract.TraceView>;
type Hop = Trace['hops'][number];

/** Re-reading and re-hashing a chain of large artifacts takes its time. */
const TRACE_TIMEOUT_MS = 600_000;

/** The whole way back to the signed commit, each hop verified; the first broken one is named. */
export const traceArtifact: Run = async (invocation) => {
  const query = await queryOf(invocation.required('target'));
  const progress = startProgress(invocation.terminal, 'Walking the chain back');
  try {
    const trace = await withClient(
      invocation,
      async (client) => {
        // A server that takes back what it signed is not believed about anything else. Who may not read the ledger cannot ask.
        if (!invocation.isSet('no-ledger')) {
          await openCheckpointMemory(openHome(invocation.terminal).checkpointFile).advance(client);
        }
        return await client.call(traceContract.showTrace, { query });
      },
      TRACE_TIMEOUT_MS,
    );
    progress.stop();
    return { document: trace, text: renderTrace(invocation, trace), exit: trace.ok ? 'yes' : 'no' };
  } finally {
    progress.stop();
  }
};

interface Query {
  digest?: Digest;
  name?: string;
  path?: string;
}

/** A file here is hashed here: its digest of now is what the chain has to lead back from. */
export async function queryOf(target: string): Promise<Query> {
  if (isDigest(target)) return { digest: target };
  const path = resolve(target);
  const file = await stat(path).catch(() => undefined);
  if (file?.isFile()) return { path, digest: await digestFile(path) };
  if (target.startsWith('/')) return { path: target };
  if (/^[^@\s]+@[^@\s]+$/.test(target)) return { name: target };
  throw new UsageError(
    `"${target}" is not a digest, not name@version, and no file.`,
    'Write it as sha256:…, acme/hello/program@1-6789b258, or the path of a deployed file.',
  );
}

export async function digestFile(path: string): Promise<Digest> {
  const digester = createDigester();
  for await (const chunk of createReadStream(path)) digester.update(chunk as Buffer);
  return digester.digest();
}

function renderTrace(invocation: Invocation, trace: Trace): string {
  const { terminal } = invocation;
  const what = printable(trace.name === null ? trace.digest : `${trace.name}@${trace.artifactVersion ?? ''}`);
  const answer = trace.ok
    ? paint(terminal, 'green', `✓ The chain of ${what} holds: ${trace.hops.length} hops, each verified.`)
    : paint(terminal, 'red', `✗ The chain of ${what} breaks at: ${trace.broken?.hop ?? 'unknown'}`);
  const all = invocation.isSet('checks');
  const hops = trace.hops.map((hop) => renderHop(terminal, hop, all));
  return [answer, `  ${trace.digest}`, '', ...hops].join('\n');
}

function renderHop(terminal: Terminal, hop: Hop, all: boolean): string {
  const failed = hop.checks.some((check) => check.status === 'failed');
  const [icon, word, style] = hop.ok
    ? (['✓', 'verified', 'green'] as const)
    : failed
      ? (['✗', 'broken', 'red'] as const)
      : (['–', 'cannot tell', 'yellow'] as const);
  const facts = hop.facts.map((fact) => `fact ${fact.number} = leaf ${fact.leaf}`).join(', ');
  const shown = all ? hop.checks : hop.checks.filter((check) => check.status !== 'passed');
  const about = [renderTime(hop.at), hop.checks.length === 1 ? '1 check' : `${hop.checks.length} checks`, facts]
    .filter((part) => part !== '')
    .join(' · ');
  return [
    `${paint(terminal, style, `${icon} ${word.padEnd(11)}`)} ${hop.kind.padEnd(11)} ${printable(hop.title)}`,
    `  ${paint(terminal, 'dim', about)}`,
    ...(shown.length > 0 ? [renderChecks(terminal, shown, '    ')] : []),
  ].join('\n');
}
