import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, failed, notChecked, passed, verdictOf } from '#base';
import type { Fact } from '#journal';
import { agrees, makeHop, missingHop, objectCheck, streamCheck } from './hop.ts';

const fact = (seq: number, number: number, previous: number | null): Fact => ({
  number,
  stream: 'run/run_a',
  seq,
  previous,
  type: 'build.run_queued',
  version: 1,
  at: 0,
  actor: { principal: 'system', origin: { kind: 'system' } },
  subject: null,
  payload: {},
});

test('a hop holds only if something was checked and all of it passed', () => {
  const hop = (...checks: Parameters<typeof makeHop>[0]['checks'] & object) =>
    makeHop({ kind: 'run', id: 'a', title: 'a', checks }).ok;
  assert.equal(hop(passed('a')), true);
  assert.equal(hop(passed('a'), failed('b')), false);
  assert.equal(hop(passed('a'), notChecked('b', 'why')), false);
  assert.equal(hop(), false);
  assert.equal(missingHop('run', 'a', 'a', 'a run').ok, false);
});

test('a fact the ledger does not vouch for breaks its hop with the ledger’s own reason', () => {
  const ledger = verdictOf([
    passed('ledger.tile'),
    failed('ledger.entry', { code: 'ledger.entry_altered', found: 'x' }),
  ]);
  const hop = makeHop({
    kind: 'run',
    id: 'a',
    title: 'a',
    proven: [{ fact: fact(1, 7, null), ledger }],
    checks: [passed('a')],
  });
  assert.equal(hop.ok, false);
  assert.deepEqual(
    hop.checks.map(({ code }) => code),
    ['ledger.entry_altered', undefined],
  );
  assert.equal(hop.facts[0]?.leaf, 6);
  const silent = makeHop({
    kind: 'run',
    id: 'a',
    title: 'a',
    proven: [{ fact: fact(1, 7, null), ledger: verdictOf([]) }],
  });
  assert.deepEqual(
    silent.checks.map(({ code }) => code),
    ['trace.not_proven'],
  );
});

test('a stream shows a fact that was taken out at its beginning or in its middle', () => {
  const facts = [fact(1, 3, null), fact(2, 5, 3), fact(3, 9, 5)];
  assert.equal(streamCheck(facts).status, 'passed');
  assert.equal(streamCheck(facts.slice(1)).code, 'trace.fact_missing');
  assert.equal(streamCheck([facts[0]!, facts[2]!]).code, 'trace.fact_missing');
  assert.equal(streamCheck([facts[0]!, fact(2, 9, 5)]).code, 'trace.fact_missing');
});

test('two unknown things do not agree, and a missing object is not an altered one', () => {
  assert.equal(agrees('a', undefined, undefined).status, 'failed');
  assert.equal(agrees('a', 'x', 'x').status, 'passed');
  const digest = digestOf('a');
  assert.equal(objectCheck('a', { digest, found: digest }).status, 'passed');
  assert.equal(objectCheck('a', { digest, found: null }).code, 'trace.object_missing');
  assert.equal(objectCheck('a', { digest, found: digestOf('b') }).code, 'trace.object_altered');
});
