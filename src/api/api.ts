import type { Artifacts } from '#artifact';
import type { Attest } from '#attest';
import type { Clock } from '#base';
import type { Build } from '#build';
import type { Deployments } from '#deploy';
import type { Identity, Issuers } from '#identity';
import type { Journal } from '#journal';
import type { Ledger } from '#ledger';
import { type App, openApiDocument } from '#http';
import type { Releases } from '#release';
import type { Source } from '#source';
import type { Traces } from '#trace';
import { bindArtifact } from './artifact.ts';
import { type AssuranceDeps, bindAssurance } from './assurance.ts';
import { bindAttest } from './attest.ts';
import { bindBuild } from './build.ts';
import { bindDeploy } from './deploy.ts';
import { bindHealth } from './health.ts';
import { bindIdentity } from './identity.ts';
import { bindLedger } from './ledger.ts';
import { bindRelease } from './release.ts';
import { bindSource } from './source.ts';
import { bindTrust } from './trust.ts';
import { bindTrace } from './trace.ts';

export interface ApiDeps extends AssuranceDeps {
  publicUrl: string;
  version: string;
  journal: Journal;
  ledger: Ledger;
  identity: Identity;
  issuers: Issuers;
  clock: Clock;
  attest: Attest;
  source: Source;
  build: Build;
  artifacts: Artifacts;
  releases: Releases;
  deployments: Deployments;
  traces: Traces;
}

export function bindApi(app: App, deps: ApiDeps): void {
  bindHealth(app, deps);
  bindIdentity(app, deps);
  bindLedger(app, deps);
  bindAssurance(app, deps);
  bindSource(app, deps);
  bindBuild(app, deps);
  bindAttest(app, deps);
  bindTrust(app, deps);
  bindArtifact(app, deps);
  bindRelease(app, deps);
  bindDeploy(app, deps);
  bindTrace(app, deps);
  serveOpenApi(app, deps.version);
}

function serveOpenApi(app: App, version: string): void {
  let document: string | undefined;
  app.get('/api/openapi.json', async (_request, reply) => {
    document ??= JSON.stringify(openApiDocument(app.endpoints, version));
    return await reply.type('application/json; charset=utf-8').send(document);
  });
}
