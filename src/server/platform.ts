import { join } from 'node:path';
import { type ArtifactControls, artifactModule, type Artifacts, createArtifacts } from '#artifact';
import { type Attest, attestModule, createAttest } from '#attest';
import type { Clock } from '#base';
import { createWitnessExchange } from '#client';
import { type Build, type BuildControls, buildModule, createBuild } from '#build';
import { createDeployments, deployModule, type Deployments } from '#deploy';
import {
  createIdentity,
  createIssuers,
  type Identity,
  type IdentityControls,
  identityModule,
  type Issuers,
} from '#identity';
import { createJournal, type Journal, type ModuleDefinition } from '#journal';
import { createLedger, type Ledger, ledgerModule } from '#ledger';
import { createReleases, releaseModule, type Releases } from '#release';
import { createSource, type Source, type SourceControls, sourceModule } from '#source';
import { type Db, type ObjectControls, type Objects, openDatabase, openObjects } from '#storage';
import { createTraces, type Traces } from '#trace';
import { openVault, type Vault, vaultModule } from '#vault';
import { layoutOf } from './config.ts';
import { type Instance, openInstance, sealedSecret } from './instance.ts';

/** Every module with facts, in the order of the data. */
export const modules: readonly ModuleDefinition[] = [
  vaultModule,
  ledgerModule,
  identityModule,
  attestModule,
  sourceModule,
  buildModule,
  artifactModule,
  releaseModule,
  deployModule,
];

/** Controls a drill switches off, one at a time, on a throw-away server. No command line and no environment reaches them. */
export interface Controls {
  objects?: ObjectControls;
  identity?: Partial<IdentityControls>;
  source?: Partial<SourceControls>;
  build?: Partial<BuildControls>;
  artifact?: ArtifactControls;
  publisher?: { verifyProvenance?: boolean; successOnly?: boolean };
  release?: { releaseOnly: boolean };
  promotion?: { policy?: boolean; askLedger?: boolean };
  listener?: { tls13?: boolean; noPlaintext?: boolean };
}

/** All the modules, built in order over one data directory. */
export interface Platform {
  instance: Instance;
  /** Nothing was there before. */
  fresh: boolean;
  clock: Clock;
  db: Db;
  objects: Objects;
  journal: Journal;
  vault: Vault;
  ledger: Ledger;
  identity: Identity;
  issuers: Issuers;
  attest: Attest;
  source: Source;
  build: Build;
  artifacts: Artifacts;
  releases: Releases;
  deployments: Deployments;
  traces: Traces;
  close(): Promise<void>;
}

export async function openPlatform({
  data,
  publicUrl,
  clock,
  controls = {},
}: {
  data: string;
  publicUrl?: string;
  clock: Clock;
  controls?: Controls;
}): Promise<Platform> {
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of closers.reverse()) await close();
  };
  const layout = layoutOf(data);
  try {
    const { instance, fresh } = await openInstance(data, publicUrl === undefined ? {} : { publicUrl }, clock.now());
    const db = await openDatabase({ path: layout.database });
    closers.push(() => db.close());
    const objects = await openObjects({
      dir: layout.objects,
      ...(controls.objects ? { controls: controls.objects } : {}),
    });
    const journal = await createJournal({ db, clock, modules });
    closers.push(() => journal.close());
    const vault = await openVault({ dir: layout.vault, db, journal, clock });
    closers.push(() => vault.close());
    const ledger = await createLedger({
      journal,
      vault,
      dir: join(layout.ledger, 'events'),
      clock,
      name: instance.name,
      assurance: { db, objects, exchange: createWitnessExchange() },
    });
    closers.push(() => ledger.close());
    journal.admitWith(() => ledger.refusal, 'ledger');
    const pepper = await sealedSecret(vault, data, 'token-pepper');
    const identity = createIdentity({
      journal,
      db,
      clock,
      pepper,
      ...(controls.identity ? { controls: controls.identity } : {}),
    });
    const issuers = await createIssuers({
      journal,
      db,
      vault,
      clock,
      publicUrl: instance.publicUrl,
      engine: identity,
    });
    const attest = await createAttest({
      journal,
      db,
      vault,
      objects,
      clock,
      publicUrl: instance.publicUrl,
      name: instance.name,
      dir: join(layout.ledger, 'signatures'),
    });
    closers.push(() => attest.close());
    await ledger.assurance?.anchor(attest.signaturesLog);
    const source = await createSource({
      dir: layout.git,
      publicUrl: instance.publicUrl,
      secret: await sealedSecret(vault, data, 'source-secret'),
      journal,
      db,
      objects,
      identity,
      ...(controls.source ? { controls: controls.source } : {}),
    });
    closers.push(() => source.close());
    const build = await createBuild({
      journal,
      db,
      clock,
      objects,
      identity,
      source,
      logsDir: layout.logs,
      publicUrl: instance.publicUrl,
      pepper,
      ...(controls.build ? { controls: controls.build } : {}),
    });
    closers.push(() => build.close());
    const artifacts = createArtifacts({
      db,
      journal,
      objects,
      identity,
      ...(controls.artifact ? { controls: controls.artifact } : {}),
    });
    const releases = createReleases({
      db,
      journal,
      identity,
      artifacts,
      ...(controls.release ? { controls: controls.release } : {}),
    });
    const deployments = createDeployments({
      db,
      journal,
      identity,
      artifacts,
      releases,
      clock,
      publicUrl: instance.publicUrl,
    });
    const traces = createTraces({
      db,
      journal,
      objects,
      ledger,
      attest,
      source,
      artifacts,
      deployments,
      identity,
      clock,
      modules,
      publicUrl: instance.publicUrl,
    });
    return {
      instance,
      fresh,
      clock,
      db,
      objects,
      journal,
      vault,
      ledger,
      identity,
      issuers,
      attest,
      source,
      build,
      artifacts,
      releases,
      deployments,
      traces,
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
