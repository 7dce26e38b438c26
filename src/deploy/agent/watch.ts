import { stat } from 'node:fs/promises';
import type { Digest } from '#base';
import { expectedLink, hashPath, type Places, readLink } from './place.ts';
import { executablePathOf, executableStamp, isAlive } from './process.ts';
import type { Running } from './state.ts';

export interface Drift {
  kind: 'file_altered' | 'file_gone' | 'process_altered' | 'link_altered';
  path: string;
  expected: string;
  found: string;
}

/** What the last look saw of an interpreter: spares hashing a hundred megabytes every second. */
export type Stamps = Map<string, { stamp: string; path: string; digest: Digest }>;

/**
 * One look at everything a deployment rests on: the placed file is hashed anew, the link is read, and so is what the process
 * executes. Returns every difference.
 */
export async function inspect(places: Places, name: string, running: Running, stamps: Stamps): Promise<Drift[]> {
  const drifts: Drift[] = [];
  const digest = running.item.digest as Digest;
  const found = await hashPath(running.path);
  if (found === undefined) {
    drifts.push({ kind: 'file_gone', path: running.path, expected: digest, found: 'no readable file' });
  } else if (found !== digest) {
    drifts.push({ kind: 'file_altered', path: running.path, expected: digest, found });
  }
  const link = await readLink(places, name);
  if (link !== expectedLink(digest)) {
    drifts.push({ kind: 'link_altered', path: name, expected: expectedLink(digest), found: link ?? 'no link' });
  }
  if (running.process && !running.ended && (await isAlive(running.process))) {
    const drift = await inspectProcess(running, running.process, stamps);
    if (drift) drifts.push(drift);
  }
  return drifts;
}

/**
 * A program must go on executing the verified bytes. A script cannot be held to that: what executes is its interpreter, and it may
 * hand over to another one; each of them must stay what it was when it was first seen.
 */
async function inspectProcess(
  running: Running,
  mark: NonNullable<Running['process']>,
  stamps: Stamps,
): Promise<Drift | undefined> {
  const exe = `/proc/${mark.pid}/exe`;
  // The very file that was just hashed needs no second look.
  if (await isSameFile(exe, running.path)) return undefined;
  const stamp = await executableStamp(mark.pid);
  const path = await executablePathOf(mark.pid);
  const seen = stamps.get(running.deployment);
  if (stamp === undefined || path === undefined || seen?.stamp === stamp) return undefined;
  const found = await hashPath(exe);
  // It ended while it was looked at; the next look will say so.
  if (found === undefined) return undefined;
  const isScript = mark.executable !== running.item.digest;
  const before = seen ?? { path: mark.executablePath, digest: mark.executable };
  if (found === before.digest || (isScript && path !== before.path)) {
    stamps.set(running.deployment, { stamp, path, digest: found });
    return undefined;
  }
  return { kind: 'process_altered', path: exe, expected: before.digest, found };
}

async function isSameFile(left: string, right: string): Promise<boolean> {
  try {
    const [one, other] = await Promise.all([stat(left, { bigint: true }), stat(right, { bigint: true })]);
    return one.dev === other.dev && one.ino === other.ino;
  } catch {
    return false;
  }
}
