import { confirmErasure, requestErasure } from '#ledger';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';

export const erase: Run = async (invocation) => {
  const text = invocation.required('fact');
  const fact = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  const reason = invocation.flag('reason');
  if (!Number.isSafeInteger(fact))
    throw new UsageError(`"${text}" is not the number of a fact.`, 'Facts are 1, 2, 3, …');
  if (invocation.isSet('confirm')) {
    const done = await withClient(invocation, (client) => client.call(confirmErasure, { params: { fact } }));
    return { document: done, text: `The payload of fact ${fact} is erased; fact ${done.erasedBy} says so.` };
  }
  if (reason === undefined) throw new UsageError('--reason TEXT is missing: why is it erased?', 'It is recorded.');
  const asked = await withClient(invocation, (client) => client.call(requestErasure, { body: { fact, reason } }));
  const next = `Next, as another person, within seven days: waybill ledger erase ${fact} --confirm`;
  return { document: asked, text: `Asked for fact ${fact} to be erased.\n${next}`, exit: 'pending' };
};
