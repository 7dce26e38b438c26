/** A server of its own, to be killed in the middle of the second push (see source-crash.test.ts). */
import { startSourceServer } from './source.ts';

const server = await startSourceServer();
const repository = await server.repository('victim');
const work = await server.maintainer.clone(repository);
const first = await work.commit({ a: '1' });
await work.push();
const second = await work.commit({ a: '2' });
process.stdout.write(
  `${JSON.stringify({ data: server.data, repository: repository.id, first, second, pid: process.pid })}\n`,
);
await work.push();
process.stdout.write('not killed\n');
await server.stop();
