import { identityContract, roleNames } from '#identity';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { renderFields, renderTable, renderTime } from './output.ts';

type RoleName = (typeof roleNames)[number];
type GrantWords = { role: RoleName; project?: string };

/** `maintainer@acme` is a role in one project, `owner` one on the whole instance. */
export function parseGrant(text: string): GrantWords {
  const [name, project, more] = text.split('@');
  const role = roleNames.find((one) => one === name);
  if (role === undefined || more !== undefined || project === '') {
    throw new UsageError(`"${text}" is not a role.`, `Write ROLE@PROJECT or ROLE; roles are ${roleNames.join(', ')}.`);
  }
  return project === undefined ? { role } : { role, project };
}

export const invitePerson: Run = async (invocation) => {
  const body = {
    name: invocation.required('name'),
    emails: [...invocation.list('email')],
    grants: invocation.list('role').map(parseGrant),
  };
  const invited = await withClient(invocation, (client) => client.call(identityContract.invitePerson, { body }));
  return { document: invited, text: renderInvitation(invocation, invited.principal.name, invited) };
};

export const invitePersonAgain: Run = async (invocation) => {
  const person = invocation.required('person');
  const invited = await withClient(invocation, (client) =>
    client.call(identityContract.inviteAgain, { params: { person } }),
  );
  return { document: invited, text: renderInvitation(invocation, person, invited) };
};

function renderInvitation(invocation: Invocation, name: string, invited: { link: string; expiresAt: string }): string {
  return [
    renderFields(invocation.terminal, [
      ['person', name],
      ['link', invited.link],
      ['until', renderTime(invited.expiresAt)],
    ]),
    'The link works once. Send it over a channel that only this person reads.',
  ].join('\n');
}

export const listPeople: Run = async (invocation) => {
  const page = await withClient(invocation, (client) => client.call(identityContract.listPeople));
  type Principal = (typeof page.items)[number];
  const columns = [
    { title: 'NAME', cell: (one: Principal) => one.name },
    { title: 'KIND', cell: (one: Principal) => one.kind },
    { title: 'STATE', cell: (one: Principal) => (one.active ? 'active' : 'ended') },
    { title: 'E-MAIL', cell: (one: Principal) => one.emails.join(', ') },
    { title: 'ID', cell: (one: Principal) => one.id },
  ];
  const text = renderTable(invocation.terminal, page.items, columns, 'Nobody. Next: waybill person invite NAME');
  return { document: page, text };
};
