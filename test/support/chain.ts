import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { newId } from '#base';
import { createDeployments, deployModule, type Deployments } from '#deploy';
import type { Caller } from '#identity';
import { createSource, type Source } from '#source';
import { createTraces, type Trace, type TraceQuery, type Traces } from '#trace';
import { type Built, type House, type HouseOptions, PUBLIC_URL, withHouse } from './house.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1nWTBcCF2g1ku6SxTRkRbGpLvDnNHKpOaKi0KHXVtZ dev@example.org';
/** Where the program of the chain is deployed. */
export const PATH = '/srv/acme/program';

export interface Chain {
  house: House;
  traces: Traces;
  deployments: Deployments;
  source: Source;
  built: Built;
  dev: Caller;
  agent: Caller;
  target: string;
  deployment: string;
  trace: (query: TraceQuery) => Promise<Trace>;
}

/** A real chain: git commit, push, run, provenance, publication, three promotions, a deployment. */
export async function withChain(work: (chain: Chain) => Promise<void>, options: HouseOptions = {}): Promise<void> {
  await withHouse(
    async (house) => {
      const { db, journal, identity, artifacts, releases, clock, owner, objects, ledger, attest, modules } = house;
      const commit = makeCommit(join(house.dir, 'git', 'rep_hello.git'));
      const source = await createSource({
        dir: join(house.dir, 'git'),
        publicUrl: PUBLIC_URL,
        secret: Buffer.alloc(32, 3),
        journal,
        db,
        objects,
        identity,
      });
      try {
        const deployments = createDeployments({
          db,
          journal,
          identity,
          artifacts,
          releases,
          clock,
          publicUrl: PUBLIC_URL,
        });
        const traces = createTraces({
          db,
          journal,
          identity,
          artifacts,
          deployments,
          ledger,
          objects,
          attest,
          source,
          modules,
          clock,
          publicUrl: PUBLIC_URL,
        });
        const dev = await house.person('ann', 'developer');
        const { fingerprint } = await identity.enrolKey(dev, KEY, 'laptop');
        const built = await house.build({
          author: dev.principal,
          key: fingerprint,
          commit,
          outputs: { program: 'the program', other: 'another' },
        });
        await promoteAll(house, built, dev);
        const { caller: agent } = await house.machine('host-1', 'agent');
        const about = { project: 'acme', environment: 'production', name: 'host-1', agent: 'host-1' };
        const { id: target } = await deployments.createTarget(owner, about);
        const [item] = (await deployments.plan(agent, target)).items;
        const { promotion, artifact, digest, name, version, provenance, summary } = item!;
        const deployment = newId('dep');
        await deployments.report(agent, target, {
          kind: 'verified',
          report: newId('rpt'),
          seenAt: Date.now(),
          deployment,
          promotion,
          artifact,
          digest,
          name,
          version,
          provenance,
          summary,
          path: PATH,
          started: true,
          checks: [{ name: 'digest', status: 'passed' }],
        });
        const trace = (query: TraceQuery) => traces.trace(dev, query);
        await work({ house, traces, deployments, source, built, dev, agent, target, deployment, trace });
      } finally {
        await source.close();
      }
    },
    { modules: [deployModule], ...options },
  );
}

function makeCommit(dir: string): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: '/nonexistent' } }).trim();
  git('init', '--quiet', '--bare', '--initial-branch=main', dir);
  const tree = git('-C', dir, 'hash-object', '-t', 'tree', '-w', '/dev/null');
  const who = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org'];
  return git('-C', dir, ...who, 'commit-tree', tree, '-m', 'first');
}

async function promoteAll(house: House, built: Built, dev: Caller): Promise<void> {
  const approver = await house.person('bob', 'release-approver');
  for (const to of ['dev', 'staging', 'production']) {
    const { id } = await house.releases.requestPromotion(dev, { project: 'acme', artifact: built.digest, to });
    await house.journal.idle();
    // The developer wrote the commit, so somebody else approves.
    if (to === 'production') await house.releases.approve(approver, id);
    await house.journal.idle();
    assert.equal((await house.releases.promotion(dev, id)).status, 'promoted', to);
  }
}
