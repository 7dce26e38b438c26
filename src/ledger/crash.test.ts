import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { systemClock } from '#base';
import { openCheckpoint } from './checkpoint.ts';
import { verifyConsistency } from './proof.ts';
import { growingSource, withDirectory } from './testlog.ts';
import { openTileLog } from './tilelog.ts';
import { createNoteSigner } from './vkey.ts';

const origin = 'crash.test';
const sizes = [1, 200, 256, 300, 600];

/** Runs crashchild.ts until it ends or the fault point does. What it acknowledged, and whether it was killed. */
async function runChild(
  dir: string,
  key: string,
  point: string,
  hit: number,
): Promise<{ notes: string[]; killed: boolean }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crashchild.ts'), dir, key, ...sizes.map(String)], {
    env: { WAYBILL_FAULT_POINT: point, WAYBILL_FAULT_HIT: String(hit) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close') as Promise<[number | null, string | null]>;
  const [output, [, signal]] = await Promise.all([text(child.stdout), closed]);
  const lines = output.split('\n').filter((line) => line !== '' && line !== 'done');
  return { notes: lines.map((line) => JSON.parse(line) as string), killed: signal === 'SIGKILL' };
}

async function crashAndReopen(dir: string, point: string, hit: number): Promise<void> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  const publicKey = createPublicKey(privateKey);
  const signer = createNoteSigner(origin, { publicKey, sign: async (bytes) => sign(null, bytes, privateKey) });
  const { notes, killed } = await runChild(dir, key, point, hit);
  assert.ok(killed, 'the fault point was reached');

  const acknowledged = notes.map((note) => openCheckpoint(note, origin, [signer.verifier]));
  const log = await openTileLog({ dir, origin, signer, source: growingSource(700), clock: systemClock });
  assert.ok(log.size() >= (acknowledged.at(-1)?.size ?? 0), 'the newest acknowledged checkpoint is still there');
  await log.publish();
  for (const old of acknowledged) {
    const proof = await log.consistencyProof(old.size);
    assert.ok(
      verifyConsistency({ ...proof, oldRoot: old.root, newRoot: log.checkpoint().root }),
      `grew from ${old.size}`,
    );
  }
  const verdict = await log.verify();
  assert.ok(verdict.ok, JSON.stringify(verdict));
  await log.close();
}

for (const point of ['ledger.before_tiles', 'ledger.after_tiles', 'ledger.after_checkpoint']) {
  test(`killed at ${point}, early or late: nothing acknowledged is lost and nothing forks`, async () => {
    await Promise.all([1, 4].map((hit) => withDirectory((dir) => crashAndReopen(dir, point, hit))));
  });
}
