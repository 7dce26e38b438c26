import { DatabaseSync } from 'node:sqlite';
import { keepPrivate } from './files.ts';

/**
 * Takes a lock that lives as long as this process, or undefined when another holder has it. The kernel keeps it (it is SQLite's
 * exclusive lock on an empty database) and drops it however the process ends: nothing is ever stale, nothing is taken over, and
 * at no moment can two holders both believe they have it. Returns how to give it back.
 */
export function holdLock(path: string): (() => void) | undefined {
  keepPrivate(path);
  const holder = new DatabaseSync(path);
  try {
    holder.exec('pragma locking_mode = exclusive; begin exclusive');
  } catch (error) {
    holder.close();
    if ((error as { errcode?: number }).errcode === BUSY) return undefined;
    throw error;
  }
  return () => holder.close();
}

/** SQLITE_BUSY. */
const BUSY = 5;
