import { identityContract } from '#identity';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { replaceFile } from './home.ts';
import { renderTime } from './output.ts';
import { parseGrant } from './person.ts';

/** The credential goes into a file, not onto the screen. */
export const createMachine: Run = async (invocation) => {
  const networks = invocation.list('network');
  const body = {
    name: invocation.required('name'),
    grants: invocation.list('role').map(parseGrant),
    ...(networks.length > 0 ? { networks: [...networks] } : {}),
  };
  const file = invocation.flag('credential') ?? '';
  const { token, principal, expiresAt } = await withClient(invocation, (client) =>
    client.call(identityContract.createMachine, { body }),
  );
  await replaceFile(file, `${token}\n`);
  return {
    document: { principal, credential: file, expiresAt },
    text: `Created ${principal.name} (${principal.id}); its credential is in ${file} and ends ${renderTime(expiresAt)}.`,
  };
};
