import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { rebuildAndCompare, systemActor } from '#journal';
import { cosignersOf } from '../src/ledger/cosigning.ts';
import { parseForkFile, verifyForkFile } from '../src/ledger/fork.ts';
import { parseNote } from '../src/ledger/note.ts';
import { judgeCheckpoint } from '../src/ledger/policy.ts';
import { modules, type Network, openServer, type Server, trust, withServers } from '../src/ledger/testservers.ts';
import { parseVkey } from '../src/ledger/vkey.ts';

async function pair(a: Server, b: Server, fail: 'open' | 'closed'): Promise<void> {
  await trust(a, b, 'open');
  await trust(b, a, 'open');
  if (fail === 'closed')
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const)
      await trust(one, other, 'closed');
}

/** Waits until nobody asks anybody; gives the number of requests so far. */
async function quiet({ requests }: Network): Promise<number> {
  let before = -1;
  const end = performance.now() + 3000;
  while (before !== requests.length) {
    assert.ok(performance.now() < end, 'they come to rest');
    before = requests.length;
    await new Promise((resolve) => setTimeout(resolve, 80));
  }
  return before;
}

/** Everything is logged, and the witnesses have been asked about it. */
async function settled({ journal, ledger, assurance }: Server): Promise<void> {
  await ledger.events.waitFor((await journal.head()) - 1);
  await assurance.cosigning.run();
}

async function servedCheckpoint({ ledger }: Server): Promise<string> {
  return ((await ledger.events.tileBytes('checkpoint')) ?? '').toString();
}

test('two servers that witness each other cosign, and then leave each other in peace', () =>
  withServers(['a', 'b'], async ([a, b], network) => {
    assert.ok(a && b);
    await pair(a, b, 'closed');
    const number = await a.record('toy/1', 3);
    const { checkpoint } = await a.ledger.proveFact(number);
    const { policy } = a.assurance.cosigning.settings();
    const judged = judgeCheckpoint(checkpoint.note, policy);
    assert.ok(judged.verdict.ok, JSON.stringify(judged.verdict));
    assert.equal(judgeCheckpoint(await servedCheckpoint(a), policy).verdict.ok, true);
    assert.ok((judged.checkpoint?.size ?? 0) >= number);

    // Each request makes a fact at the other side: that alone must not be a reason to ask back.
    const before = await quiet(network);
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(network.requests.length, before);
    for (const server of [a, b]) {
      const verdict = await rebuildAndCompare({ db: server.db, modules });
      assert.ok(verdict.ok, JSON.stringify(verdict));
    }
  }));

test('a note has the ML-DSA-44 line of the log and one line a witness, and reopening keeps them', () =>
  withServers(['a', 'b'], async ([a, b], network, root) => {
    assert.ok(a && b);
    await pair(a, b, 'open');
    await a.record('toy/1');
    await quiet(network);
    await settled(a);
    const note = await servedCheckpoint(a);
    const names = parseNote(note).signatures.map(({ name }) => name);
    assert.deepEqual(names.toSorted(), ['events.a', 'events.a', 'witness.b']);
    await a.close();
    network.servers.clear();
    const again = await openServer(join(root, 'a'), 'a', network);
    try {
      const kept = parseNote(await servedCheckpoint(again)).signatures;
      assert.deepEqual(kept.map(({ name }) => name).toSorted(), names.toSorted());
    } finally {
      await again.close();
    }
  }));

test('fail-closed: without its witness nothing that needs a proof goes on, and the last witnessed checkpoint is served', () =>
  withServers(['a', 'b'], async ([a, b], network) => {
    assert.ok(a && b);
    await pair(a, b, 'closed');
    const first = await a.record('toy/1');
    await a.ledger.proveFact(first);
    const served = await servedCheckpoint(a);
    network.servers.delete(b.url);
    const second = await a.record('toy/1');
    await assert.rejects(a.ledger.proveFact(second), { code: 'ledger.not_witnessed', kind: 'unavailable' });
    await assert.rejects(a.ledger.waitForFact(second), { code: 'ledger.not_witnessed' });
    assert.ok(a.ledger.events.size() >= second, 'it is logged all the same');
    assert.equal(await servedCheckpoint(a), served);
    assert.match(a.assurance.cosigning.states()[0]?.trouble ?? '', /cannot be reached/);
    assert.equal(a.ledger.refusal?.code, 'ledger.not_witnessed', 'so that readiness says it');
    assert.equal(a.ledger.shownCheckpoint().note, served);
    network.servers.set(b.url, b.assurance);
    const { checkpoint } = await a.ledger.proveFact(second);
    assert.ok(checkpoint.size >= second);
    assert.equal(a.ledger.refusal, undefined);
  }));

test('fail-open: the log goes on without its witness and says so', () =>
  withServers(['a', 'b'], async ([a, b], network) => {
    assert.ok(a && b);
    await pair(a, b, 'open');
    network.servers.delete(b.url);
    const number = await a.record('toy/1');
    const { checkpoint } = await a.ledger.proveFact(number);
    assert.ok(checkpoint.size >= number);
    await a.assurance.cosigning.run();
    const judged = judgeCheckpoint(await servedCheckpoint(a), a.assurance.cosigning.settings().policy);
    assert.equal(judged.verdict.ok, false);
    assert.match(a.assurance.cosigning.states()[0]?.trouble ?? '', /cannot be reached/);
  }));

test('two of three: the policy is satisfied by any two, and by no one twice', () =>
  withServers(['a', 'b', 'c', 'd'], async ([a, ...others], network) => {
    assert.ok(a);
    for (const other of others) {
      await other.assurance.witness.trustLog(systemActor('test'), a.ledger.events.verifier.vkey);
      await trust(a, other, 'open', 'any');
    }
    const policy = a.assurance.cosigning.settings().policy;
    const text = [
      `log ${a.ledger.events.verifier.vkey}`,
      ...policy.witnesses.map(({ name, verifier, url }) => `witness ${name} ${verifier.vkey} ${url}`),
      `group two 2 ${policy.witnesses.map(({ name }) => name).join(' ')}`,
      'quorum two',
    ].join('\n');
    await a.assurance.setPolicy(systemActor('test'), { policy: text, fail: 'closed' });
    const number = await a.record('toy/1');
    assert.ok((await a.ledger.proveFact(number)).checkpoint.size >= number);
    network.servers.delete(others[0]?.url ?? '');
    const second = await a.record('toy/1');
    assert.ok((await a.ledger.proveFact(second)).checkpoint.size >= second);
    network.servers.delete(others[1]?.url ?? '');
    const third = await a.record('toy/1');
    await assert.rejects(a.ledger.proveFact(third), { code: 'ledger.not_witnessed' });
    const keys = cosignersOf(
      await servedCheckpoint(a),
      a.assurance.cosigning.settings().policy.witnesses.map(({ verifier }) => verifier),
    );
    assert.ok(keys.size >= 2);
    await assert.rejects(trust(a, others[0] as Server, 'open'), { code: 'ledger.policy_unusable' });
  }));

test('a restored old backup is noticed at start by what the witness remembers: evidence, alert, and no new checkpoint', () =>
  withServers(['b'], async ([b], network, root) => {
    assert.ok(b);
    const dir = join(root, 'a');
    let a = await openServer(dir, 'a', network);
    await pair(a, b, 'open');
    await a.record('toy/1');
    await settled(a);
    await a.close();
    await cp(dir, join(root, 'backup'), { recursive: true });
    a = await openServer(dir, 'a', network);
    await a.record('toy/1', 5);
    await settled(a);
    await a.close();
    await rm(dir, { recursive: true });
    await cp(join(root, 'backup'), dir, { recursive: true });

    a = await openServer(dir, 'a', network);
    try {
      assert.equal(a.ledger.refusal?.code, 'ledger.rolled_back');
      const [fork] = await a.assurance.forks();
      assert.equal(fork?.kind, 'rollback');
      const file = parseForkFile((await a.objects.read(fork?.evidence as never)).toString());
      assert.ok(verifyForkFile(file, a.ledger.events.verifier.vkey).ok);
      const size = a.ledger.events.size();
      const number = await a.record('toy/2');
      await assert.rejects(a.ledger.proveFact(number), { code: 'ledger.rolled_back' });
      assert.equal(a.ledger.events.size(), size);
    } finally {
      await a.close();
    }
    const again = await openServer(dir, 'a', network);
    assert.equal(again.ledger.refusal?.code, 'ledger.fork_detected', 'the evidence stays in force');
    await again.close();
  }));

test('a checkpoint that a client remembers and we do not continue stops us, with evidence', () =>
  withServers(['a'], async ([a], network, root) => {
    assert.ok(a);
    const number = await a.record('toy/1');
    await a.ledger.waitForFact(number);
    assert.deepEqual(await a.assurance.compare(a.ledger.events.checkpoint().note, 'client'), { consistent: true });
    await a.close();
    const twin = join(root, 'twin');
    await cp(a.dir, twin, { recursive: true });
    const other = await openServer(twin, 'a', network);
    await other.ledger.waitForFact(await other.record('toy/other'));
    const theirs = other.ledger.events.checkpoint().note;
    await other.close();
    const again = await openServer(a.dir, 'a', network);
    try {
      await again.ledger.waitForFact(await again.record('toy/mine'));
      assert.equal(parseNote(theirs).text.split('\n')[1], String(again.ledger.events.size()));
      const answer = await again.assurance.compare(theirs, 'a client');
      assert.equal(answer.consistent, false);
      assert.equal((await again.assurance.forks())[0]?.kind, 'split_view');
      assert.equal(again.ledger.refusal?.code, 'ledger.fork_detected');
      await assert.rejects(again.assurance.compare(theirs.replace('events.a', 'events.b'), 'x'));
    } finally {
      await again.close();
    }
  }));

test('a witness that answers nonsense is named, and its answers count for nothing', () =>
  withServers(['a', 'b'], async ([a, b], network: Network) => {
    assert.ok(a && b);
    await pair(a, b, 'open');
    const answers = [
      { status: 200, type: 'text/plain', body: '' },
      { status: 200, type: 'text/plain', body: '\u2014 witness.b AAAA\n' },
      { status: 200, type: 'text/plain', body: 'x'.repeat(200_000) },
      { status: 409, type: 'text/x.tlog.size', body: '01\n' },
      { status: 409, type: 'text/x.tlog.size', body: '999999999999999999\n' },
      { status: 409, type: 'text/x.tlog.size', body: '1\n' },
      { status: 409, type: 'text/plain', body: '' },
      { status: 422, type: 'text/plain', body: '' },
      { status: 429, type: 'text/plain', body: '' },
    ];
    for (const answer of answers) {
      network.intercept = (_url, path) => (path === 'add-checkpoint' ? answer : { ...answer, status: 404 });
      await a.assurance.cosigning.run();
      assert.match(a.assurance.cosigning.states()[0]?.trouble ?? '', /did not cosign/, JSON.stringify(answer));
    }
    network.intercept = undefined;
    assert.equal(a.ledger.refusal, undefined, 'a witness alone cannot stop us without a note that we signed');
    assert.equal(
      (await a.journal.read({ types: ['ledger.alert_raised'], limit: 10 })).length,
      1,
      'one alert, not one a try',
    );
    const verifiers = [parseVkey(b.assurance.witness.verifiers[0]?.vkey ?? '')];
    await quiet(network);
    await settled(a);
    assert.equal(cosignersOf(await servedCheckpoint(a), verifiers).size, 1);
  }));
