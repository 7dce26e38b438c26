import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Endpoint } from '#base';
import { createNoteSigner, type Hash, hashBase64, leafHash, nodeHash, renderCheckpoint, signNote } from '#ledger';
import type { Client } from './client.ts';
import { openCheckpointMemory } from './memory.ts';

const origin = 'events.test.internal';
const [a, b, c] = ['a', 'b', 'c'].map((text) => leafHash(Buffer.from(text))) as [Hash, Hash, Hash];
const ab = nodeHash(a, b);
const ac = nodeHash(a, c);

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-memory-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

function createLogKey() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return createNoteSigner(origin, { publicKey, sign: async (bytes) => sign(null, bytes, privateKey) });
}

interface State {
  size: number;
  root: Hash;
  path?: Hash[];
}

/** The far side: answers with whatever log a test makes up, signed with a real key. */
function serverOf(signer: ReturnType<typeof createLogKey>, state: State): Client {
  const call = async (endpoint: Endpoint): Promise<unknown> => {
    if (endpoint.name === 'ledger.consistency') return { hashes: (state.path ?? []).map(hashBase64) };
    const checkpoint = await signNote(renderCheckpoint({ origin, size: state.size, root: state.root }), [signer]);
    return { vkey: signer.verifier.vkey, checkpoint };
  };
  return { origin: 'https://server.test', call } as unknown as Client;
}

test('a log that grows is taken, and the first sight pins its key', async () => {
  const key = createLogKey();
  const file = join(directory, 'grows.json');
  const memory = openCheckpointMemory(file);
  assert.equal((await memory.advance(serverOf(key, { size: 1, root: a }))).consistentSince, undefined);
  const view = await memory.advance(serverOf(key, { size: 2, root: ab, path: [b] }));
  assert.deepEqual([view.consistentSince, view.checkpoint.size], [1, 2]);
  assert.equal((await memory.advance(serverOf(key, { size: 2, root: ab }))).consistentSince, 2);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('a log that takes back, rewrites or forks what it signed is refused, with both checkpoints as evidence', async () => {
  const key = createLogKey();
  for (const [name, before_, now, code] of [
    ['shorter', { size: 2, root: ab }, { size: 1, root: a }, 'client.ledger_rolled_back'],
    ['two roots', { size: 2, root: ab }, { size: 2, root: ac }, 'client.ledger_forked'],
    ['rewritten', { size: 1, root: c }, { size: 2, root: ab, path: [b] }, 'client.ledger_forked'],
    ['no proof', { size: 1, root: a }, { size: 2, root: ab, path: [] }, 'client.ledger_forked'],
    ['wrong proof', { size: 1, root: a }, { size: 2, root: ab, path: [c] }, 'client.ledger_forked'],
  ] as const) {
    const file = join(directory, `${code}-${name}.json`);
    const memory = openCheckpointMemory(file);
    await memory.advance(serverOf(key, before_));
    const kept = readFileSync(file, 'utf8');
    await assert.rejects(
      memory.advance(serverOf(key, now as unknown as State)),
      (error: { code: string; details: object }) => {
        assert.equal(error.code, code, name);
        const { seenCheckpoint, offeredCheckpoint } = error.details as Record<string, string>;
        assert.ok(seenCheckpoint?.startsWith(`${origin}\n${before_.size}\n`));
        assert.ok(offeredCheckpoint?.startsWith(`${origin}\n${now.size}\n`));
        return true;
      },
    );
    assert.equal(readFileSync(file, 'utf8'), kept, 'what was seen is not forgotten');
  }
});

test('another key than the pinned one is refused, and so is a signature that does not fit', async () => {
  const key = createLogKey();
  const memory = openCheckpointMemory(join(directory, 'key.json'));
  await memory.advance(serverOf(key, { size: 1, root: a }));
  await assert.rejects(memory.advance(serverOf(createLogKey(), { size: 1, root: a })), {
    code: 'client.ledger_key_changed',
  });
  const other = createLogKey();
  const forged = { ...other, verifier: key.verifier };
  await assert.rejects(memory.advance(serverOf(forged, { size: 1, root: a })), { code: 'ledger.signature_invalid' });
});

test('a damaged memory is not taken for a first sight', async () => {
  const file = join(directory, 'damaged.json');
  writeFileSync(file, '{"https://server.test": {"vkey": 1}}');
  const client = serverOf(createLogKey(), { size: 1, root: a });
  await assert.rejects(openCheckpointMemory(file).advance(client), { code: 'client.memory_damaged' });
});
