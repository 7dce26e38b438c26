import { resolve } from 'node:path';
import { runRunner } from '#build';
import type { Run } from './command.ts';
import { printable } from './printable.ts';
import { say } from './terminal.ts';

/** The runner process: proves its sandbox, then takes jobs until it is stopped. */
export const startRunner: Run = async (invocation) => {
  const server = invocation.flag('server') ?? '';
  await runRunner({
    server,
    caFile: resolve(invocation.flag('ca') ?? ''),
    credentialFile: resolve(invocation.flag('credential') ?? ''),
    workDir: resolve(invocation.flag('work') ?? ''),
    signal: invocation.signal,
    onLine: (line) => say(invocation.terminal, printable(line)),
  });
  return { document: { server, stopped: true }, text: 'Stopped.' };
};
