import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type SourceServer, startSourceServer } from './support/source.ts';

let server: SourceServer;
before(async () => {
  server = await startSourceServer();
});
after(() => server.stop());

test('a signed commit travels: pushed, recorded, cloned again', async () => {
  const repository = await server.repository('hello');
  const work = await server.developer.clone(repository);
  const id = await work.commit({ 'hello.txt': 'hello\n' });
  const push = await work.push();
  assert.equal(push.status, 0, push.output);
  assert.match(push.output, /remote: Push accepted: \d+ checks passed, 1 new commit on record\./);
  const [recorded] = await server.source.refs(repository.id);
  assert.deepEqual([recorded?.ref, recorded?.target], ['refs/heads/main', id]);
  assert.equal((await server.source.verifyRefs(repository.id)).ok, true);
  const again = await server.maintainer.clone(repository);
  assert.equal(await again.git('rev-parse', 'HEAD'), id);
});
