// `npm run bench -- NAME [--json] [--full]`: medians over interleaved runs. Without a name: the list.
import { parseArgs } from 'node:util';
import { type Benchmark, machine, print } from './report.ts';

const benchmarks: Record<string, () => Promise<Benchmark>> = {
  journal: async () => (await import('./journal.ts')).journal,
  transfer: async () => (await import('./transfer.ts')).transfer,
  build: async () => (await import('./build.ts')).build,
  trace: async () => (await import('./trace.ts')).trace,
  ledger: async () => (await import('./ledger.ts')).ledger,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, full: { type: 'boolean', default: false } },
});
const name = positionals[0];
const load = name === undefined ? undefined : benchmarks[name];
if (name === undefined || load === undefined) {
  console.error(`Benchmarks: ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}
const rows = await (await load()).run((text) => console.error(text), { full: values.full });
if (values.json === true) console.log(JSON.stringify({ name, machine, rows }, null, 2));
else print(name, rows);
process.exit(0);
