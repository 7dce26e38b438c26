/**
 * http: the listener. TLS 1.3 only, limits on everything, every caller identified before a route runs, errors as problem+json.
 * Knows no domain: routes are bound by api, wire and web.
 */
export { type App, type AppOptions, createApp } from './app.ts';
export { bindEndpoint, type Call, type Handler } from './bind.ts';
export { type Authenticator, SESSION_COOKIE } from './credential.ts';
export { sendEvents, type ServerEvent } from './events.ts';
export { openApiDocument } from './openapi.ts';
export { type ProblemDocument, sendProblem, statusFor, toProblem } from './problem.ts';
export { createTlsAuthority, issueTlsIdentity, type TlsAuthority, type TlsIdentity } from './tls.ts';
