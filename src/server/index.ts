/**
 * server: the composition root. The only place that knows every module; it builds them in order, starts the workers, listens,
 * and closes in reverse. Killed at any instant, it starts again to the same state.
 */
export { parseServerOptions, ServerOptions, type ServerSettings } from './config.ts';
export { type Controls, modules, openPlatform, type Platform } from './platform.ts';
export { type RunningServer, startServer } from './server.ts';
export { type LocalRunner, startLocalRunner } from './local-runner.ts';
export { type RunningPlatform, startUp } from './up.ts';
export { VERSION } from './version.ts';
