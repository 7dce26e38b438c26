import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { test } from 'node:test';
import { encodeEntry } from './bundle.ts';
import { openCheckpoint, renderCheckpoint } from './checkpoint.ts';
import { emptyRoot, type Hash, hashBase64, hashFromBase64, hashHex, leafHash } from './hash.ts';
import { openNote, renderNote, renderSignatureLine } from './note.ts';
import { verifyConsistency, verifyInclusion } from './proof.ts';
import { appendLeaf, emptyRange, rangeRoot } from './tree.ts';
import { createNoteSigner, createNoteVerifier, parseVkey, signNote } from './vkey.ts';

const hash = (base64: string): Hash => hashFromBase64(base64) as Hash;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

function rootOf(entries: Iterable<Uint8Array>): Hash {
  const range = emptyRange();
  for (const entry of entries) appendLeaf(range, leafHash(entry));
  return rangeRoot(range);
}

/** The seed of a `PRIVATE+KEY+name+id+base64(0x01 ‖ seed)`. */
function keyFromSeed(seed: Buffer) {
  const pkcs8 = Buffer.concat([hex('302e020100300506032b657004220420'), seed]);
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, sign: async (bytes: Uint8Array) => sign(null, bytes, privateKey) };
}

const seedOf = (skey: string): Buffer => Buffer.from(skey.split('+').slice(4).join('+'), 'base64').subarray(1);

test('the RFC 6962 hashes are those of the specification', () => {
  assert.equal(hashHex(emptyRoot), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  assert.equal(hashHex(leafHash(Buffer.alloc(0))), '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
  assert.equal(
    hashHex(leafHash(Buffer.from('L123456'))),
    '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
  );
});

const ctLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map(hex);
const ctRoots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test('the certificate transparency leaves give their eight roots', () => {
  ctRoots.forEach((root, i) => assert.equal(hashHex(rootOf(ctLeaves.slice(0, i + 1))), root));
});

test('the certificate transparency proofs verify', () => {
  const root = (size: number): Hash => hex(ctRoots[size - 1] as string).toString('latin1') as Hash;
  const inclusion = (index: number, path: string) =>
    verifyInclusion({
      index,
      size: 8,
      leaf: leafHash(ctLeaves[index] as Buffer),
      path: path.split(' ').map(hash),
      root: root(8),
    });
  assert.ok(
    inclusion(
      0,
      'lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c= Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4= a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=',
    ),
  );
  assert.ok(
    inclusion(
      5,
      'vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms= yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA= 037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=',
    ),
  );
  const path =
    'DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o= yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA= 037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=';
  assert.ok(
    verifyConsistency({ oldSize: 6, newSize: 8, oldRoot: root(6), newRoot: root(8), path: path.split(' ').map(hash) }),
  );
});

test('large trees have the roots that two other methods derived', () => {
  const roots = new Map([
    [1, 'G7l9zCFjXUfiZj79/QoXRobZjdcBNS3SzQbotD/T0wU='],
    [255, '1xWSohnUBnZj7t4kf5tUw/ngKQaC1V3gm0lbB/HeQck='],
    [256, 'z17/2xHQknou31Ow5zx4N/ZZQU4AU32l2Q61xMSf8nQ='],
    [257, 'hVuTaqAMuYtRFEhCSa0514pr6TYj4mwB6OSH3AIYSlo='],
    [65535, 'tZJIDfIPDdRW4525zbCh+oXzYX7C0wz/xSdgw4d285M='],
    [65536, '4QC6VNaakQEvwTt4kP6seNaZaglyaLb3NdFzEcdAKmA='],
    [65537, 'aJsidCyrKt6za6Yi/yc2M2RkhY9d5KLALzO/Fj59yl8='],
    [70000, '2gUy/3su5W9AZxEPyWTp8ntZWflSe//z+lAap1hN6vM='],
  ]);
  const range = emptyRange();
  for (let i = 0; i < 70_000; i += 1) {
    appendLeaf(range, leafHash(Buffer.from(`leaf ${i}`)));
    const expected = roots.get(i + 1);
    if (expected) assert.equal(hashBase64(rangeRoot(range)), expected, `size ${i + 1}`);
  }
});

test('the signed note of the specification verifies under its key, and with another byte it does not', () => {
  const verifier = parseVkey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
  const line =
    '\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
  assert.deepEqual([...openNote(`This is an example message.\n\n${line}`, [verifier]).signers], [verifier]);
  assert.throws(() => openNote(`This is an example massage.\n\n${line}`, [verifier]), {
    code: 'ledger.signature_invalid',
  });
});

test('signing a note again gives the very signature of the Go implementation', async () => {
  const key = keyFromSeed(seedOf('PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'));
  const signer = createNoteSigner('PeterNeumann', key);
  assert.equal(signer.verifier.vkey, 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
  const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
  const line =
    '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
  assert.equal(await signNote(text, [signer]), `${text}\n${line}`);
});

test('the Tessera test log has its roots, its signed checkpoint and its first bundle', async () => {
  const name = 'example.com/log/testdata';
  const entries = 'one two three four five six seven eit nain ten ileven twelf threeten fourten fivten'
    .split(' ')
    .map((word) => Buffer.from(word));
  const root = (size: number): string => hashBase64(rootOf(entries.slice(0, size)));
  assert.equal(root(1), '0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=');
  assert.equal(root(2), 'T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=');
  assert.equal(root(7), 'IrSXADBqJ7EQoUODSDKROySgNveeL6CFhik2w/+fS7U=');
  assert.equal(root(15), 'rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=');
  const signer = createNoteSigner(
    name,
    keyFromSeed(seedOf('PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg')),
  );
  assert.equal(signer.verifier.vkey, 'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx');
  const note = await signNote(renderCheckpoint({ origin: name, size: 15, root: hash(root(15)) }), [signer]);
  assert.ok(
    note.endsWith(
      '\u2014 example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n',
    ),
  );
  assert.equal(openCheckpoint(note, name, [signer.verifier]).size, 15);
  assert.equal(encodeEntry(Buffer.from('one')).toString('hex'), '00036f6e65');
});

const sigsumOrigin = 'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562';
const sigsumKey = createPublicKey({
  key: Buffer.concat([
    hex('302a300506032b6570032100'),
    hex('ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f'),
  ]),
  format: 'der',
  type: 'spki',
});
const sigsumNote = (size: number, root: string, signature: string): string =>
  `${sigsumOrigin}\n${size}\n${root}\n\n\u2014 ${sigsumOrigin} ${signature}\n`;
const step = (n: number): string => Buffer.concat([Buffer.of(0x2a, n), Buffer.alloc(30)]).toString('base64');

test("the witness vectors' checkpoints and consistency proofs verify, and the bad signature does not", () => {
  const verifiers = [createNoteVerifier(sigsumOrigin, sigsumKey)];
  const open = (size: number, root: string, signature: string) =>
    openCheckpoint(sigsumNote(size, root, signature), sigsumOrigin, verifiers);
  const one = open(
    1,
    step(0),
    'UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=',
  );
  const three = open(
    3,
    'RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=',
    'UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=',
  );
  const five = open(
    5,
    'QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=',
    'UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=',
  );
  const proof = (newSize: number, newRoot: Hash, path: string[]) =>
    verifyConsistency({ oldSize: 1, newSize, oldRoot: one.root, newRoot, path: path.map(hash) });
  assert.ok(proof(3, three.root, [step(1), step(2)]));
  assert.ok(proof(5, five.root, [step(1), '+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=', step(4)]));
  const bad = 'UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6gx=';
  assert.throws(() => open(3, 'RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=', bad));
});

test('the derived cosignature verifies under the witness key', () => {
  const key = keyFromSeed(hex('31ffc2116ecbe003acaa800ab70757bd7d53206e3febef6a6d0796d95530b34f'));
  const witness = parseVkey('example.com/witness+10a1c019+BGSEitir7W6FmBs7OHWyUrh2frtLAvcDrKOx5xu9ao5Q');
  assert.equal(createNoteVerifier('example.com/witness', key.publicKey, 'cosignature').vkey, witness.vkey);
  const text = `${sigsumOrigin}\n5\nQrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=\n`;
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(1679315147n);
  const signed = sign(null, Buffer.from(`cosignature/v1\ntime 1679315147\n${text}`), key.privateKey);
  const signature = { name: witness.name, keyId: witness.keyId, signature: Buffer.concat([time, signed]) };
  assert.equal(
    renderSignatureLine(signature),
    '\u2014 example.com/witness EKHAGQAAAABkGFDLBPkKNZFw49ZCQrVn7T5dfwKcHbmx3GEZkmJUXhZwdfd15uO+pAOz8N3/OhMgIB1+wM6wumhne7KwX1hpczoWBw==\n',
  );
  assert.ok(openNote(renderNote(text, [signature]), [witness]).signers.has(witness));
});
