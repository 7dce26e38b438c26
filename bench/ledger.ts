// The ledger in one run: recording under a signed checkpoint beside an audit table, proofs, growth, and HTTP with log-before-serve.
// `--full` lets the growth go on to 10^7 entries (several GB of temporary files and some minutes).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appendRows } from './ledger-append.ts';
import { growthRows } from './ledger-growth.ts';
import { httpRows } from './ledger-http.ts';
import type { Benchmark } from './report.ts';

export const ledger: Benchmark = {
  name: 'ledger',
  async run(say, { full }) {
    const dir = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
    try {
      return [
        ...(await appendRows(join(dir, 'append'), say)),
        ...(await growthRows(join(dir, 'growth'), full, say)),
        ...(await httpRows(say)),
      ];
    } finally {
      await rm(dir, { recursive: true });
    }
  },
};
