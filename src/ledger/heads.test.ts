import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { rebuildAndCompare } from '#journal';
import type { Hash } from './hash.ts';
import { parsePolicy, renderPolicy } from './policy.ts';
import { createStreamMap, emptyMapRoot, verifyMapProof } from './streammap.ts';
import { parseStreamProof, type StreamProof, verifyStreamProof } from './streamproof.ts';
import { modules, type Server, withServers } from './testservers.ts';

test('the map has one root for one content, whatever the order, and proves presence and absence', () => {
  const entry = fc.record({
    stream: fc.integer({ min: 0, max: 40 }).map((n) => `toy/${n}`),
    number: fc.integer({ min: 1, max: 1e9 }),
    seq: fc.integer({ min: 1, max: 1e6 }),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 60 }), fc.infiniteStream(fc.nat()), (entries, order) => {
      const last = new Map(entries.map((e) => [e.stream, e]));
      const shuffled = [...last.values()].map((e) => ({ e, at: order.next().value })).toSorted((a, b) => a.at - b.at);
      const [first, second] = [createStreamMap(), createStreamMap()];
      for (const e of entries) first.set(e.stream, e);
      for (const { e } of shuffled) second.set(e.stream, e);
      assert.equal(first.root(), second.root());
      assert.equal(first.count(), last.size);
      for (let n = 0; n <= 41; n += 1) {
        const stream = `toy/${n}`;
        const known = last.get(stream);
        const proof = first.prove(stream);
        assert.deepEqual(
          verifyMapProof(stream, proof, first.root()),
          known ? { number: known.number, seq: known.seq } : 'absent',
        );
        if (!proof.end) continue;
        const forged = { ...proof, end: { ...proof.end, number: proof.end.number + 1 } };
        assert.equal(verifyMapProof(stream, forged, first.root()), undefined);
        assert.equal(
          verifyMapProof(stream, { ...proof, siblings: [...proof.siblings, emptyMapRoot] }, first.root()),
          undefined,
        );
        assert.equal(verifyMapProof(stream, { siblings: proof.siblings, end: undefined }, first.root()), undefined);
      }
    }),
    { numRuns: 30 },
  );
  assert.equal(createStreamMap().root(), emptyMapRoot);
  assert.equal(verifyMapProof('toy/1', createStreamMap().prove('toy/1'), emptyMapRoot), 'absent');
});

function policyOf({ ledger }: Server) {
  return parsePolicy(renderPolicy({ log: { vkey: ledger.events.verifier.vkey }, witnesses: [], k: 'any' }));
}

const failuresOf = (proof: StreamProof, server: Server): string[] =>
  verifyStreamProof(proof, policyOf(server)).checks.flatMap(({ status, code }) =>
    status === 'failed' ? [code ?? ''] : [],
  );

test('a stream is proven whole; an entry left out, made up or put elsewhere is found offline', () =>
  withServers(['a'], async ([a]) => {
    assert.ok(a);
    for (let i = 0; i < 5; i += 1) {
      await a.record('toy/one');
      await a.record('toy/two', 2);
    }
    const proof = parseStreamProof(JSON.stringify(await a.assurance.heads.proveStream('toy/one')));
    const verdict = verifyStreamProof(proof, policyOf(a));
    assert.ok(verdict.ok, JSON.stringify(verdict.checks));
    assert.deepEqual(
      verdict.leaves.map(({ sq }) => sq),
      [1, 2, 3, 4, 5],
    );
    const { leaves } = proof;
    const without = (at: number) => leaves.filter((_, i) => i !== at);
    assert.deepEqual(failuresOf({ ...proof, leaves: without(0) }, a), ['ledger.leaf_omitted']);
    assert.deepEqual(failuresOf({ ...proof, leaves: without(2) }, a), ['ledger.leaf_omitted']);
    assert.deepEqual(failuresOf({ ...proof, leaves: without(4) }, a), ['ledger.leaf_omitted']);
    assert.deepEqual(failuresOf({ ...proof, leaves: [] }, a), ['ledger.leaf_omitted']);
    const [first, second, ...rest] = leaves as [never, never, never];
    assert.deepEqual(failuresOf({ ...proof, leaves: [second, first, ...rest] }, a), ['ledger.leaf_reordered']);
    assert.deepEqual(failuresOf({ ...proof, leaves: [first, first, second, ...rest] }, a), ['ledger.leaf_reordered']);
    const forged = leaves.map((entry, i) =>
      i === 2 ? { ...entry, leaf: entry.leaf.replace('toy.happened', 'toy.otherwise') } : entry,
    );
    assert.deepEqual(failuresOf({ ...proof, leaves: forged }, a), ['ledger.leaf_invented']);
    const other = await a.assurance.heads.proveStream('toy/two');
    assert.deepEqual(failuresOf({ ...other, leaves: [...other.leaves.slice(0, 2), ...leaves] }, a), [
      'ledger.leaf_invented',
    ]);
    assert.ok(failuresOf({ ...proof, stream: 'toy/two' }, a).length > 0);
    assert.deepEqual(failuresOf({ ...proof, map: other.map }, a), ['ledger.map_proof_wrong']);
    const opened = JSON.parse(proof.heads.private) as { payload: { size: number } };
    opened.payload.size += 1;
    assert.deepEqual(failuresOf({ ...proof, heads: { ...proof.heads, private: JSON.stringify(opened) } }, a), [
      'ledger.commitment_wrong',
    ]);
    assert.deepEqual(failuresOf({ ...proof, heads: { ...leaves[0], private: '', salt: '' } as never }, a), [
      'ledger.heads_wrong',
    ]);

    const none = await a.assurance.heads.proveStream('toy/none');
    const absent = verifyStreamProof(none, policyOf(a));
    assert.ok(absent.ok, JSON.stringify(absent.checks));
    assert.deepEqual(failuresOf({ ...none, leaves }, a), ['ledger.leaf_invented']);
  }));

test('the map is logged when something happened, never because it was logged', () =>
  withServers(
    ['a'],
    async ([a]) => {
      assert.ok(a);
      await a.record('toy/one');
      const headsFacts = async () => (await a.journal.read({ types: ['ledger.stream_heads'], limit: 100 })).length;
      const end = performance.now() + 3000;
      while ((await headsFacts()) === 0 && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 10));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const before = await headsFacts();
      assert.ok(before >= 1);
      await a.assurance.heads.flush();
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(await headsFacts(), before);
      const verdict = await a.ledger.verify();
      assert.ok(verdict.ok, JSON.stringify(verdict));
      assert.ok(verdict.checks.some(({ name }) => name === 'ledger.stream_heads'));
      const rebuilt = await rebuildAndCompare({ db: a.db, modules });
      assert.ok(rebuilt.ok, JSON.stringify(rebuilt));
    },
    { headsIntervalMs: 20 },
  ));

test('a logged map that the log does not give is found by reading it all again', () =>
  withServers(['a'], async ([a]) => {
    assert.ok(a);
    await a.ledger.waitForFact(await a.record('toy/one', 3));
    const { streamHeads } = await import('./facts.ts');
    const { systemActor } = await import('#journal');
    const root = Buffer.from('x'.repeat(32) as Hash, 'latin1').toString('base64');
    await a.journal.record({
      fact: streamHeads,
      payload: { size: 2, streams: 1, root },
      stream: 'log/heads',
      actor: systemActor('test'),
    });
    const verdict = await a.ledger.verify();
    const check = verdict.checks.find(({ name }) => name === 'ledger.stream_heads');
    assert.equal(check?.code, 'ledger.stream_heads_differ');
  }));
