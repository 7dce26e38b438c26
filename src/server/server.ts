import { join } from 'node:path';
import { bindApi } from '#api';
import { startTrustKeeper } from '#attest';
import { type Clock, systemClock } from '#base';
import { type App, createApp, issueTlsIdentity } from '#http';
import { ensureDirectory } from '#storage';
import {
  registerFileRoutes,
  registerGitRoutes,
  registerTileRoutes,
  registerWitnessRoutes,
  foreignCredentialPaths,
  registerSigstoreRoutes,
} from '#wire';
import { layoutOf, parseListen, type ServerSettings } from './config.ts';
import { CA_FILE, freePort, hostsOf, listenInPlaintext, openTlsAuthority, renewTls } from './listener.ts';
import { hasInstance } from './instance.ts';
import { lockDataDirectory } from './lock.ts';
import { type Controls, modules, openPlatform, type Platform } from './platform.ts';
import { registerPages } from '#web';
import { VERSION } from './version.ts';
import { startWorkers } from './workers.ts';

export interface RunningServer {
  /** Where it is reached; also the name in every signature. */
  url: string;
  /** PEM file of the authority that clients pin. */
  caPath: string;
  /** The first owner's one-use link, while nobody has used it. */
  enrolment: { link: string; expiresAt: number } | undefined;
  platform: Platform;
  app: App;
  /** Stops taking requests, finishes those it has, and closes everything. */
  close(): Promise<void>;
}

/** Opens the data directory, builds the modules in order and listens. Nothing listens before everything stands. */
export async function startServer(
  settings: ServerSettings,
  { clock = systemClock, controls = {} }: { clock?: Clock; controls?: Controls } = {},
): Promise<RunningServer> {
  await ensureDirectory(settings.data);
  const unlock = await lockDataDirectory(layoutOf(settings.data).lock);
  const closers: (() => Promise<void> | void)[] = [unlock];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const { host, port: wanted } = parseListen(settings.listen);
    const port = wanted === 0 ? await freePort(host) : wanted;
    const platform = await openPlatform({
      data: settings.data,
      ...(await publicUrlOf(settings, port)),
      clock,
      controls,
    });
    closers.push(() => platform.close());
    const { publicUrl, name } = platform.instance;
    const authority = await openTlsAuthority(platform.vault, settings.data, name, clock);
    const hosts = hostsOf(publicUrl, host);
    const app = createApp({
      tls: await issueTlsIdentity(authority, hosts, clock.now()),
      publicUrl,
      networks: settings.networks,
      foreignCredentialPaths,
      authenticators: [
        (token, origin) => platform.identity.authenticate(token, origin),
        (token, origin) => platform.build.authenticateJob(token, origin),
      ],
      clock,
      controls: { tls13: controls.listener?.tls13 !== false },
      logLevel: settings.logLevel,
    });
    closers.push(
      renewTls(app, authority, hosts, clock),
      () => platform.journal.close(),
      () => app.close(),
    );
    bindApi(app, { ...platform, modules, publicUrl, version: VERSION });
    registerGitRoutes(app, platform);
    registerFileRoutes(app, platform);
    registerSigstoreRoutes(app, { ...platform, publicUrl, version: VERSION });
    registerTileRoutes(app, { ...platform, logs: logsOf(platform) });
    registerWitnessRoutes(app, platform);
    registerPages(app, { ...platform, publicUrl });
    startWorkers(platform, {
      controls,
      version: VERSION,
      onError: (error, fact) => app.log.error({ err: error, fact: fact.number }, 'a worker will try this fact again'),
    });
    const keeper = startTrustKeeper({
      ...platform,
      publicUrl,
      onError: (error) => app.log.error({ err: error }, 'the TUF repository could not be signed anew'),
    });
    closers.push(() => keeper.stop());
    const first = await platform.identity.bootstrapOwner();
    await app.listen({ host, port });
    if (controls.listener?.noPlaintext === false) closers.push(await listenInPlaintext(app, host));
    return {
      url: publicUrl,
      caPath: join(settings.data, CA_FILE),
      enrolment: first && { link: `${publicUrl}/enrol#${first.enrolment}`, expiresAt: first.expiresAt },
      platform,
      app,
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** After a rotation, `signatures` and `rekor2` are the logs that took over. */
const logsOf = ({ ledger, attest }: Platform) => ({
  events: ledger.events,
  get signatures() {
    return attest.signaturesLog;
  },
  get rekor2() {
    return attest.activeLog('rekor2').tiles;
  },
});

/** What was asked for; else the port listened on, which a data directory that exists already overrules. */
async function publicUrlOf(settings: ServerSettings, port: number): Promise<{ publicUrl?: string }> {
  if (settings.publicUrl !== undefined) return { publicUrl: settings.publicUrl };
  return (await hasInstance(settings.data)) ? {} : { publicUrl: `https://localhost:${port}` };
}
