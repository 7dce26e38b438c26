import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code is kept in a directory of this user alone; without a home there is no cache, never a shared one.
const cache = process.env['XDG_CACHE_HOME'] ?? (process.env['HOME'] ? join(process.env['HOME'], '.cache') : undefined);
if (cache !== undefined) enableCompileCache(join(cache, 'waybill'));
const { runCli } = await import('./run.ts');

// A closed pipe (`waybill … | head`) is no mistake of ours: end quietly, with the status that was reached.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: Error & { code?: string }) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(process.exitCode ?? 1);
  });
}

const stopping = new AbortController();
process.exitCode = await runCli(process.argv.slice(2), {
  terminal: { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env },
  signal: stopping.signal,
  /** A command that runs until it is stopped ends in order; any other ends at once. */
  onSignal(inOrder) {
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.once(name, () => {
        if (!inOrder) process.exit(130);
        process.once(name, () => process.exit(130));
        stopping.abort();
      });
    }
  },
  decided(status) {
    process.exitCode = status;
  },
});
// Written before leaving: an exit drops what a pipe has not taken yet.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit();
