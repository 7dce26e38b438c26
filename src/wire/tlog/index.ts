/** wire/tlog: the logs as static files (C2SP tlog-tiles), and this server as a witness (C2SP tlog-witness). */
export { registerTileRoutes } from './routes.ts';
export { registerWitnessRoutes } from './witness.ts';
