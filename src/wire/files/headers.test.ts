import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { digestOf, hexOf, Problem } from '#base';
import { announcedDigest, matchesEtag, parseRange, reprDigest } from './headers.ts';

const digest = digestOf('bytes');
const base64 = Buffer.from(hexOf(digest), 'hex').toString('base64');

test('a digest is understood in every spelling, and two that differ are refused', () => {
  assert.equal(announcedDigest({}), undefined);
  assert.equal(announcedDigest({ 'x-checksum-sha256': hexOf(digest).toUpperCase() }), digest);
  assert.equal(announcedDigest({ 'repr-digest': reprDigest(digest) }), digest);
  assert.equal(announcedDigest({ 'content-digest': `sha-512=:abcd:, sha-256=:${base64}:` }), digest);
  assert.equal(announcedDigest({ digest: `SHA-256=${base64}` }), digest);
  const refused = (headers: Record<string, string>) =>
    assert.throws(
      () => announcedDigest(headers),
      (error) => Problem.is(error) && error.kind === 'invalid',
    );
  refused({ 'x-checksum-sha256': 'abc' });
  refused({ 'repr-digest': 'md5=:abcd:' });
  refused({ 'repr-digest': reprDigest(digest), 'x-checksum-sha256': hexOf(digestOf('other')) });
});

test('ranges follow RFC 9110: clipped, from the end, unsatisfiable, or ignored when they are not one byte range', () => {
  assert.deepEqual(parseRange('bytes=500-1499', 1000), { start: 500, end: 999 });
  assert.deepEqual(parseRange('bytes=500-', 1000), { start: 500, end: 999 });
  assert.deepEqual(parseRange('bytes=-300', 1000), { start: 700, end: 999 });
  assert.deepEqual(parseRange('bytes=-3000', 1000), { start: 0, end: 999 });
  for (const range of ['bytes=1000-', 'bytes=5-4', 'bytes=-0']) assert.equal(parseRange(range, 1000), 'unsatisfiable');
  for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=-', 'bytes=a-b', '']) {
    assert.equal(parseRange(range, 1000), undefined);
  }
  assert.equal(parseRange(undefined, 1000), undefined);
});

test('whatever the header says, a range lies within the file', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat({ max: 2000 }), (odd, from, to, size) => {
      return [odd, `bytes=${from}-${to}`, `bytes=${from}-`, `bytes=-${to}`].every((header) => {
        const range = parseRange(header, size);
        return typeof range !== 'object' || (range.start >= 0 && range.start <= range.end && range.end < size);
      });
    }),
  );
});

test('an entity tag matches itself, in a list, weakly, or any', () => {
  for (const header of ['*', `"${digest}"`, `W/"${digest}"`, `"x", "${digest}"`])
    assert.ok(matchesEtag(header, digest));
  for (const header of [undefined, '', '"x"', digest]) assert.ok(!matchesEtag(header, digest));
});
