// `npm test`: the unit tests in one process, then what starts servers, a process a file. Ends with the runner's own summary.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';

const only = process.argv.slice(2);
const files = only.length > 0 ? only : globSync('test/*.test.ts').toSorted((a, b) => a.localeCompare(b));
const common = ['--test', '--test-force-exit', '--test-reporter=spec'];

/** Two files at a time: none of them measures how long something takes. */
function run(words: readonly string[]): number {
  const result = spawnSync(process.execPath, [...common, ...words], { stdio: 'inherit' });
  return result.status ?? 1;
}

const unitStatus = only.length > 0 ? 0 : run(['--test-isolation=none', 'src/**/*.test.ts']);
const wholeStatus = run(['--test-concurrency=2', ...files]);
process.exit(unitStatus || wholeStatus);
