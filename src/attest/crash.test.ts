import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { rebuildAndCompare } from '#journal';
import { vaultModule } from '#vault';
import { attestModule, verifyBundle } from './index.ts';
import { openHouse, provenance, PUBLIC_URL, SAN, withDirectory } from './testhouse.ts';

const script = `
  import { openHouse, provenance } from '${join(import.meta.dirname, 'testhouse.ts')}';
  const house = await openHouse(process.argv[1]);
  await house.attest.sign(provenance({ idempotencyKey: 'provenance/run_1' }));
`;

/** Up to here nothing is in the log, so the signature is made anew; from here on it is the one that was logged. */
const points: readonly [point: string, hit: number, loggedBefore: boolean][] = [
  ['vault.after_seal', 3, false],
  ['attest.after_precertificate', 1, false],
  ['attest.after_entry', 1, true],
  // The third one: each of the two logs has signed the empty tree before.
  ['ledger.after_checkpoint', 3, true],
  ['attest.after_bundle', 1, true],
];

describe('killed while signing', { concurrency: 3 }, () => {
  for (const [point, hit, loggedBefore] of points) {
    test(`at ${point}, the key ends with one bundle and ${loggedBefore ? 'the signature that was logged' : 'one entry'}`, () =>
      withDirectory(async (dir) => {
        const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script, dir], {
          env: { WAYBILL_FAULT_POINT: point, WAYBILL_FAULT_HIT: String(hit) },
          stdio: ['ignore', 'ignore', 'pipe'],
          cwd: join(import.meta.dirname, '..', '..'),
        });
        const errors = child.stderr.toArray();
        const [, signal] = await once(child, 'exit');
        assert.equal(signal, 'SIGKILL', (await errors).join(''));

        const house = await openHouse(dir);
        const logged = await house.journal.read({ types: ['attest.entry_logged'], limit: 10 });
        assert.equal(logged.length, loggedBefore ? 1 : 0);
        const signed = await house.attest.sign(provenance({ idempotencyKey: 'provenance/run_1' }));
        const again = await house.attest.sign(provenance({ idempotencyKey: 'provenance/run_1' }));
        assert.equal(again.bundle, signed.bundle);
        assert.equal(signed.logIndex, 0);
        for (const type of ['attest.entry_logged', 'attest.bundle_made']) {
          assert.equal((await house.journal.read({ types: [type], limit: 10 })).length, 1, type);
        }
        const { bytes } = await house.attest.requireBundle(signed.bundle);
        const verdict = verifyBundle({
          bundle: bytes,
          trustedRoot: house.attest.trustedRoot(),
          expect: { issuer: `${PUBLIC_URL}/oidc/control`, san: SAN },
        });
        assert.ok(verdict.ok, JSON.stringify(verdict.checks));
        assert.ok((await house.attest.signaturesLog.verify()).ok);
        assert.ok((await rebuildAndCompare({ db: house.db, modules: [vaultModule, attestModule] })).ok);
        await house.close();
      }));
  }
});
