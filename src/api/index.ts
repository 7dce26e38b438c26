/**
 * api: our JSON API, one file a noun. Each binds the endpoints a module describes to that module's use cases and shapes the
 * answer; decides nothing itself. The OpenAPI document is made from what is bound.
 */
export { type ApiDeps, bindApi } from './api.ts';
