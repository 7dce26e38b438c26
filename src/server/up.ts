import { consoleCaller } from '#identity';
import { layoutOf, type ServerSettings } from './config.ts';
import { type LocalRunner, startLocalRunner } from './local-runner.ts';
import { type RunningServer, startServer } from './server.ts';

export interface RunningPlatform {
  server: RunningServer;
  runner: LocalRunner;
  close(): Promise<void>;
}

const LOCAL_RUNNER = 'local-runner';

/** Server and one runner on this machine, with embedded storage. The runner's credential is new at every start. */
export async function startUp(
  settings: ServerSettings,
  { onRunnerLine = () => undefined }: { onRunnerLine?: (line: string) => void } = {},
): Promise<RunningPlatform> {
  const server = await startServer(settings);
  try {
    const { token } = await server.platform.identity.renewMachine(consoleCaller(), {
      name: LOCAL_RUNNER,
      grants: [{ role: 'runner', reason: 'the runner that waybill up starts' }],
      networks: ['127.0.0.0/8', '::1/128'],
    });
    const runner = await startLocalRunner({
      url: server.url,
      caPath: server.caPath,
      dir: layoutOf(settings.data).runner,
      token,
      onLine: onRunnerLine,
    });
    return {
      server,
      runner,
      async close() {
        await runner.stop();
        await server.close();
      },
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}
