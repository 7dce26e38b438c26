// Every drill: refused with all controls on, successful with only its control off, and the proper way beside it works.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type DrillResult, findDrills, runDrills } from '#drill';

const drills = findDrills([]);
const waiting = new Map(drills.map(({ id }) => [id, Promise.withResolvers<DrillResult>()]));

// They share installations, so they run as one; each result is a test of its own.
const running = runDrills({ onResult: (result) => waiting.get(result.id)?.resolve(result) });
running.catch((error: unknown) => {
  for (const { reject } of waiting.values()) reject(error);
});

describe('drills', { concurrency: true }, () => {
  for (const { id, title, control } of drills) {
    test(`${id}: ${title} (${control})`, async () => {
      const result = await waiting.get(id)!.promise;
      assert.ok(result.refused, `not refused as expected: ${result.detail}`);
      assert.ok(result.unchanged, result.detail);
      assert.ok(result.legitimate, result.detail);
      assert.notEqual(result.succeedsWithControlOff, false, result.detail);
    });
  }

  test('all of them were run', async () => {
    assert.equal((await running).length, drills.length);
  });
});

test('each control that has a switch is proven by a drill that turns red without it', () => {
  const switched = drills.filter(({ controlOff }) => controlOff !== 'no-switch');
  assert.ok(switched.length >= 60);
  assert.equal(new Set(drills.map(({ id }) => id)).size, drills.length, 'two drills have the same name');
});
