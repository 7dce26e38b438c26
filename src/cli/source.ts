import { join } from 'node:path';
import type { z } from 'zod';
import type { Check } from '#base';
import { sourceContract } from '#source';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { openHome } from './home.ts';
import { renderChecks, renderFields, renderTable, renderTime } from './output.ts';

type Push = z.output<typeof sourceContract.PushView>;
type Repository = z.output<typeof sourceContract.RepositoryView>;

function repositoryOf(invocation: Invocation): { project: string; repository: string } {
  const [project = '', repository = '', ...rest] = invocation.required('repository').split('/');
  if (!project || !repository || rest.length > 0)
    throw new UsageError('A repository is PROJECT/NAME.', 'Such as acme/hello.');
  return { project, repository };
}

export const createRepository: Run = async (invocation) => {
  const { project, repository: name } = repositoryOf(invocation);
  const paths = invocation.list('protect');
  const body = { name, ...(paths.length > 0 ? { protectedPaths: [...paths] } : {}) };
  const repository = await withClient(invocation, (client) =>
    client.call(sourceContract.createRepository, { params: { project }, body }),
  );
  const home = openHome(invocation.terminal);
  const { directory } = home;
  const pinned = (await home.login())?.ca !== undefined;
  const text = [
    `Created ${repository.name}. Next, in your clone, and then push signed commits:`,
    `  git remote add origin ${repository.cloneUrl}`,
    ...(pinned ? [`  git config http.sslCAInfo "${join(directory, 'ca.pem')}"`] : []),
    `  git config credential.helper '${credentialHelper(join(directory, 'token'))}'`,
  ].join('\n');
  return { document: repository, text };
};

/** A git credential helper that reads the token where `waybill login` keeps it, so that it stands nowhere else. */
function credentialHelper(tokenFile: string): string {
  return `!f() { test "$1" = get && echo username=waybill && echo "password=$(cat "${tokenFile}")"; }; f`;
}

export const listRepositories: Run = async (invocation) => {
  const project = invocation.required('project');
  const page = await withClient(invocation, (client) =>
    client.call(sourceContract.listRepositories, { params: { project } }),
  );
  const columns = [
    { title: 'REPOSITORY', cell: (one: Repository) => one.name },
    { title: 'CLONE', cell: (one: Repository) => one.cloneUrl },
    { title: 'CREATED', cell: (one: Repository) => renderTime(one.createdAt) },
  ];
  const empty = `No repository. Next: waybill repository create ${project}/NAME`;
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, empty) };
};

export const showRepository: Run = async (invocation) => {
  const params = repositoryOf(invocation);
  const [repository, gate] = await withClient(invocation, (client) =>
    Promise.all([
      client.call(sourceContract.showRepository, { params }),
      client.call(sourceContract.showGate, { params }),
    ]),
  );
  const fields = renderFields(invocation.terminal, [
    ['repository', repository.name],
    ['clone', repository.cloneUrl],
    ['signed pushes', repository.pushCertificates],
    ['protected', repository.protectedPaths.join(', ')],
    ['refs', (repository.refs ?? []).map((one) => `${one.ref} ${one.target.slice(0, 12)}`).join('\n')],
  ]);
  const rules = gate.controls.map((control) => `  ${control.on ? '✓' : '✗'} ${control.rule}`);
  return { document: { ...repository, gate }, text: [fields, '', 'The gate asks of every push:', ...rules].join('\n') };
};

export const listPushes: Run = async (invocation) => {
  const { project, repository } = repositoryOf(invocation);
  const query = { repository, limit: invocation.flag('limit') ?? 50 };
  const page = await withClient(invocation, (client) =>
    client.call(sourceContract.listPushes, { params: { project }, query }),
  );
  const columns = [
    { title: 'PUSH', cell: (one: Push) => one.id },
    { title: 'STATE', cell: (one: Push) => one.state },
    { title: 'REFS', cell: (one: Push) => one.updates.map((update) => update.ref).join(', ') },
    { title: 'WHEN', cell: (one: Push) => renderTime(one.at) },
  ];
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, 'Nothing was pushed yet.') };
};

export const showPush: Run = async (invocation) => {
  const push = await withClient(invocation, (client) =>
    client.call(sourceContract.showPush, { params: { push: invocation.required('push') } }),
  );
  const fields = renderFields(invocation.terminal, [
    ['push', push.id],
    ['state', push.state],
    ['repository', push.repository],
    ['by', push.pusher],
    ['when', renderTime(push.at)],
    ['fact', push.fact],
    ['refs', push.updates.map((one) => `${one.ref}: ${one.old.slice(0, 12)} → ${one.new.slice(0, 12)}`).join('\n')],
  ]);
  return {
    document: push,
    text: `${fields}\n\n${renderChecks(invocation.terminal, push.checks as Check[])}`,
    exit: push.state === 'accepted' ? 'yes' : 'no',
  };
};
