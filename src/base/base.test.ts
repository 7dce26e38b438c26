import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import {
  canonicalJson,
  checksum62,
  createDigester,
  digestOf,
  failed,
  firstRefusal,
  newId,
  notChecked,
  parseDigest,
  parseJson,
  parseWith,
  passed,
  Problem,
  randomBase62,
  verdictOf,
} from './index.ts';

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

test('a digest is SHA-256 in lower-case hexadecimal, and nothing else passes for one', () => {
  assert.equal(digestOf(''), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  const digester = createDigester();
  for (const part of ['hel', 'lo']) digester.update(Buffer.from(part));
  assert.equal(digester.digest(), digestOf('hello'));
  assert.equal(digester.size, 5);
  const hex = 'a'.repeat(64);
  for (const bad of [`sha1:${hex}`, `sha256:${hex.toUpperCase()}`, `sha256:${hex}a`, ` sha256:${hex}`, hex, 5, null]) {
    assert.throws(() => parseDigest(bad), codeIs('base.digest_invalid'));
  }
});

test('a verdict is yes only if something was checked and nothing failed or was left out', () => {
  assert.equal(verdictOf([]).ok, false);
  assert.equal(verdictOf([passed('a')]).ok, true);
  assert.equal(verdictOf([passed('a'), failed('b')]).ok, false);
  assert.equal(verdictOf([passed('a'), notChecked('b', 'no key')]).ok, false);
  assert.equal(verdictOf([passed('a'), notChecked('b', 'no key')], { allowNotChecked: true }).ok, true);
  assert.equal(verdictOf([notChecked('b', 'no key')], { allowNotChecked: true }).ok, false);
  assert.equal(firstRefusal(verdictOf([passed('a'), notChecked('b', ''), failed('c')]))?.name, 'c');
});

test('canonical JSON is RFC 8785: sorted keys, shortest numbers, one spelling', () => {
  const value = { b: [1e21, 0.000001, -0, 'é\n\u0001'], a: { z: null, y: true }, '\u20ac': 1 };
  assert.equal(canonicalJson(value), '{"a":{"y":true,"z":null},"b":[1e+21,0.000001,0,"é\\n\\u0001"],"€":1}');
});

test('the token checksum agrees with the published vector', () => {
  assert.equal(checksum62('xxp_0123456789abcdefghijklmnopqrstuv'), '1VjclK');
});

test('random text is base62 and ids do not repeat', () => {
  assert.match(randomBase62(32), /^[0-9A-Za-z]{32}$/);
  const ids = new Set(Array.from({ length: 1000 }, () => newId('run')));
  assert.equal(ids.size, 1000);
  assert.match([...ids][0]!, /^run_[a-z2-7]{20}$/);
});

test('untrusted JSON has a size limit, and what is wrong with a value is said with its pointer', () => {
  assert.throws(() => parseJson('{"a":1}', 3), codeIs('base.json_too_large'));
  assert.throws(() => parseJson('{', 10), codeIs('base.json_invalid'));
  const schema = z.strictObject({ list: z.array(z.number()) });
  assert.throws(
    () => parseWith(schema, { list: [1, 'x'] }, 'test.bad'),
    (error) => Problem.is(error) && error.kind === 'invalid' && error.message.startsWith('/list/1:'),
  );
});
