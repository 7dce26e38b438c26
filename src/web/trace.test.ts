import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Hop, hopKinds } from '#trace';
import { parseTarget, spineOf } from './trace.ts';

const hop = fc.record({
  kind: fc.constantFrom(...hopKinds),
  ok: fc.boolean(),
  checks: fc.array(fc.record({ name: fc.string(), status: fc.constantFrom('passed', 'failed', 'not_checked') })),
});

test('the picture has every hop once, and only a hop that holds is shown as good', () => {
  fc.assert(
    fc.property(fc.uniqueArray(hop, { selector: (one) => one.kind, maxLength: 9 }), (drawn) => {
      const hops = drawn.map((one): Hop => ({ ...one, id: '', title: '', at: null, facts: [], links: {} }));
      fc.pre(hops.some((one) => one.kind === 'publication'));
      const nodes = spineOf(hops).flatMap((step) => [step, ...step.inputs, ...step.outputs]);
      assert.equal(nodes.length, hops.length);
      assert.equal(new Set(nodes.map((node) => node.id)).size, hops.length);
      assert.equal(nodes.filter((node) => node.state === 'yes').length, hops.filter((one) => one.ok).length);
    }),
  );
});

test('a target is a digest, a path or name@version, and nothing else', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  assert.deepEqual(parseTarget(digest), { digest });
  assert.deepEqual(parseTarget('/srv/app'), { path: '/srv/app' });
  assert.deepEqual(parseTarget('acme/hello@1'), { name: 'acme/hello@1' });
  for (const wrong of ['', 'hello', 'a@b@c', 'sha256:12', 'a b@c']) {
    assert.throws(() => parseTarget(wrong), { code: 'web.target_invalid' });
  }
});
