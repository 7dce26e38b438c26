import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { artifactModule, type Artifacts, createArtifacts, startPublisher } from '#artifact';
import { type Attest, attestModule, createAttest, type IdentityExtensions } from '#attest';
import { buildModule, jobFinished, jobStarted, provenanceSigned, runFinished, runQueued } from '#build';
import { type Clock, type Digest, digestOf, hexOf, newId, systemClock } from '#base';
import { createWitnessExchange } from '#client';
import { type Caller, createIdentity, type Identity, identityModule, type Role } from '#identity';
import { createJournal, type FactDefinition, type Journal, type ModuleDefinition, systemActor } from '#journal';
import { createLedger, type Ledger, ledgerModule } from '#ledger';
import { predicateTypes } from '#policy';
import { type Db, type Objects, openDatabase, openObjects } from '#storage';
import { openVault, type Vault, vaultModule } from '#vault';
import { pushAccepted, sourceModule } from '#source';
import { createReleases, type DeciderOptions, releaseModule, type Releases, startDecider, startSeeder } from '#release';

/** For tests from here to the end of the chain: a real installation in a directory of its own. */
export interface House {
  dir: string;
  db: Db;
  journal: Journal;
  objects: Objects;
  vault: Vault;
  ledger: Ledger;
  attest: Attest;
  identity: Identity;
  artifacts: Artifacts;
  releases: Releases;
  clock: Clock & { ms: number };
  modules: readonly ModuleDefinition[];
  owner: Caller;
  /** A person with these roles on the project `acme`. */
  person: (name: string, ...roles: Role[]) => Promise<Caller>;
  machine: (name: string, role: Role) => Promise<{ caller: Caller; token: string }>;
  build: (options?: BuildOptions) => Promise<Built>;
}

export interface BuildOptions {
  author?: string;
  /** Fingerprint of the key the commit is signed with. */
  key?: string;
  commit?: string;
  ref?: string;
  result?: 'success' | 'failure';
  outputs?: Readonly<Record<string, string | Uint8Array>>;
  /** Changes the statement before it is signed. */
  change?: (predicate: Record<string, unknown>) => void;
  san?: string;
}

export interface Built {
  run: string;
  push: string;
  commit: string;
  provenance: Digest;
  digest: Digest;
  name: string;
  version: string;
}

export interface HouseOptions {
  modules?: readonly ModuleDefinition[];
  /** Stream heads, as a server keeps them. */
  assurance?: true;
  controls?: { policy?: boolean; verifyProvenance?: boolean };
}

export const PUBLIC_URL = 'https://waybill.example.com:8443';
export const origin = { kind: 'http' as const, address: '127.0.0.1' };

export async function withHouse(work: (house: House) => Promise<void>, options: HouseOptions = {}): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-house-'));
  const clock = { ms: 0, now: () => systemClock.now() + clock.ms };
  const db = await openDatabase({ path: join(dir, 'waybill.db') });
  const modules = [
    vaultModule,
    identityModule,
    attestModule,
    sourceModule,
    buildModule,
    artifactModule,
    releaseModule,
    ...(options.assurance ? [ledgerModule] : []),
    ...(options.modules ?? []),
  ];
  const journal = await createJournal({ db, clock, modules });
  const vault = await openVault({ dir: join(dir, 'vault'), db, journal });
  const objects = await openObjects({ dir: join(dir, 'objects') });
  const name = 'waybill.example.com';
  const ledger = await createLedger({
    journal,
    vault,
    dir: join(dir, 'ledger', 'events'),
    clock: systemClock,
    name,
    minIntervalMs: 1,
    ...(options.assurance ? { assurance: { db, objects, exchange: createWitnessExchange() } } : {}),
  });
  const attest = await createAttest({
    journal,
    db,
    vault,
    objects,
    clock,
    name,
    publicUrl: PUBLIC_URL,
    dir: join(dir, 'ledger', 'signatures'),
  });
  const identity = createIdentity({ journal, db, clock, pepper: Buffer.alloc(32, 7) });
  const artifacts = createArtifacts({ db, journal, objects, identity });
  const releases = createReleases({ db, journal, identity, artifacts });
  const deciding: DeciderOptions = {
    db,
    journal,
    ledger,
    attest,
    identity,
    clock,
    publicUrl: PUBLIC_URL,
    version: '0.1.0',
    controls: { policy: options.controls?.policy ?? true },
  };
  startSeeder({ journal, publicUrl: PUBLIC_URL });
  startPublisher({
    db,
    journal,
    objects,
    attest,
    publicUrl: PUBLIC_URL,
    controls: { verifyProvenance: options.controls?.verifyProvenance ?? true },
  });
  startDecider(deciding);
  try {
    const owner = await enter(identity, (await identity.bootstrapOwner())!.enrolment);
    await identity.createProject(owner, 'acme');
    await journal.idle();
    const house: House = {
      dir,
      db,
      journal,
      objects,
      vault,
      ledger,
      attest,
      identity,
      artifacts,
      releases,
      clock,
      modules,
      owner,
      async person(person, ...roles) {
        const grants = roles.map((role) => ({ role, project: 'acme' }));
        return await enter(
          identity,
          (await identity.invitePerson(owner, { name: person, emails: [], grants })).enrolment,
        );
      },
      async machine(machine, role) {
        const grants = [{ role, project: 'acme' }];
        const { token } = await identity.createMachine(owner, { name: machine, grants });
        return { caller: (await identity.authenticate(token, origin))!, token };
      },
      build: (built = {}) => recordBuild(house, built),
    };
    await work(house);
  } finally {
    await journal.close();
    await attest.close();
    await ledger.close();
    vault.close();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

async function enter(identity: Identity, enrolment: string): Promise<Caller> {
  const { token } = await identity.redeemEnrolment(enrolment, origin, 'access');
  return (await identity.authenticate(token, origin))!;
}

let builds = 0;

/** What source and build record for one push and its run, with really signed provenance. */
async function recordBuild(house: House, options: BuildOptions): Promise<Built> {
  const { journal, objects, attest } = house;
  const number = ++builds;
  const { ref = 'refs/heads/main', result = 'success', outputs = { program: `program ${number}` } } = options;
  const [run, push, repository] = [newId('run'), newId('psh'), 'rep_hello'];
  const project = (await house.identity.requireProject('acme')).id;
  const commit = options.commit ?? hexOf(digestOf(`commit ${number}`)).slice(0, 40);
  const actor = systemActor('test');
  const record = <P>(fact: FactDefinition<P>, stream: string, payload: P) =>
    journal.record({ fact, stream, actor, payload });
  const pushed = await record(pushAccepted, `repository/${repository}`, {
    push,
    repository,
    project,
    name: 'acme/hello',
    pusher: options.author ?? 'prn_author',
    updates: [{ ref, old: '0'.repeat(40), new: commit }],
    tagged: [],
    commits: [{ id: commit, signer: options.author ?? 'prn_author', key: options.key ?? 'SHA256:test' }],
    checks: [],
    certificate: null,
    certificateNonce: null,
  });
  const path = '.github/workflows/build.yml';
  const job = newId('job');
  await record(runQueued, `run/${run}`, {
    run,
    number,
    project,
    repository,
    name: 'acme/hello',
    commit,
    ref,
    push,
    pushFact: pushed.number,
    pusher: options.author ?? 'prn_author',
    workflow: { path, digest: digestOf('workflow'), name: 'build' },
    jobs: [{ job, key: 'build', name: 'build', needs: [] }],
  });
  const files = await Promise.all(
    Object.entries(outputs).map(async ([name, content]) => {
      const stored = await objects.put(Buffer.from(content));
      const mediaType = 'application/octet-stream';
      return { name, file: `${name}.bin`, digest: stored.digest, size: stored.size, mediaType };
    }),
  );
  await record(jobStarted, `run/${run}`, {
    run,
    job,
    attempt: 1,
    runner: 'prn_runner',
    runnerName: 'runner-1',
    sandbox: {
      profile: digestOf('profile'),
      filter: digestOf('filter'),
      bubblewrap: '0.8.0',
      kernel: '6.1',
      selfTest: { ok: true, checks: 1, failed: [] },
      toolchain: [],
    },
  });
  await record(jobFinished, `run/${run}`, {
    run,
    job,
    attempt: 1,
    result,
    reason: '',
    steps: [],
    log: null,
    outputs: files,
    values: {},
  });
  await record(runFinished, `run/${run}`, { run, result, outputs: files });
  const predicate = provenanceOf({ run, commit, ref, path });
  options.change?.(predicate);
  const signed = await attest.sign({
    predicateType: predicateTypes.provenance,
    predicate,
    subjects: files.map(({ name, digest }) => ({ name, digest: { sha256: hexOf(digest) } })),
    identity: { san: options.san ?? `${PUBLIC_URL}/acme/hello/${path}@${ref}`, extensions: extensionsOf(commit, ref) },
    actor,
  });
  await record(provenanceSigned, `run/${run}`, {
    run,
    bundle: signed.bundle,
    subjects: files.map(({ name, digest }) => ({ name, digest })),
  });
  await journal.idle();
  const version = `${number}-${commit.slice(0, 8)}`;
  return {
    run,
    push,
    commit,
    version,
    provenance: signed.bundle,
    digest: files[0]!.digest,
    name: `acme/hello/${files[0]!.name}`,
  };
}

function provenanceOf(run: { run: string; commit: string; ref: string; path: string }): Record<string, unknown> {
  const repository = `${PUBLIC_URL}/acme/hello`;
  return {
    buildDefinition: {
      buildType: `${PUBLIC_URL}/buildtypes/workflow/v1`,
      externalParameters: { workflow: { repository, path: run.path, ref: run.ref } },
      internalParameters: {},
      resolvedDependencies: [{ uri: `git+${repository}@${run.ref}`, digest: { gitCommit: run.commit } }],
    },
    runDetails: {
      builder: { id: `${PUBLIC_URL}/builders/hosted-sandbox/v1` },
      metadata: {
        invocationId: `${repository}/runs/${run.run}/attempts/1`,
        startedOn: new Date(Date.now() - 5000).toISOString(),
        finishedOn: new Date().toISOString(),
      },
    },
  };
}

const extensionsOf = (commit: string, ref: string): IdentityExtensions => ({
  sourceRepositoryDigest: commit,
  sourceRepositoryRef: ref,
});
