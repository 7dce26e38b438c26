import type { z } from 'zod';
import { deployContract } from '#deploy';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { renderFields, renderTable, renderTime, shortDigest } from './output.ts';

type Deployment = z.output<typeof deployContract.DeploymentView>;
type Target = z.output<typeof deployContract.TargetView>;

function environmentOf(invocation: Invocation): { project: string; environment: string } {
  const [project = '', environment = ''] = invocation.required('environment').split('/');
  if (!project || !environment) throw new UsageError('An environment is PROJECT/NAME.', 'Such as acme/production.');
  return { project, environment };
}

export const createTarget: Run = async (invocation) => {
  const params = environmentOf(invocation);
  const agent = invocation.required('agent');
  const name = invocation.flag('name') ?? agent;
  const target = await withClient(invocation, (client) =>
    client.call(deployContract.createTarget, { params, body: { name, agent } }),
  );
  return {
    document: target,
    text: `${target.name} serves ${params.project}/${params.environment} as target ${target.id}.`,
  };
};

export const listTargets: Run = async (invocation) => {
  const page = await withClient(invocation, (client) =>
    client.call(deployContract.listTargets, { params: environmentOf(invocation) }),
  );
  const columns = [
    { title: 'TARGET', cell: (one: Target) => one.id },
    { title: 'NAME', cell: (one: Target) => one.name },
    { title: 'LAST HEARD OF', cell: (one: Target) => (one.seenAt === null ? 'never' : renderTime(one.seenAt)) },
  ];
  const empty = 'No target. Next: waybill deploy target PROJECT/ENVIRONMENT AGENT';
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, empty) };
};

export const requestDeploy: Run = async (invocation) => {
  const params = environmentOf(invocation);
  const item = await withClient(invocation, (client) =>
    client.call(deployContract.requestDeploy, { params, body: { artifact: invocation.required('artifact') } }),
  );
  return { document: item, text: `${params.project}/${params.environment} is to run ${item.name}@${item.version}.` };
};

/** Promised against running; a deployment that drifted is the verdict no. */
export const listDeployments: Run = async (invocation) => {
  const { project, environment } = environmentOf(invocation);
  const page = await withClient(invocation, (client) =>
    client.call(deployContract.listDeployments, { params: { project }, query: { environment } }),
  );
  const columns = [
    { title: 'STATUS', cell: (one: Deployment) => one.status },
    { title: 'ARTIFACT', cell: (one: Deployment) => `${one.name}@${one.version}` },
    { title: 'DIGEST', cell: (one: Deployment) => shortDigest(one.digest) },
    { title: 'PATH', cell: (one: Deployment) => one.path },
    { title: 'VERIFIED', cell: (one: Deployment) => renderTime(one.verifiedAt) },
  ];
  const drifted = page.items.filter((one) => one.status === 'drifted');
  const details = drifted.map((one) =>
    renderFields(invocation.terminal, [
      ['drift', `${one.drift?.kind ?? ''} of ${one.name} at ${one.drift?.path ?? one.path}`],
      ['expected', one.drift?.expected],
      ['found', one.drift?.found],
      ['since', renderTime(one.driftedAt)],
    ]),
  );
  const table = renderTable(invocation.terminal, page.items, columns, 'Nothing was deployed here yet.');
  return { document: page, text: [table, ...details].join('\n\n'), exit: drifted.length > 0 ? 'no' : 'yes' };
};
