import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

test('the generated files are up to date', () => {
  const result = spawnSync(process.execPath, ['scripts/generate.ts', '--check'], { encoding: 'utf8' });
  assert.equal(result.status, 0, `${result.stdout}${result.stderr}\nRun: npm run generate`);
});
