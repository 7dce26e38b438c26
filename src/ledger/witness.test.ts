import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import { systemActor } from '#journal';
import { parseForkFile, verifyForkFile } from './fork.ts';
import { openNote, parseNote } from './note.ts';
import { type Server, withServers } from './testservers.ts';
import { createCosigner, createNoteSigner, createNoteVerifier, type NoteSigner, parseVkey, signNote } from './vkey.ts';
import { renderCheckpoint } from './checkpoint.ts';
import { hashFromBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { originHash } from './fork.ts';
import type { WitnessAnswer } from './witness.ts';

// C2SP litewitness test vectors.
const origin = 'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562';
const logKey = createPublicKey({
  key: Buffer.from('302a300506032b6570032100ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f', 'hex'),
  format: 'der',
  type: 'spki',
});
const vkey = createNoteVerifier(origin, logKey).vkey;
const leaf = (n: number): string => Buffer.from([0x2a, n, ...Buffer.alloc(30)]).toString('base64');
const note = (size: number, root: string, signature: string): string =>
  `${origin}\n${size}\n${root}\n\n\u2014 ${origin} ${signature}\n`;
const size1 = note(
  1,
  leaf(0),
  'UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=',
);
const root3 = 'RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=';
const size3 = note(
  3,
  root3,
  'UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=',
);
const size5 = note(
  5,
  'QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=',
  'UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=',
);
const proof13 = [leaf(1), leaf(2)];
const proof15 = [leaf(1), '+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=', leaf(4)];
const body = (old: number, proof: readonly string[], checkpoint: string): string =>
  `old ${old}\n${proof.map((hash) => `${hash}\n`).join('')}\n${checkpoint}`;

async function withWitness(work: (server: Server, post: (text: string) => Promise<WitnessAnswer>) => Promise<void>) {
  await withServers(['w'], async ([server]) => {
    assert.ok(server);
    const { witness } = server.assurance;
    await witness.trustLog(systemActor('test'), vkey);
    await work(server, (text) => witness.addCheckpoint(text));
  });
}

test('the vectors of litewitness: each refusal has its status, in the order of the specification', () =>
  withWitness(async ({ assurance }, post) => {
    const status = async (text: string) => (await post(text)).status;
    const unknown = size1.replaceAll('sigsum.org', 'other.org');
    assert.equal(await status(body(0, [], unknown)), 404);
    assert.equal(await status(body(0, [], size3.replace('6go=', '6gx='))), 400, 'not canonical base64');
    assert.equal(await status(body(0, [], size3.replace('ZVu0', 'ZVu1').replace('2VbtI', '2VbtJ'))), 403);
    assert.equal(await status(body(5, proof13, size3)), 400, 'old size beyond the checkpoint');
    assert.deepEqual(await post(body(1, proof13, size3)), { status: 409, type: 'text/x.tlog.size', body: '0\n' });
    assert.equal(await status(body(0, [leaf(1)], size1)), 422, 'a proof from nothing');
    assert.equal(await status('old 0\n'), 400);
    assert.equal(await status(`old x\n\n${size1}`), 400);

    const first = await post(body(0, [], size1));
    assert.equal(first.status, 200);
    const { signers } = openNote(`${parseNote(size1).text}\n${first.body}`, assurance.witness.verifiers);
    assert.equal(signers.size, assurance.witness.verifiers.length);

    assert.deepEqual(await post(body(0, [], size3)), { status: 409, type: 'text/x.tlog.size', body: '1\n' });
    assert.equal(await status(body(1, [leaf(2), leaf(1)], size3)), 422, 'a proof of something else');
    assert.equal(await status(body(1, proof13, size3)), 200);
    assert.equal(await status(body(1, proof15, size5)), 409);
    assert.equal(await status(body(3, [], size3)), 200, 'the same again refreshes the time');
    assert.equal(await status(body(3, [leaf(1)], size3)), 422);
    assert.equal((await assurance.witness.logs())[0]?.size, 3);
    const monitored = (await assurance.witness.monitor(originHash(origin))) ?? '';
    assert.ok(openNote(monitored, [parseVkey(vkey)]).signers.size === 1);
    assert.ok(openNote(monitored, assurance.witness.verifiers).signers.size >= 1);
    assert.equal(await assurance.witness.monitor('0'.repeat(64)), undefined);
  }));

test('of many submissions at once from one size exactly one is stored, and a refresh leaves no fact', () =>
  withWitness(async ({ journal }, post) => {
    await post(body(0, [], size1));
    const before = await journal.head();
    const answers = await Promise.all([
      ...Array.from({ length: 4 }, () => post(body(1, proof13, size3))),
      ...Array.from({ length: 4 }, () => post(body(1, proof15, size5))),
    ]);
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.ok(answers.every(({ status }) => status === 200 || status === 409));
    const stored = await journal.head();
    assert.equal(stored, before + 1);
    await post(body(3, [], size3));
    assert.equal(await journal.head(), stored);
  }));

test('a log that is trusted no more is unknown; trusted again it must go on from where it was', () =>
  withWitness(async ({ assurance }, post) => {
    await post(body(0, [], size1));
    const actor = systemActor('test');
    await assurance.witness.distrustLog(actor, { origin, reason: 'sold' });
    assert.equal((await post(body(1, proof13, size3))).status, 404);
    await assert.rejects(assurance.witness.distrustLog(actor, { origin, reason: 'again' }), {
      code: 'ledger.log_unknown',
    });
    await assurance.witness.trustLog(actor, vkey);
    assert.deepEqual(await post(body(0, [], size3)), { status: 409, type: 'text/x.tlog.size', body: '1\n' });
    assert.equal((await post(body(1, proof13, size3))).status, 200);
  }));

test('two roots for one size are kept as evidence that anybody can check, and end the cosigning of that log', () =>
  withServers(['w'], async ([server]) => {
    assert.ok(server);
    const { assurance, journal, objects } = server;
    const privateKey = createPrivateKey({
      key: Buffer.from(`302e020100300506032b657004220420${'11'.repeat(32)}`, 'hex'),
      format: 'der',
      type: 'pkcs8',
    });
    const signer = createNoteSigner('two.faced', {
      publicKey: createPublicKey(privateKey),
      sign: async (bytes) => sign(null, bytes, privateKey),
    });
    const checkpoint = (size: number, root: string) =>
      signNote(renderCheckpoint({ origin: 'two.faced', size, root: hashFromBase64(root) as Hash }), [signer]);
    await assurance.witness.trustLog(systemActor('test'), signer.verifier.vkey);
    const post = (text: string) => assurance.witness.addCheckpoint(text);
    assert.equal((await post(body(0, [], await checkpoint(3, root3)))).status, 200);
    // Even from an old size that is wrong: the two notes are evidence.
    assert.equal((await post(body(1, [], await checkpoint(3, leaf(9))))).status, 409);
    assert.equal((await post(body(3, [], await checkpoint(3, leaf(9))))).status, 422);
    assert.equal((await post(body(3, [], await checkpoint(3, root3)))).status, 403, 'refused from now on');

    const forks = await assurance.forks();
    assert.equal(forks.length, 1);
    const file = parseForkFile((await objects.read(forks[0]?.evidence as never)).toString());
    assert.deepEqual([file.fork, file.origin], ['split_view', 'two.faced']);
    assert.ok(verifyForkFile(file, signer.verifier.vkey).ok);
    assert.ok(!verifyForkFile({ ...file, second: file.first }).ok);
    assert.ok(!verifyForkFile(file, vkey).ok);
    assert.equal((await journal.read({ types: ['ledger.alert_raised'], limit: 5 })).length, 1);
    assert.equal((await assurance.witness.logs())[0]?.forked, true);
  }));

test('the cosignature vector: name, time and text give exactly these bytes', async () => {
  const privateKey = createPrivateKey({
    key: Buffer.from(
      '302e020100300506032b65700422042031ffc2116ecbe003acaa800ab70757bd7d53206e3febef6a6d0796d95530b34f',
      'hex',
    ),
    format: 'der',
    type: 'pkcs8',
  });
  const key = {
    publicKey: createPublicKey(privateKey),
    sign: async (bytes: Uint8Array) => sign(null, bytes, privateKey),
  };
  const cosigner = createCosigner('example.com/witness', key, { now: () => 1_679_315_147_000 });
  assert.equal(cosigner.verifier.vkey, 'example.com/witness+10a1c019+BGSEitir7W6FmBs7OHWyUrh2frtLAvcDrKOx5xu9ao5Q');
  const signed = await signNote(parseNote(size5).text, [cosigner]);
  assert.equal(
    signed.split('\n').at(-2),
    '\u2014 example.com/witness EKHAGQAAAABkGFDLBPkKNZFw49ZCQrVn7T5dfwKcHbmx3GEZkmJUXhZwdfd15uO+pAOz8N3/OhMgIB1+wM6wumhne7KwX1hpczoWBw==',
  );
});

test('an ML-DSA-44 cosignature is bound to cosigner, time, origin, size and root', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ml-dsa-44');
  const key = { publicKey, sign: async (bytes: Uint8Array) => sign(null, bytes, privateKey) };
  const cosigner = createCosigner('example.com/witness', key, { now: () => 1_679_315_147_000 });
  const verifier = parseVkey(cosigner.verifier.vkey);
  assert.equal(verifier.algorithm, 'ml-dsa-44');
  const { text } = parseNote(size5);
  const { signature } = await cosigner.sign(text);
  assert.ok(verifier.verify(text, signature));
  assert.ok(!verifier.verify(text.replace('\n5\n', '\n6\n'), signature));
  assert.ok(!verifier.verify(text.replace('sigsum', 'sigsun'), signature));
  assert.ok(!verifier.verify('no checkpoint\n', signature));
  assert.ok(!verifier.verify(text, signature.subarray(0, -1)));
  for (const at of [0, 7, 8, 1000]) {
    const altered = Buffer.from(signature);
    altered[at] = (altered[at] as number) ^ 1;
    assert.ok(!verifier.verify(text, altered), `byte ${at}`);
  }
  const other = createCosigner('example.com/other', key, { now: () => 1_679_315_147_000 });
  assert.ok(!verifier.verify(text, (await other.sign(text)).signature), 'another name');
});

test('a record that fails, persisted or not, is never answered with a cosignature, and the next submission sees what is stored', async () => {
  for (const how of ['not_persisted', 'persisted'] as const) {
    await withServers(['w'], async ([server]) => {
      assert.ok(server);
      const { createWitness } = await import('./witness.ts');
      const cosigner = createCosignerOf('witness.w');
      let failing = false;
      const journal = {
        ...server.journal,
        async record(draft: Parameters<typeof server.journal.record>[0]) {
          if (failing && how === 'not_persisted') throw new Error('the disk is full');
          const fact = await server.journal.record(draft);
          if (failing) throw new Error('the answer was lost');
          return fact;
        },
      } as typeof server.journal;
      const witness = createWitness({ ...server, journal, clock: { now: Date.now }, cosigners: [cosigner] });
      await witness.trustLog(systemActor('test'), vkey);
      assert.equal((await witness.addCheckpoint(body(0, [], size1))).status, 200);
      failing = true;
      await assert.rejects(witness.addCheckpoint(body(1, proof13, size3)));
      failing = false;
      const stored = (await witness.logs())[0]?.size;
      assert.equal(stored, how === 'persisted' ? 3 : 1);
      const again = await witness.addCheckpoint(body(1, proof13, size3));
      assert.equal(again.status, how === 'persisted' ? 409 : 200);
      assert.equal((await witness.addCheckpoint(body(3, [], size3))).status, 200);
    });
  }
});

function createCosignerOf(label: string): NoteSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = { publicKey, sign: async (bytes: Uint8Array) => sign(null, bytes, privateKey) };
  return createCosigner(label, key, { now: Date.now });
}
