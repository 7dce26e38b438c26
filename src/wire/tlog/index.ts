/** wire/tlog: the logs as static files, as C2SP tlog-tiles lays them out. */
export { registerTileRoutes } from './routes.ts';
