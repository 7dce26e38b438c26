import { identityContract } from '#identity';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { renderFields, renderTable, renderTime } from './output.ts';

export const createProject: Run = async (invocation) => {
  const slug = invocation.required('project');
  const project = await withClient(invocation, (client) =>
    client.call(identityContract.createProject, { body: { slug } }),
  );
  return { document: project, text: `Created project ${project.slug}. Next: waybill repository create ${slug}/NAME` };
};

export const listProjects: Run = async (invocation) => {
  const page = await withClient(invocation, (client) => client.call(identityContract.listProjects));
  const columns = [
    { title: 'PROJECT', cell: (project: (typeof page.items)[number]) => project.slug },
    { title: 'CREATED', cell: (project: (typeof page.items)[number]) => renderTime(project.createdAt) },
    { title: 'ID', cell: (project: (typeof page.items)[number]) => project.id },
  ];
  const empty = 'No project that you may read. Next: waybill project create NAME';
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, empty) };
};

export const showProject: Run = async (invocation) => {
  const project = await withClient(invocation, (client) =>
    client.call(identityContract.showProject, { params: { project: invocation.required('project') } }),
  );
  const text = renderFields(invocation.terminal, [
    ['project', project.slug],
    ['id', project.id],
    ['created', renderTime(project.createdAt)],
  ]);
  return { document: project, text };
};
