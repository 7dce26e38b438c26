import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '#base';
import type { Verdict } from '#base';
import type { Actor } from '#journal';
import { exportFact, parseFactFile, verifyFactFile } from './factfile.ts';
import { parseForkFile, renderForkFile, verifyForkFile } from './fork.ts';
import { parsePolicy, renderPolicy } from './policy.ts';
import type { Policy } from './policy.ts';
import { parseStreamProof, verifyStreamProof } from './streamproof.ts';
import { renderCheckpoint } from './checkpoint.ts';
import { hashFromBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { type Server, withServers } from './testservers.ts';
import { testSigner } from './testlog.ts';
import { signNote } from './vkey.ts';

type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** Every value in the document changed a little, one at a time, with its path. */
function* alterations(value: Json, path = ''): Generator<{ path: string; altered: Json }> {
  if (typeof value === 'string') {
    for (const at of new Set([0, Math.floor(value.length / 2), value.length - 1])) {
      if (at < 0) continue;
      const other = value[at] === 'A' ? 'B' : 'A';
      yield { path: `${path}[${at}]`, altered: value.slice(0, at) + other + value.slice(at + 1) };
    }
    yield { path: `${path}[cut]`, altered: value.slice(0, -1) };
  } else if (typeof value === 'number') {
    for (const altered of [value + 1, -value, value + 0.5]) yield { path, altered };
  } else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      yield { path: `${path}/${i} removed`, altered: value.filter((_, at) => at !== i) };
      for (const each of alterations(item, `${path}/${i}`)) {
        yield { path: each.path, altered: value.map((old, at) => (at === i ? each.altered : old)) };
      }
    }
    if (value.length > 0) yield { path: `${path} doubled`, altered: [...value, value.at(-1) as Json] };
  } else if (value !== null && typeof value === 'object') {
    for (const [name, item] of Object.entries(value)) {
      const { [name]: _gone, ...rest } = value;
      yield { path: `${path}/${name} removed`, altered: rest };
      for (const each of alterations(item, `${path}/${name}`)) {
        yield { path: each.path, altered: { ...value, [name]: each.altered } };
      }
    }
  }
}

/** Every alteration must be refused, but for `free` paths, which nothing vouches for. */
function refusesAll(text: string, judge: (text: string) => Verdict, free: RegExp): number {
  let count = 0;
  for (const { path, altered } of alterations(JSON.parse(text) as Json)) {
    if (free.test(path)) continue;
    count += 1;
    let ok: boolean;
    try {
      ({ ok } = judge(JSON.stringify(altered)));
    } catch (error) {
      assert.ok(Problem.is(error), `${path}: ${String(error)}`);
      continue;
    }
    assert.equal(ok, false, `an altered ${path} was taken`);
  }
  return count;
}

function policyOf({ ledger }: Server): Policy {
  return parsePolicy(renderPolicy({ log: { vkey: ledger.events.verifier.vkey }, witnesses: [], k: 'any' }));
}

test('a stream proof is refused when any one of its values is altered, removed or doubled', () =>
  withServers(['a'], async ([a]) => {
    assert.ok(a);
    await a.record('toy/other', 3);
    await a.record('toy/one', 3);
    const proof = await a.assurance.heads.proveStream('toy/one');
    const policy = policyOf(a);
    const judge = (text: string) => verifyStreamProof(parseStreamProof(text), policy);
    assert.ok(judge(JSON.stringify(proof)).ok);
    // The bare note: lines of keys that the policy does not name may be anything.
    assert.ok(refusesAll(JSON.stringify(proof), judge, /^$/) > 100);
  }));

test('an exported fact is refused when any one of its values is altered; an erased one says so and still proves its place', () =>
  withServers(['a'], async ([a]) => {
    assert.ok(a);
    await a.record('toy/other', 3);
    const number = await a.record('toy/one');
    const policy = policyOf(a);
    const made = { ledger: a.ledger, journal: a.journal, policy: 'of the server' };
    const judge = (text: string) => verifyFactFile(parseFactFile(text), policy);
    const file = JSON.stringify(await exportFact(made, number));
    assert.ok(judge(file).ok);
    // `policy` is only a hint; `erasedBy` is null here.
    assert.ok(refusesAll(file, judge, /^\/policy\[/) > 20);

    const person = (principal: string): Actor => ({ principal, origin: { kind: 'http' } });
    await a.journal.requestErasure(person('prn_1'), { fact: number, reason: 'asked to' });
    const { number: erasedBy } = await a.journal.confirmErasure(person('prn_2'), { fact: number });
    const erased = await exportFact(made, number);
    assert.deepEqual([erased.private, erased.salt, erased.erasedBy], [null, null, erasedBy]);
    const verdict = verifyFactFile(erased, policy);
    assert.ok(verdict.ok, JSON.stringify(verdict));
    assert.equal(verdict.checks.find(({ name }) => name === 'ledger.payload')?.status, 'not_checked');
    assert.equal(verifyFactFile({ ...erased, erasedBy: null }, policy).ok, false, 'gone without an erasure');
    const old = parseFactFile(file);
    assert.equal(
      verifyFactFile({ ...old, salt: old.salt?.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) ?? '' }, policy).ok,
      false,
    );
  }));

test('evidence of a fork is refused when any of what it rests on is altered', async () => {
  const signer = testSigner('two.faced');
  const note = (size: number, seed: string) => {
    const root = hashFromBase64(Buffer.from(seed.repeat(32)).toString('base64')) as Hash;
    return signNote(renderCheckpoint({ origin: 'two.faced', size, root }), [signer]);
  };
  const base = { origin: 'two.faced', vkey: signer.verifier.vkey, noticedBy: 'somebody' };
  const judge = (text: string) => verifyForkFile(parseForkFile(text), signer.verifier.vkey);
  const [three, other, two, five] = await Promise.all([note(3, 'a'), note(3, 'b'), note(2, 'a'), note(5, 'c')]);
  for (const fork of [
    { fork: 'split_view' as const, first: three, second: other },
    { fork: 'rollback' as const, first: three, second: two },
    { fork: 'inconsistent' as const, first: three, second: five },
  ]) {
    const text = renderForkFile({ ...base, ...fork });
    assert.ok(judge(text).ok, fork.fork);
    // Who noticed is hearsay; the key is the reader's own.
    refusesAll(text, judge, /^\/(noticedBy|vkey)\[/);
    const swapped = renderForkFile({ ...base, ...fork, first: fork.second, second: fork.first });
    assert.equal(judge(swapped).ok, fork.fork === 'split_view');
  }
  assert.equal(judge(renderForkFile({ ...base, fork: 'split_view', first: three, second: three })).ok, false);
});
