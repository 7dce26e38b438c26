/**
 * wire/git: smart HTTP for stock git clients, protocol versions 0 to 2.
 * Streams both ways; what may be read or pushed is decided by `source`.
 */
export { type GitRoutes, registerGitRoutes } from './routes.ts';
