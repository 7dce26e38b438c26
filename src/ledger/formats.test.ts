import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeBundle, decodePrefix, encodeEntry } from './bundle.ts';
import { openCheckpoint, parseCheckpoint, renderCheckpoint } from './checkpoint.ts';
import { emptyRoot, hashBase64, leafHash } from './hash.ts';
import { openNote, parseNote, renderNote } from './note.ts';
import { testSigner } from './testlog.ts';
import { parseTilePath, tileLevels, tilePath, tileWidth } from './tile.ts';
import { parseTlogProof, renderTlogProof, verifyTlogProof } from './tlogproof.ts';
import { parseVkey, signNote } from './vkey.ts';

test('tile paths are those of the specification', () => {
  assert.equal(tilePath({ level: 0, index: 0, width: 256 }), 'tile/0/000');
  assert.equal(tilePath({ level: 1, index: 1234067, width: 256 }), 'tile/1/x001/x234/067');
  assert.equal(tilePath({ level: 'entries', index: 123456789, width: 17 }), 'tile/entries/x123/x456/789.p/17');
  assert.deepEqual(
    [0, 1, 2].map((level) => tileWidth(level, level === 0 ? 273 : level === 1 ? 1 : 0, 70_000)),
    [112, 17, 1],
  );
  assert.deepEqual([0, 1, 255, 256, 65_535, 65_536].map(tileLevels), [0, 1, 1, 2, 2, 3]);
});

test('a tile path has exactly one spelling', () => {
  fc.assert(
    fc.property(fc.nat(63), fc.nat(2 ** 31), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
      assert.deepEqual(parseTilePath(tilePath({ level, index, width })), { level, index, width });
    }),
  );
  for (const path of [
    'tile/0/123/456/078',
    'tile/0/x000/123',
    'tile/0/1',
    'tile/0/0001',
    'tile/01/000',
    'tile/64/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000/',
    '/tile/0/000',
    'tile/0/x1/000',
    'tile/0/\u0661\u0661\u0661',
    'tile/0/x999/x999/x999/x999/x999/999',
  ]) {
    assert.equal(parseTilePath(path), undefined, path);
  }
});

test('no text makes the tile path parser accept what it would not print', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'tile/0123456789xpentris.'.split('')) }), (text) => {
      const tile = parseTilePath(`tile/${text}`);
      if (tile) assert.equal(tilePath(tile), `tile/${text}`);
    }),
  );
});

test('bundles give back their entries, and a cut one gives none', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 256 }), (entries) => {
      const bundle = Buffer.concat(entries.map(encodeEntry));
      assert.deepEqual(
        decodeBundle(bundle, entries.length)?.map((entry) => [...entry]),
        entries.map((entry) => [...entry]),
      );
      assert.equal(decodeBundle(bundle.subarray(0, -1), entries.length), undefined);
      assert.equal(decodePrefix(Buffer.concat([bundle, Buffer.of(0)]), entries.length).rest, 1);
    }),
  );
  assert.throws(() => encodeEntry(Buffer.alloc(65_536)), { code: 'ledger.entry_too_large' });
  assert.equal(encodeEntry(Buffer.alloc(65_535)).length, 65_537);
});

const signer = testSigner('log.example');
const checkpoint = { origin: 'log.example', size: 7, root: leafHash(Buffer.of(7)) };
const text = renderCheckpoint(checkpoint);

test('a signed checkpoint opens under its key, its origin, and nothing else', async () => {
  const note = await signNote(text, [signer]);
  assert.deepEqual(openCheckpoint(note, 'log.example', [signer.verifier]), { ...checkpoint, note });
  assert.throws(() => openCheckpoint(note, 'other.example', [signer.verifier]), { code: 'ledger.origin_wrong' });
  assert.throws(() => openCheckpoint(note, 'log.example', [testSigner('log.example').verifier]), {
    code: 'ledger.signature_invalid',
  });
  assert.throws(() => openCheckpoint(note, 'log.example', []), { code: 'ledger.signature_invalid' });
});

test('no character of a signed checkpoint can change', async () => {
  for (const algorithm of ['ed25519', 'p256'] as const) {
    const key = testSigner('log.example', algorithm);
    const note = await signNote(text, [key]);
    for (let i = 0; i < note.length; i += 1) {
      for (const other of ['A', '1', '\n', ' ']) {
        if (note[i] === other) continue;
        const changed = note.slice(0, i) + other + note.slice(i + 1);
        assert.throws(
          () => openCheckpoint(changed, 'log.example', [key.verifier]),
          { name: 'Problem' },
          `${algorithm}: ${JSON.stringify(changed)}`,
        );
      }
    }
  }
});

test('a note counts distinct keys, ignores unknown ones, and is refused whole for one bad signature', async () => {
  const second = testSigner('witness.example', 'p256');
  const verifiers = [signer.verifier, second.verifier];
  const one = await signer.sign(text);
  const two = await second.sign(text);
  const unknown = await testSigner('stranger.example').sign(text);
  assert.equal(openNote(renderNote(text, [one, one, one]), verifiers).signers.size, 1);
  assert.equal(openNote(renderNote(text, [unknown, two, one]), verifiers).signers.size, 2);
  const bad = { ...two, signature: Buffer.from(two.signature).fill(0, 10, 11) };
  bad.signature[12] = (bad.signature[12] as number) ^ 1;
  assert.throws(() => openNote(renderNote(text, [one, bad]), verifiers), { code: 'ledger.signature_invalid' });
});

test('malformed notes are refused', async () => {
  const note = await signNote(text, [signer]);
  const line = note.slice(text.length + 1);
  const malformed = [
    '',
    '\n\n',
    text,
    `${text}\n`,
    note.slice(0, -1),
    `${note}\n`,
    `${text}\n${line.replace('\u2014', '-')}`,
    note.replace('\n7\n', '\n7\r\n'),
    `${text}\n${line.replace(/\n$/, '=\n')}`,
    `${text}\n${line.replace('log.example', 'log example')}`,
    `${text}\n${line.replace('log.example', 'log+example')}`,
    `${text}\n${line.replace('log.example', 'log\u0085example')}`,
    `${text}\n\u2014 log.example AAAA\n`,
    `\ud800${note}`,
    `${text}\n${line.repeat(65)}`,
    `${'x'.repeat(100_000)}${note}`,
  ];
  for (const wrong of malformed)
    assert.throws(() => parseNote(wrong), { code: 'ledger.note_invalid' }, JSON.stringify(wrong.slice(0, 80)));
});

test('a size or root has exactly one spelling in a checkpoint', () => {
  const root = hashBase64(checkpoint.root);
  assert.deepEqual(parseCheckpoint(`o\n9007199254740991\n${root}\nextension\n`).size, 9007199254740991);
  for (const size of ['', '07', '+7', '-1', ' 7', '7 ', '1e3', '7.0', '9007199254740992', '0x7']) {
    assert.throws(() => parseCheckpoint(`o\n${size}\n${root}\n`), { code: 'ledger.checkpoint_invalid' }, size);
  }
  for (const wrong of [
    '',
    root.slice(0, -1),
    `${root.slice(0, -2)}B=`,
    `${root}=`,
    ` ${root}`,
    'AAAA',
    root.replace('=', ''),
  ]) {
    assert.throws(() => parseCheckpoint(`o\n7\n${wrong}\n`), { code: 'ledger.checkpoint_invalid' }, wrong);
  }
  for (const wrong of ['', 'o\n7\n', `\n7\n${root}\n`, `o\n7\n${root}`, `o\n7\n${root}\n\n`, `o\n0\n${root}\n`]) {
    assert.throws(() => parseCheckpoint(wrong), { code: 'ledger.checkpoint_invalid' }, JSON.stringify(wrong));
  }
  assert.equal(parseCheckpoint(`o\n0\n${hashBase64(emptyRoot)}\n`).size, 0);
});

test('a verifier key must fit its own id', () => {
  for (const { verifier } of [testSigner('a.example'), testSigner('b.example', 'p256')]) {
    assert.equal(parseVkey(verifier.vkey).keyId, verifier.keyId);
    const [name, id, key] = [
      verifier.vkey.split('+')[0],
      verifier.vkey.split('+')[1] as string,
      verifier.vkey.split('+').slice(2).join('+'),
    ];
    for (const wrong of [
      `${name}+${id.startsWith('0') ? '1' : '0'}${id.slice(1)}+${key}`,
      `${name}+${id}`,
      `${name}+${id}+${key}=`,
      `+${id}+${key}`,
      `x y+${id}+${key}`,
      '',
      `${name}+${id}+CQ==`,
    ]) {
      assert.throws(() => parseVkey(wrong), { code: 'ledger.vkey_invalid' }, wrong);
    }
  }
});

test('a tlog proof file verifies offline and says which part does not', async () => {
  const leaf = Buffer.from('the only leaf');
  const note = await signNote(renderCheckpoint({ origin: 'log.example', size: 1, root: leafHash(leaf) }), [signer]);
  const file = renderTlogProof({ index: 0, path: [], note });
  assert.equal(file, `c2sp.org/tlog-proof@v1\nindex 0\n\n${note}`);
  const proof = parseTlogProof(file);
  const names = (bytes: Uint8Array, origin = 'log.example', keys = [signer.verifier]) =>
    verifyTlogProof(proof, bytes, origin, keys)
      .checks.filter(({ status }) => status === 'failed')
      .map(({ name }) => name);
  assert.deepEqual(names(leaf), []);
  assert.deepEqual(names(Buffer.from('another leaf')), ['ledger.inclusion']);
  assert.deepEqual(names(leaf, 'other.example'), ['ledger.checkpoint']);
  assert.deepEqual(names(leaf, 'log.example', [testSigner('log.example').verifier]), ['ledger.checkpoint']);
  assert.deepEqual(parseTlogProof(file.replace('index', 'extra AAAA\nindex')).index, 0);
  for (const wrong of [
    '',
    file.replace('v1', 'v2'),
    file.replace('index 0', 'index 00'),
    file.replace('index 0', 'index 0\nAAAA'),
    file.replace('index 0\n', ''),
  ]) {
    assert.throws(() => parseTlogProof(wrong), { code: 'ledger.proof_invalid' }, wrong);
  }
});
