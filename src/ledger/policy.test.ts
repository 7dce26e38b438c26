import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base';
import { renderCheckpoint } from './checkpoint.ts';
import { emptyRoot } from './hash.ts';
import { judgeCheckpoint, parsePolicy, quorumReached, renderPolicy, renderPolicyText } from './policy.ts';
import { testSigner } from './testlog.ts';
import { createCosigner, createNoteSigner, signNote } from './vkey.ts';
import type { NoteSigner } from './vkey.ts';
import { generateKeyPairSync, sign } from 'node:crypto';

function cosigner(name: string): NoteSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return createCosigner(name, { publicKey, sign: async (bytes) => sign(null, bytes, privateKey) }, systemClock);
}

const log = testSigner('log.example');
const [a, b, c] = ['a', 'b', 'c'].map((name) => cosigner(`${name}.example`)) as [NoteSigner, NoteSigner, NoteSigner];
const head = [
  '# a comment',
  `log ${log.verifier.vkey} https://log.example/`,
  `witness a ${a.verifier.vkey}\thttps://a.example`,
  `witness b ${b.verifier.vkey}`,
  `witness c ${c.verifier.vkey}`,
].join('\n');
const policyWith = (...lines: string[]) => parsePolicy([head, ...lines].join('\n'));
const reached = (policy: ReturnType<typeof policyWith>, ...signers: NoteSigner[]) =>
  quorumReached(policy, new Set(signers.map(({ verifier }) => verifier.vkey)));

test('quorums: none, one witness, any, all, k of n, and groups of groups', () => {
  assert.ok(reached(policyWith('quorum none')));
  const one = policyWith('quorum a');
  assert.deepEqual([reached(one, a), reached(one, b), reached(one)], [true, false, false]);
  const two = policyWith('group g 2 a b c', 'quorum g');
  assert.deepEqual([reached(two, a), reached(two, a, c), reached(two, a, a)], [false, true, false]);
  const all = policyWith('group g all a b c', 'quorum g');
  assert.deepEqual([reached(all, a, b), reached(all, a, b, c)], [false, true]);
  const nested = policyWith('group inner any b c', 'group outer all a inner', 'quorum outer');
  assert.deepEqual([reached(nested, b, c), reached(nested, a, c)], [false, true]);
  assert.equal(renderPolicyText(parsePolicy(renderPolicyText(nested))), renderPolicyText(nested));
});

test('a policy that is not exactly one is refused, with the line', () => {
  const refused: [string[], RegExp][] = [
    [[], /no quorum/],
    [['quorum none', 'quorum none'], /Line 7.*second quorum/],
    [['quorum x'], /before it is defined/],
    [['group g 4 a b c', 'quorum g'], /4 of 3/],
    [['group g 0 a', 'quorum g'], /0 of 1/],
    [['group g 01 a', 'quorum g'], /01 of 1/],
    [['group g any x', 'quorum g'], /before it is defined/],
    [['group g any a', 'group h any a', 'quorum h'], /in a group already/],
    [['group g any a a', 'quorum g'], /in a group already/],
    [['group a any b', 'quorum a'], /second time/],
    [['group g any', 'quorum g'], /is not `group/],
    [['group none any a', 'quorum none'], /cannot be used/],
    [[`witness d ${a.verifier.vkey}`, 'quorum d'], /second time/],
    [[`witness d ${log.verifier.vkey}`, 'quorum d'], /cannot cosign/],
    [['witness d nonsense', 'quorum d'], /key that cannot be read/],
    [[`witness d ${cosigner('d').verifier.vkey} ftp://d`, 'quorum d'], /address/],
    [['log', 'quorum none'], /is not `log/],
    [['trust everybody', 'quorum none'], /starts with none of/],
  ];
  for (const [lines, message] of refused) {
    assert.throws(() => policyWith(...lines), { code: 'ledger.policy_invalid', message });
  }
  assert.throws(() => parsePolicy(`${'#'.repeat(300_000)}\nquorum none`), { code: 'ledger.policy_invalid' });
});

test('a checkpoint is judged by the log that it names, its signatures and the quorum', async () => {
  const text = renderCheckpoint({ origin: 'log.example', size: 0, root: emptyRoot });
  const policy = policyWith('group g 2 a b c', 'quorum g');
  const judge = async (...signers: NoteSigner[]) => {
    const { verdict, checkpoint } = judgeCheckpoint(await signNote(text, signers), policy);
    return [verdict.ok, checkpoint?.size, ...verdict.checks.flatMap(({ code }) => code ?? [])];
  };
  assert.deepEqual(await judge(log, a, b), [true, 0]);
  assert.deepEqual(await judge(a, log, c), [true, 0], 'lines in any order');
  assert.deepEqual(await judge(log, a, a), [false, 0, 'ledger.not_witnessed'], 'keys are counted, not lines');
  assert.deepEqual(await judge(log), [false, 0, 'ledger.not_witnessed']);
  assert.deepEqual(await judge(a, b), [false, undefined, 'ledger.log_unknown'], 'witnesses alone are not the log');
  assert.deepEqual(await judge(testSigner('log.example')), [false, undefined, 'ledger.signature_invalid']);
  const good = await signNote(text, [log, a, b]);
  const altered = good.replace(
    /(b\.example \S{20})(.)/,
    (_all, start: string, at: string) => start + (at === 'A' ? 'B' : 'A'),
  );
  assert.equal(judgeCheckpoint(altered, policy).verdict.checks[0]?.code, 'ledger.signature_invalid');

  // A key of the policy that signs for another origin is no checkpoint of that log.
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const other = createNoteSigner('other.example', { publicKey, sign: async (bytes) => sign(null, bytes, privateKey) });
  const two = parsePolicy(`log ${log.verifier.vkey}\nlog ${other.verifier.vkey}\nquorum none`);
  assert.equal(judgeCheckpoint(await signNote(text, [other]), two).verdict.ok, false);
  assert.equal(judgeCheckpoint(await signNote(text, [log]), two).verdict.ok, true);
});

test('the policy that pairing writes', () => {
  const text = renderPolicy({
    log: { vkey: log.verifier.vkey },
    witnesses: [
      { name: 'a', vkey: a.verifier.vkey, url: 'https://a.example/witness' },
      { name: 'b', vkey: b.verifier.vkey },
    ],
    k: 'all',
  });
  const policy = parsePolicy(text);
  assert.deepEqual([reached(policy, a), reached(policy, a, b)], [false, true]);
  assert.equal(
    parsePolicy(renderPolicy({ log: { vkey: log.verifier.vkey }, witnesses: [], k: 'any' })).quorum,
    undefined,
  );
});
