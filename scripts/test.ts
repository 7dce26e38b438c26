// `npm test`: the unit tests in one process, then what starts servers, a process a file. Ends with the runner's own summary.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';

const only = process.argv.slice(2);
const files = only.length > 0 ? only : [...globSync('test/*.test.ts')].sort();
const common = ['--test', '--test-force-exit', '--test-reporter=spec'];

/** Server tests run one file at a time: two cores, and some measure how long things take. */
function run(words: readonly string[]): number {
  const result = spawnSync(process.execPath, [...common, ...words], { stdio: 'inherit' });
  return result.status ?? 1;
}

const unitStatus = only.length > 0 ? 0 : run(['--test-isolation=none', 'src/**/*.test.ts']);
const wholeStatus = run(['--test-concurrency=1', ...files]);
process.exit(unitStatus || wholeStatus);
