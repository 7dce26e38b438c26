import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Problem } from '#base';
import { parseAddCheckpoint, renderAddCheckpoint } from './addcheckpoint.ts';
import { decodeBundle, decodePrefix, encodeEntry } from './bundle.ts';
import { parseCheckpoint, renderCheckpoint } from './checkpoint.ts';
import { parseFactFile } from './factfile.ts';
import { parseForkFile } from './fork.ts';
import { hashFromBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { parseLeaf } from './leaf.ts';
import { parseNote, renderNote } from './note.ts';
import { parsePolicy, quorumReached, renderPolicy, renderPolicyText } from './policy.ts';
import { parseStreamProof } from './streamproof.ts';
import { testSigner } from './testlog.ts';
import { parseTilePath, tilePath } from './tile.ts';
import { parseTlogProof, renderTlogProof } from './tlogproof.ts';
import { createNoteVerifier, parseVkey } from './vkey.ts';

/** Each property ends after this, whatever the machine: the seeds differ from run to run and are printed on failure. */
const BOUND = { numRuns: 400, interruptAfterTimeLimit: 400, markInterruptAsFailure: false } as const;

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => Buffer.from(b).toString('latin1') as Hash);
const size = fc.nat({ max: Number.MAX_SAFE_INTEGER - 1 }).map((n) => n + 1);
const name = fc.stringMatching(/^[a-z][a-z0-9./-]{0,30}$/);
const checkpoint = fc.record({ origin: name, size, root: hash });
const signature = fc.record({
  name,
  keyId: fc.nat({ max: 2 ** 32 - 1 }),
  signature: fc.uint8Array({ minLength: 1, maxLength: 90 }).map((b) => Buffer.from(b)),
});
const note = fc
  .tuple(checkpoint, fc.array(signature, { minLength: 1, maxLength: 4 }))
  .map(([c, lines]) => renderNote(renderCheckpoint(c), lines));

/** A good text with some of it replaced, removed, doubled or inserted. */
const damaged = (good: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(good, fc.nat(), fc.nat({ max: 12 }), fc.string({ unit: 'binary', maxLength: 8 }), fc.boolean())
    .map(([text, at, length, put, twice]) => {
      const from = at % (text.length + 1);
      const cut = text.slice(0, from) + put + text.slice(from + length);
      return twice ? cut + cut : cut;
    });

/** The parser gives a value that says the same again, or a `Problem`; it never throws anything else and never hangs. */
function refusesOrAgrees<T>(parse: (text: string) => T, render?: (value: T) => string) {
  return (text: string): void => {
    let value: T;
    try {
      value = parse(text);
    } catch (error) {
      assert.ok(Problem.is(error), String(error));
      assert.ok(error.hint.length > 0);
      return;
    }
    if (render) assert.deepEqual(parse(render(value)), value);
  };
}

function fuzz<T>(good: fc.Arbitrary<string>, parse: (text: string) => T, render?: (value: T) => string): void {
  fc.assert(
    fc.property(good, (text) => void parse(text)),
    BOUND,
  );
  const anything = fc.oneof(damaged(good), fc.string({ unit: 'binary', maxLength: 300 }));
  fc.assert(fc.property(anything, refusesOrAgrees(parse, render)), BOUND);
}

test('notes', () => fuzz(note, parseNote, ({ text, signatures }) => renderNote(text, signatures)));

test('checkpoints', () => fuzz(checkpoint.map(renderCheckpoint), parseCheckpoint, renderCheckpoint));

test('requests to add a checkpoint', () => {
  const body = fc
    .record({ oldSize: size, path: fc.array(hash, { maxLength: 63 }), note })
    .map((request) => renderAddCheckpoint(request));
  fuzz(body, parseAddCheckpoint, renderAddCheckpoint);
});

test('tlog proofs', () => {
  const proof = fc.record({ index: size, path: fc.array(hash, { maxLength: 60 }), note }).map(renderTlogProof);
  fuzz(proof, parseTlogProof, renderTlogProof);
});

test('keys', () => {
  const vkeys = [testSigner('a.example'), testSigner('b', 'p256')].map(({ verifier }) => verifier.vkey);
  fuzz(fc.constantFrom(...vkeys), (text) => parseVkey(text).vkey);
});

test('policies: what is taken says the same again, and any quorum can be judged', () => {
  const log = testSigner('log.example').verifier.vkey;
  const witnesses = ['a', 'b', 'c'].map((each) => {
    const { publicKey } = testSigner(each).verifier;
    return { name: each, vkey: cosignatureKey(each, publicKey) };
  });
  const good = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom('any' as const, 'all' as const))
    .map(([count, k]) => renderPolicy({ log: { vkey: log }, witnesses: witnesses.slice(0, count), k }));
  fuzz(good, (text) => {
    const policy = parsePolicy(text);
    assert.equal(typeof quorumReached(policy, new Set([witnesses[0]?.vkey ?? ''])), 'boolean');
    return renderPolicyText(policy);
  });
});

test('paths of tiles: one spelling for each tile, and no other is taken', () => {
  const tile = fc.record({
    level: fc.oneof(fc.constant('entries' as const), fc.nat({ max: 63 })),
    index: fc.nat({ max: 2 ** 40 }),
    width: fc.integer({ min: 1, max: 256 }),
  });
  fc.assert(
    fc.property(tile, (each) => assert.deepEqual(parseTilePath(tilePath(each)), { ...each })),
    BOUND,
  );
  fc.assert(
    fc.property(damaged(tile.map(tilePath)), (path) => {
      const found = parseTilePath(path);
      if (found) assert.equal(tilePath(found), path);
    }),
    BOUND,
  );
});

test('entry bundles: cut anywhere they give whole entries or none', () => {
  const entries = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 });
  fc.assert(
    fc.property(entries, fc.nat(), fc.uint8Array({ maxLength: 200 }), (all, at, junk) => {
      const whole = Buffer.concat(all.map(encodeEntry));
      const cut = whole.subarray(0, at % (whole.length + 1));
      const { entries: read, rest } = decodePrefix(cut, 256);
      assert.ok(read.every((entry, i) => entry.equals(all[i] as Uint8Array)));
      assert.equal(
        read.reduce((sum, entry) => sum + 2 + entry.length, rest),
        cut.length,
      );
      assert.equal(decodeBundle(cut, all.length) === undefined, cut.length < whole.length);
      decodePrefix(Buffer.from(junk), 256);
    }),
    BOUND,
  );
});

test('leaves, exported facts, streams and evidence: JSON of any shape is refused or taken, never more', () => {
  const json = fc.oneof(
    fc.json({ maxDepth: 4 }),
    fc.json().map((each) => `{"v":1,"kind":"waybill.stream-proof","stream":${each}}`),
  );
  for (const parse of [
    (text: string) => parseLeaf(Buffer.from(text)),
    parseFactFile,
    parseForkFile,
    parseStreamProof,
  ]) {
    fc.assert(fc.property(json, refusesOrAgrees<unknown>(parse)), BOUND);
    fc.assert(fc.property(fc.string({ unit: 'binary' }), refusesOrAgrees<unknown>(parse)), BOUND);
  }
  assert.equal(hashFromBase64('A'.repeat(43)), undefined);
});

function cosignatureKey(label: string, publicKey: Parameters<typeof createNoteVerifier>[1]): string {
  return createNoteVerifier(label, publicKey, 'cosignature').vkey;
}
