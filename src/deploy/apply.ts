import { canonicalJson } from '#base';
import type { Fact, ModuleDefinition } from '#journal';
import type { Tx } from '#storage';
import * as facts from './facts.ts';
import { migrations } from './migrations.ts';
import * as store from './store.ts';

interface Reported {
  report: string;
  target: string;
  digest: string;
}

export const deployModule: ModuleDefinition = {
  name: 'deploy',
  migrations,
  facts: [facts.targetCreated, facts.requested, facts.verified, facts.refused, facts.drifted, facts.stopped],
  apply: {
    'deploy.target_created': applyTarget,
    'deploy.requested': applyRequest,
    'deploy.verified': applyVerified,
    'deploy.refused': (tx, fact: Fact<Reported>) => noteReport(tx, fact),
    'deploy.drifted': applyDrifted,
    'deploy.stopped': applyStopped,
  },
};

async function applyTarget(tx: Tx, { number, at, payload }: Fact<facts.TargetCreated>): Promise<void> {
  const { target, project, environment, environmentName, name, agent } = payload;
  const row = { id: target, fact: number, project, environment, name, agent, at };
  await store.insertTarget(tx, { ...row, environment_name: environmentName });
}

async function applyRequest(tx: Tx, { number, at, actor, payload }: Fact<facts.Requested>): Promise<void> {
  const { project, environment, name, version, digest, artifact, promotion } = payload;
  const row = { project, environment, name, version, digest, artifact, promotion };
  await store.insertRequest(tx, { ...row, fact: number, principal: actor.principal, at });
}

async function applyVerified(tx: Tx, fact: Fact<facts.Verified>): Promise<void> {
  const { deployment, target, project, environment, promotion, artifact, digest, name, version, path, started } =
    fact.payload;
  await store.insertDeployment(tx, {
    id: deployment,
    fact: fact.number,
    target,
    project,
    environment,
    promotion,
    artifact,
    digest,
    name,
    version,
    path,
    status: started ? 'running' : 'placed',
    verified_at: fact.at,
    drift: null,
    drifted_at: null,
    stop_reason: null,
    stopped_at: null,
    last_fact: fact.number,
  });
  await noteReport(tx, fact);
}

/** A drift stays on record after the program has stopped: the host is to be looked at, not the process. */
async function applyDrifted(tx: Tx, fact: Fact<facts.Drifted>): Promise<void> {
  const { deployment, kind, path, expected, found } = fact.payload;
  await store.updateDeployment(tx, deployment, {
    status: 'drifted',
    drift: canonicalJson({ kind, path, expected, found }),
    drifted_at: fact.at,
    last_fact: fact.number,
  });
  await noteReport(tx, fact);
}

async function applyStopped(tx: Tx, fact: Fact<facts.Stopped>): Promise<void> {
  const { deployment, reason } = fact.payload;
  const drifted = (await store.findDeployment(tx, deployment))?.status === 'drifted' && reason !== 'replaced';
  await store.updateDeployment(tx, deployment, {
    ...(drifted ? {} : { status: 'stopped' }),
    stop_reason: reason,
    stopped_at: fact.at,
    last_fact: fact.number,
  });
  await noteReport(tx, fact);
}

async function noteReport(tx: Tx, { number, type, at, payload }: Fact<Reported>): Promise<void> {
  const { report, target, digest } = payload;
  await store.insertReport(tx, { id: report, fact: number, target, kind: type, digest, at });
}
