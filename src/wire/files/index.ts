/**
 * wire/files: artifacts as plain files, for curl and whatever else speaks HTTP.
 * `/files/<project>/<release|playground>/<name…>/<version>/<file>` with PUT, GET, HEAD and DELETE. Translates headers and
 * addresses; every decision is made by `artifact`.
 */
export { type FileRoutes, registerFileRoutes } from './routes.ts';
