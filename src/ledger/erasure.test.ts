import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Actor, type Fact, rebuildAndCompare } from '#journal';
import { modules, withServers } from './testservers.ts';

const person = (principal: string): Actor => ({ principal, origin: { kind: 'http' } });

test('a fact whose payload two people erased verifies as erased, and every other proof stays', () =>
  withServers(['a'], async ([a]) => {
    assert.ok(a);
    const number = await a.record('toy/one');
    const before = await a.ledger.proveFact(number);
    await a.journal.requestErasure(person('prn_1'), { fact: number, reason: 'asked to' });
    const erasure = await a.journal.confirmErasure(person('prn_2'), { fact: number });
    assert.deepEqual((await a.ledger.proveFact(number)).leaf, before.leaf);
    const verdict = await a.ledger.verifyFact(number);
    assert.ok(verdict.ok, JSON.stringify(verdict));
    const row = verdict.checks.find(({ name }) => name === 'journal.row');
    assert.equal(row?.code, 'ledger.payload_erased');
    assert.match(row?.detail ?? '', new RegExp(`erased by fact ${erasure.number}`));
    const all = await a.ledger.verify();
    assert.ok(all.ok, JSON.stringify(all));
    const rebuilt = await rebuildAndCompare({ db: a.db, modules });
    assert.ok(rebuilt.ok, JSON.stringify(rebuilt));
    assert.equal((await a.assurance.heads.proveStream('toy/one')).leaves.length, 1);
  }));

test('the checkpoints of another log are logged, at most one an interval, and one that does not continue them is refused', () =>
  withServers(['a'], async ([a]) => {
    assert.ok(a);
    const { growingSource, testSigner, withDirectory } = await import('./testlog.ts');
    const { openTileLog } = await import('./tilelog.ts');
    const { openAnchor } = await import('./anchor.ts');
    const { systemClock } = await import('#base');
    await withDirectory(async (dir) => {
      const source = growingSource(3);
      const signer = testSigner('signatures.a');
      const options = { origin: 'signatures.a', signer, source, clock: systemClock, minIntervalMs: 1 };
      const log = await openTileLog({ ...options, dir });
      const anchor = await a.assurance.anchor(log);
      await log.publish();
      const anchored = () => a.journal.read({ types: ['ledger.signatures_checkpoint'], limit: 100 });
      const began = performance.now();
      for (let i = 0; i < 20; i += 1) {
        source.length += 1;
        await log.publish();
      }
      await anchor.flush();
      const facts = await anchored();
      // The interval is 20 ms here; one more at the start, at the end, and for what flush takes at once.
      const most = (performance.now() - began) / 20 + 3;
      assert.ok(facts.length >= 1 && facts.length <= most, `${facts.length} facts, at most ${most} expected`);
      assert.equal((facts.at(-1) as Fact<{ size: number }>).payload.size, log.size());
      await anchor.flush();
      assert.equal((await anchored()).length, facts.length, 'nothing new, nothing logged');
      assert.equal((await anchor.check()).status, 'passed');

      const shorter = await openTileLog({ ...options, dir: `${dir}/short`, source: growingSource(5) });
      await shorter.publish();
      await assert.rejects(openAnchor({ ...a, log: shorter }), { code: 'ledger.rolled_back' });
      const altered = growingSource(40);
      altered.altered.set(2, Buffer.from('other'));
      const other = await openTileLog({ ...options, dir: `${dir}/other`, source: altered });
      await other.publish();
      await assert.rejects(openAnchor({ ...a, log: other }), { code: 'ledger.fork_detected' });
      for (const each of [shorter, other]) await each.close();
      await anchor.close();
      await log.close();
    });
  }));
