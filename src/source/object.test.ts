import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseCommit, parseTag } from './object.ts';

const signature = '-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\nAAAA\n-----END SSH SIGNATURE-----';
const folded = signature.replaceAll('\n', '\n ');
const person = 'Ada L <ada@example.org> 1700000000 +0100';
const commitText = (extra = '', message = 'subject\n\nbody\n') =>
  `tree ${'a'.repeat(40)}\nparent ${'b'.repeat(40)}\nauthor ${person}\ncommitter ${person}\n${extra}\n${message}`;

test('a commit’s payload is the commit without its signature, byte for byte', () => {
  const parsed = parseCommit('c', Buffer.from(commitText(`gpgsig ${folded}\n`)));
  assert.ok(parsed.ok);
  assert.equal(parsed.value.signature, signature);
  assert.equal(parsed.value.payload.toString(), commitText());
  assert.deepEqual(parsed.value.parents, ['b'.repeat(40)]);
  assert.deepEqual(parsed.value.author, { name: 'Ada L', email: 'ada@example.org' });
  assert.equal(parsed.value.committedAt, 1_700_000_000_000);
  assert.equal(parsed.value.message, 'subject\n\nbody\n');
});

test('a gpgsig line in the message is text, not a signature', () => {
  const parsed = parseCommit('c', Buffer.from(commitText('', `gpgsig ${folded}\n`)));
  assert.ok(parsed.ok);
  assert.equal(parsed.value.signature, null);
});

test('a commit that two readers may read in two ways is refused', () => {
  const twice = [
    `gpgsig ${folded}\ngpgsig ${folded}\n`,
    `gpgsig ${folded}\ngpgsig-sha256 ${folded}\n`,
    `author ${person}\n`,
    `committer ${person}\n`,
    `tree ${'c'.repeat(40)}\n`,
  ];
  for (const extra of twice) assert.equal(parseCommit('c', Buffer.from(commitText(extra))).ok, false, extra);
  assert.equal(parseCommit('c', Buffer.from(commitText().replace(/author .*\n/, ''))).ok, false);
  assert.equal(parseCommit('c', Buffer.from(commitText().replace('<ada@example.org>', 'ada'))).ok, false);
});

test('a tag’s payload ends where its signature begins', () => {
  const text = `object ${'a'.repeat(40)}\ntype commit\ntag v1\ntagger ${person}\n\nrelease\n`;
  const parsed = parseTag('t', Buffer.from(`${text}${signature}\n`));
  assert.ok(parsed.ok);
  assert.equal(parsed.value.signature, `${signature}\n`);
  assert.equal(parsed.value.payload.toString(), text);
  assert.equal(parsed.value.message, 'release\n');
  const unsigned = parseTag('t', Buffer.from(text));
  assert.ok(unsigned.ok);
  assert.equal(unsigned.value.signature, null);
});

test('no bytes make the parsers throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      parseCommit('x', Buffer.from(bytes));
      parseTag('x', Buffer.from(bytes));
    }),
  );
});
