import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { parseJson, parseWith, Problem } from '#base';
import {
  compareCheckpoint,
  hashBase64,
  hashFromBase64,
  openCheckpoint,
  parseVkey,
  renderForkFile,
  showConsistency,
  showLedger,
  type SignedCheckpoint,
  verifyConsistency,
} from '#ledger';
import type { Client } from './client.ts';

/** What was last seen of one server's ledger. */
const Seen = z.strictObject({
  /** The key that signed the first checkpoint seen; no other is taken after it. */
  vkey: z.string().max(1000),
  note: z.string().max(100_000),
});
const SeenFile = z.record(z.string(), Seen);
type Seen = z.output<typeof Seen>;

const FILE_MAX_CHARS = 4 * 1024 * 1024;

export interface LedgerView {
  checkpoint: SignedCheckpoint;
  vkey: string;
  /** Size of the checkpoint that was remembered; undefined at the first sight of this server. */
  consistentSince: number | undefined;
  /** What the server says about its witnesses. */
  witnessing: z.output<typeof showLedger.response>['witnessing'];
}

export interface CheckpointMemory {
  /**
   * Asks the server for its newest checkpoint and takes it only if it continues what was seen before; then remembers it.
   * `Problem client.ledger_key_changed`, `client.ledger_rolled_back` or `client.ledger_forked`, with both checkpoints in its
   * details: they are signed, so together they are evidence. It is also kept as a file that `waybill ledger check` reads, and
   * handed to the server, which then takes nothing in any more; what was remembered stays remembered.
   */
  advance(client: Client): Promise<LedgerView>;
}

/** For processes that run for long: a look now and then, and an error for ever once a look went wrong. */
export interface CheckpointWatch {
  look(client: Client): Promise<void>;
}

const LOOK_EVERY_MS = 10_000;

/**
 * What a runner or an agent asks before it does what the server says. A server that rewrote or took back what it signed is not
 * obeyed any more, also after a restart: the evidence lies beside `file`.
 */
export function openCheckpointWatch(file: string, everyMs = LOOK_EVERY_MS): CheckpointWatch {
  const memory = openCheckpointMemory(file);
  let last = -Infinity;
  return {
    async look(client) {
      if (performance.now() - last < everyMs) return;
      await memory.advance(client);
      last = performance.now();
    },
  };
}

/** Kept in one file, by server address. Losing the file loses only the memory: the next sight counts as the first. */
export function openCheckpointMemory(file: string): CheckpointMemory {
  return {
    async advance(client) {
      const all = await readSeen(file);
      const before = all[client.origin];
      const status = await client.call(showLedger);
      const vkey = before?.vkey ?? status.vkey;
      if (status.vkey !== vkey) throw keyChanged(vkey, status.vkey, before, status.checkpoint);
      const verifier = parseVkey(vkey);
      const checkpoint = openCheckpoint(status.checkpoint, verifier.name, [verifier]);
      const remembered = before ? openCheckpoint(before.note, verifier.name, [verifier]) : undefined;
      if (remembered) {
        try {
          await requireContinuation(client, remembered, checkpoint);
        } catch (error) {
          throw await withEvidence(error, { client, file, vkey, old: remembered, now: checkpoint });
        }
      }
      await writeSeen(file, { ...all, [client.origin]: { vkey, note: checkpoint.note } });
      return { checkpoint, vkey, consistentSince: remembered?.size, witnessing: status.witnessing };
    },
  };
}

/** The new tree must start with the old one. From the empty tree nothing is claimed, so nothing need be proven. */
async function requireContinuation(client: Client, old: SignedCheckpoint, now: SignedCheckpoint): Promise<void> {
  if (now.size < old.size) throw contradiction('rolled_back', 'is shorter than one that it signed before', old, now);
  if (now.size === old.size) {
    if (now.root !== old.root) throw contradiction('forked', 'has two roots for one size', old, now);
    return;
  }
  if (old.size === 0) return;
  const proof = await client.call(showConsistency, { query: { old: old.size, size: now.size } });
  const path = proof.hashes.map((hash) => hashFromBase64(hash));
  const proven =
    path.every((hash) => hash !== undefined) &&
    verifyConsistency({ oldSize: old.size, newSize: now.size, oldRoot: old.root, newRoot: now.root, path });
  if (!proven) throw contradiction('forked', 'does not continue the one that it signed before', old, now);
}

async function readSeen(file: string): Promise<Record<string, Seen>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as { code?: unknown }).code === 'ENOENT') return '{}';
    throw error;
  });
  return parseWith(SeenFile, parseJson(text, FILE_MAX_CHARS), 'client.memory_damaged');
}

async function writeSeen(file: string, seen: Record<string, Seen>): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeFile(draft, `${JSON.stringify(seen, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

const FORK_KINDS: Readonly<Record<string, 'rollback' | 'split_view' | 'inconsistent'>> = {
  'client.ledger_rolled_back': 'rollback',
  'client.ledger_forked': 'inconsistent',
};

/** A contradiction becomes a file beside the memory; its path is added to the details. Anything else stays as it is. */
async function withEvidence(
  error: unknown,
  seen: { client: Client; file: string; vkey: string; old: SignedCheckpoint; now: SignedCheckpoint },
): Promise<unknown> {
  const fork = Problem.is(error) ? FORK_KINDS[error.code] : undefined;
  if (!Problem.is(error) || fork === undefined) return error;
  const { client, file, vkey, old, now } = seen;
  const text = renderForkFile({
    fork: old.size === now.size ? 'split_view' : fork,
    origin: old.origin,
    vkey,
    first: old.note,
    second: now.note,
    noticedBy: 'client',
  });
  const evidenceFile = join(dirname(file), `fork-${old.size}-${now.size}.json`);
  await writeFile(evidenceFile, text, { mode: 0o600, flush: true });
  // A server that was restored from an old backup by mistake learns of it here. One that lies may ignore it.
  await client.call(compareCheckpoint, { body: { note: old.note } }).catch(() => undefined);
  const { code, kind, message, hint, details } = error;
  return new Problem({ code, kind, message, hint, details: { ...details, evidenceFile }, cause: error });
}

const KEEP_EVIDENCE =
  'Keep both checkpoints: they are signed and prove it. Do not rely on this server until it is explained.';

function contradiction(
  kind: 'rolled_back' | 'forked',
  what: string,
  old: SignedCheckpoint,
  now: SignedCheckpoint,
): Problem {
  return new Problem({
    code: `client.ledger_${kind}`,
    kind: 'rejected',
    message: `The server's ledger ${what}.`,
    hint: KEEP_EVIDENCE,
    details: {
      expected: `${old.size} ${hashBase64(old.root)}`,
      found: `${now.size} ${hashBase64(now.root)}`,
      seenCheckpoint: old.note,
      offeredCheckpoint: now.note,
    },
  });
}

function keyChanged(expected: string, found: string, before: Seen | undefined, offered: string): Problem {
  return new Problem({
    code: 'client.ledger_key_changed',
    kind: 'rejected',
    message: "The server's ledger is signed with another key than before.",
    hint: `${KEEP_EVIDENCE} If the server was set up anew on purpose, log out and in again under its new certificate.`,
    details: { expected, found, seenCheckpoint: before?.note ?? '', offeredCheckpoint: offered },
  });
}
