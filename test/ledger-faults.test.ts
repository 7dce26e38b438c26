import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem, systemClock } from '#base';
import { openCheckpoint } from '../src/ledger/checkpoint.ts';
import type { SignedCheckpoint } from '../src/ledger/checkpoint.ts';
import type { WriteFaults } from '../src/ledger/faults.ts';
import { parseNote, renderNote } from '../src/ledger/note.ts';
import { verifyConsistency } from '../src/ledger/proof.ts';
import { growingSource, testSigner, withDirectory } from '../src/ledger/testlog.ts';
import { openTileLog } from '../src/ledger/tilelog.ts';

const origin = 'faults.test';
const sizes = [3, 256, 300];

/** Counts the durable writes, and spoils one of them. */
function faultsAt(spoiled: number, how: 'not_persisted' | 'persisted'): WriteFaults & { places: string[] } {
  const places: string[] = [];
  return {
    places,
    step(place) {
      places.push(place);
      return places.length === spoiled ? how : 'none';
    },
  };
}

/** Grows a log, cosigns each checkpoint, and gives every note that left it. A write that fails ends it. */
async function grow(
  dir: string,
  signer: ReturnType<typeof testSigner>,
  faults: WriteFaults,
): Promise<SignedCheckpoint[]> {
  const source = growingSource(0);
  const seen: SignedCheckpoint[] = [];
  const see = (note: string) => seen.push(openCheckpoint(note, origin, [signer.verifier]));
  const cosigner = testSigner('witness.test');
  try {
    const log = await openTileLog({ dir, origin, signer, source, clock: systemClock, faults, minIntervalMs: 1 });
    see(log.checkpoint().note);
    try {
      for (const size of sizes) {
        source.length = size;
        const { note } = await log.waitFor(size - 1);
        see(note);
        const { text, signatures } = parseNote(note);
        await log.addSignatures(renderNote(text, [...signatures, await cosigner.sign(text)]));
        see(log.checkpoint().note);
      }
    } finally {
      await log.close();
    }
  } catch (error) {
    assert.ok(Problem.is(error), String(error));
    assert.equal(error.code, 'ledger.stopped');
  }
  return seen;
}

async function restart(
  dir: string,
  signer: ReturnType<typeof testSigner>,
  seen: readonly SignedCheckpoint[],
  what: string,
) {
  const log = await openTileLog({ dir, origin, signer, source: growingSource(400), clock: systemClock });
  try {
    assert.ok(log.size() >= (seen.at(-1)?.size ?? 0), `${what}: what left the log is still there`);
    await log.publish();
    assert.equal(log.size(), 400, what);
    for (const old of seen) {
      if (old.size === 0) continue;
      const proof = await log.consistencyProof(old.size);
      assert.ok(verifyConsistency({ ...proof, oldRoot: old.root, newRoot: log.checkpoint().root }), `${what}: no fork`);
    }
    const verdict = await log.verify();
    assert.ok(verdict.ok, `${what}: ${JSON.stringify(verdict)}`);
  } finally {
    await log.close();
  }
}

for (const how of ['not_persisted', 'persisted'] as const) {
  test(`each durable write of a log fails once (${how}): it stops, nothing acknowledged is lost, nothing forks`, async () => {
    const none = faultsAt(0, how);
    await withDirectory((dir) => grow(dir, testSigner(origin), none));
    const kinds = new Set(none.places.map((place) => place.replace(/\d.*/, '')));
    assert.deepEqual([...kinds].toSorted(), ['checkpoint', 'checkpoints', 'tile/', 'tile/entries/']);
    for (let spoiled = 1; spoiled <= none.places.length; spoiled += 1) {
      await withDirectory(async (dir) => {
        const signer = testSigner(origin);
        const faults = faultsAt(spoiled, how);
        const seen = await grow(dir, signer, faults);
        assert.ok(faults.places.length >= spoiled, 'the write was reached');
        await restart(dir, signer, seen, `${how} at write ${spoiled}, ${faults.places[spoiled - 1]}`);
      });
    }
  });
}
