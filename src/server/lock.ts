import { Problem } from '#base';
import { holdLock } from '#storage';

/** One server a data directory: two would write two histories. Returns how to give it back. */
export async function lockDataDirectory(path: string): Promise<() => void> {
  const release = holdLock(path);
  if (!release) throw inUse();
  return release;
}

const inUse = () =>
  new Problem({
    code: 'server.data_in_use',
    kind: 'conflict',
    message: 'Another Waybill server runs on this data directory.',
    hint: 'Stop it first, or choose another directory with --data.',
  });
