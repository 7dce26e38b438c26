import { resolve } from 'node:path';
import { once } from 'node:events';
import { parseServerOptions, type RunningServer, type ServerSettings, startServer, startUp } from '#server';
import type { Invocation, Run } from './command.ts';
import { say } from './terminal.ts';
import { printable } from './printable.ts';

/** The same directory for every command that needs one: `--data`, else WAYBILL_DATA, else `.waybill` here. */
export function dataDirectory(invocation: Invocation): string {
  return resolve(invocation.flag('data') ?? invocation.terminal.env['WAYBILL_DATA'] ?? '.waybill');
}

function settingsOf(invocation: Invocation): ServerSettings {
  const given = (flag: string, key: string): Record<string, string> => {
    const value = invocation.flag(flag);
    return value === undefined ? {} : { [key]: value };
  };
  const networks = invocation.list('network');
  return parseServerOptions({
    data: dataDirectory(invocation),
    ...given('listen', 'listen'),
    ...given('public-url', 'publicUrl'),
    ...given('log-level', 'logLevel'),
    ...(networks.length > 0 ? { networks } : {}),
  });
}

export const start: Run = async (invocation) => {
  const server = await startServer(settingsOf(invocation));
  announce(invocation, server);
  await untilStopped(invocation);
  await server.close();
  return stopped(server);
};

export const up: Run = async (invocation) => {
  const onRunnerLine = (line: string): void => say(invocation.terminal, `runner: ${printable(line)}`);
  const platform = await startUp(settingsOf(invocation), { onRunnerLine });
  announce(invocation, platform.server);
  await untilStopped(invocation);
  await platform.close();
  return stopped(platform.server);
};

function announce(invocation: Invocation, { url, caPath, enrolment, platform }: RunningServer): void {
  const { terminal } = invocation;
  say(
    terminal,
    platform.fresh
      ? `New data directory: ${dataDirectory(invocation)}`
      : `Data directory: ${dataDirectory(invocation)}`,
  );
  say(terminal, `Waybill listens at ${url} (TLS 1.3; its certificate authority is ${caPath})`);
  if (enrolment) {
    say(terminal, 'Nobody has signed in yet. The first owner does, once, with this link:');
    say(terminal, `  ${enrolment.link}`);
    say(terminal, `In a browser, or: waybill login --ca ${caPath}   (then paste the link)`);
  }
  say(terminal, 'Ctrl-C stops it.');
}

async function untilStopped({ signal }: Invocation): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

function stopped({ url }: RunningServer): { document: unknown; text: string } {
  return { document: { url, stopped: true }, text: 'Stopped in order; nothing was lost.' };
}
