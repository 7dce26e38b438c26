import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Network, openServer, trust } from '../../src/ledger/testservers.ts';

/**
 * For ledger-crash.test.ts, in a process of its own: two servers that witness each other, fail-closed, and say on stdout what
 * they acknowledge, until the fault point named in the environment ends them. Argument: a directory.
 */
const root = process.argv[2] ?? '';
const network: Network = { servers: new Map(), requests: [] };
const a = await openServer(join(root, 'a'), 'a', network);
const b = await openServer(join(root, 'b'), 'b', network);
await trust(a, b, 'open');
await trust(b, a, 'open');
await trust(a, b, 'closed');
for (let round = 0; round < 3; round += 1) {
  const number = await a.record('toy/1', 2);
  const { checkpoint } = await a.ledger.proveFact(number);
  await a.assurance.heads.flush();
  writeSync(1, `${JSON.stringify({ number, note: checkpoint.note })}\n`);
}
writeSync(1, 'done\n');
process.exit(0);
