import type { Attest } from '#attest';
import type { Clock } from '#base';
import type { App } from '#http';
import type { Identity, Issuers } from '#identity';
import { registerFulcio, SIGNING_PATH } from './fulcio.ts';
import { registerPredicatePages } from './pages.ts';
import { registerOidc } from './oidc.ts';
import { registerRekor1 } from './rekor1.ts';
import { registerRekor2 } from './rekor2.ts';
import { registerTimestamp } from './timestamp.ts';
import { registerTuf } from './tuf.ts';

export interface SigstoreDeps {
  attest: Attest;
  identity: Identity;
  issuers: Issuers;
  clock: Clock;
  publicUrl: string;
  version: string;
}

/** wire/sigstore: the APIs of Fulcio, Rekor v1 and v2 and the timestamp authority, so that stock clients sign here. */
export function registerSigstoreRoutes(app: App, deps: SigstoreDeps): void {
  registerOidc(app, deps);
  registerFulcio(app, deps);
  registerRekor1(app, deps);
  registerRekor2(app, deps);
  registerTimestamp(app, deps);
  registerTuf(app, deps);
  registerPredicatePages(app, deps);
}

/** Where the Authorization header carries the token of another issuer, which is looked at there and not at the door. */
export const foreignCredentialPaths: readonly string[] = [SIGNING_PATH];

export { createRateLimit } from './status.ts';
