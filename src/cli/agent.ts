import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseJson, Problem } from '#base';
import { createClient, openCheckpointWatch } from '#client';
import { type AgentEvent, agentApi, runAgent } from '#deploy';
import type { Invocation, Run } from './command.ts';
import { UsageError } from './exit.ts';
import { printable } from './printable.ts';
import { say } from './terminal.ts';

const TRUSTED_ROOT_CHARS_MAX = 4 * 1024 * 1024;

/** The deploy agent of one target: believes the trust root it was given and its own hashing, and nothing else. */
export const startAgent: Run = async (invocation) => {
  const server = invocation.flag('server') ?? '';
  const [project, environment] = (invocation.flag('environment') ?? '').split('/');
  if (!project || !environment)
    throw new UsageError('--environment is PROJECT/ENVIRONMENT.', 'Such as acme/production.');
  const token = (await readFile(invocation.flag('credential') ?? '', 'utf8')).trim();
  const directory = resolve(invocation.flag('directory') ?? '');
  const client = createClient({ url: server, ca: await readFile(invocation.flag('ca') ?? '', 'utf8'), token });
  try {
    await runAgent({
      api: agentApi(client, invocation.flag('target') ?? '', openCheckpointWatch(join(directory, 'checkpoint.json'))),
      pins: { trustedRoot: await readTrustedRoot(invocation), publicUrl: server, project, environment },
      directory,
      programs: programsOf(invocation),
      files: invocation.list('place'),
      ...(invocation.isSet('stop-on-drift') ? { onDrift: 'stop' as const } : {}),
      signal: invocation.signal,
      onEvent: (event) => say(invocation.terminal, printable(describe(event))),
    });
  } finally {
    client.close();
  }
  return { document: { server, stopped: true }, text: 'Stopped.' };
};

async function readTrustedRoot(invocation: Invocation): Promise<unknown> {
  return parseJson(await readFile(invocation.flag('trusted-root') ?? '', 'utf8'), TRUSTED_ROOT_CHARS_MAX);
}

/** `NAME` or `NAME=argument argument …`: what is started of what is placed. */
function programsOf(invocation: Invocation): Record<string, { args: string[] }> {
  return Object.fromEntries(
    invocation.list('start').map((text) => {
      const [name = '', ...rest] = text.split('=');
      const args = rest
        .join('=')
        .split(' ')
        .filter((word) => word.length > 0);
      return [name, { args }];
    }),
  );
}

function describe(event: AgentEvent): string {
  switch (event.kind) {
    case 'deployed':
      return `deployed ${event.name}@${event.version} at ${event.path}${event.pid === null ? '' : `, process ${event.pid}`}`;
    case 'refused':
      return `refused ${event.name}: ${event.check.name} ${event.check.code ?? ''}`;
    case 'drifted':
      return `drift of ${event.name} (${event.drift}) at ${event.path}: expected ${event.expected}, found ${event.found}`;
    case 'stopped':
      return `stopped ${event.name}: ${event.reason} ${event.detail}`;
    case 'trouble':
      return `${Problem.is(event.problem) ? event.problem.message : 'trouble'}`;
  }
}
