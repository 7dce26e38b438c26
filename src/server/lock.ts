import { readFile, unlink } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { Problem } from '#base';

/**
 * One server a data directory. The file holds process id and its start time (a process id alone is reused); a lock whose
 * process is gone is taken over. Returns how to give it back.
 */
export async function lockDataDirectory(path: string): Promise<() => Promise<void>> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(`${process.pid} ${await startTime(process.pid)}\n`);
      await file.sync();
      await file.close();
      return async () => await unlink(path).catch(() => undefined);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (await holderLives(path)) throw inUse();
      await unlink(path).catch(() => undefined);
    }
  }
  throw inUse();
}

async function holderLives(path: string): Promise<boolean> {
  const [pid = '', started = ''] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
  return pid !== '' && started !== '' && (await startTime(Number(pid))) === started;
}

/** Field 22 of /proc/<pid>/stat, in clock ticks since boot; empty when there is no such process. */
async function startTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The command name, in parentheses, may hold spaces: count from behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

const inUse = () =>
  new Problem({
    code: 'server.data_in_use',
    kind: 'conflict',
    message: 'Another Waybill server runs on this data directory.',
    hint: 'Stop it first, or choose another directory with --data.',
  });
