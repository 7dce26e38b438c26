import { identityContract } from '#identity';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { printable } from './printable.ts';
import { parseGrant } from './person.ts';

export const grantRole: Run = async (invocation) => {
  const [principal, group] = [invocation.flag('person'), invocation.flag('group')];
  if ((principal === undefined) === (group === undefined)) {
    throw new UsageError('Say who gets the role.', 'Give either --person NAME or --group NAME.');
  }
  const reason = invocation.flag('reason');
  const grant = { ...parseGrant(invocation.required('role')), ...(reason === undefined ? {} : { reason }) };
  const body = { grant, ...(principal === undefined ? {} : { principal }), ...(group === undefined ? {} : { group }) };
  const given = await withClient(invocation, (client) => client.call(identityContract.giveGrant, { body }));
  return { document: given, text: `Given: ${given.grant}` };
};

export const revokeRole: Run = async (invocation) => {
  const grant = invocation.required('grant');
  const done = await withClient(invocation, (client) =>
    client.call(identityContract.revokeGrant, { params: { grant } }),
  );
  return { document: done, text: `Taken back: ${grant}` };
};

/** Asks the same engine that would decide; its no is a verdict. */
export const explainAccess: Run = async (invocation) => {
  const project = invocation.flag('project');
  const query = { permission: invocation.required('permission'), ...(project === undefined ? {} : { project }) };
  const answer = await withClient(invocation, (client) => client.call(identityContract.explainAccess, { query }));
  const head = answer.allowed ? `✓ allowed: ${answer.permission}` : `✗ not allowed: ${answer.permission}`;
  return {
    document: answer,
    text: [head, ...answer.reasons.map((reason) => `  ${printable(reason)}`)].join('\n'),
    exit: answer.allowed ? 'yes' : 'no',
  };
};

export const createGroup: Run = async (invocation) => {
  const name = invocation.required('group');
  const created = await withClient(invocation, (client) =>
    client.call(identityContract.createGroup, { body: { name } }),
  );
  return { document: created, text: `Created group ${name}.` };
};

export const addMember: Run = async (invocation) => {
  const [group, principal] = [invocation.required('group'), invocation.required('person')];
  const done = await withClient(invocation, (client) =>
    client.call(identityContract.addMember, { params: { group }, body: { principal } }),
  );
  return { document: done, text: `${principal} is now in ${group}.` };
};
