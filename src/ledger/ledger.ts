import { Problem } from '#base';
import type { Clock, Verdict } from '#base';
import type { Journal } from '#journal';
import type { Vault } from '#vault';
import type { AuditProgress } from './audit.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { verifyFact, verifyLedger } from './factcheck.ts';
import { leafHash } from './hash.ts';
import { beginHistory } from './history.ts';
import { journalRows, journalSource } from './journalsource.ts';
import { damaged, outOfRange } from './problems.ts';
import type { InclusionProof } from './proof.ts';
import { openTileLog } from './tilelog.ts';
import type { TileLog, TileLogOptions } from './tilelog.ts';
import { createNoteSigner } from './vkey.ts';

export interface LedgerOptions {
  journal: Journal;
  vault: Pick<Vault, 'createKey' | 'signer' | 'keys'>;
  dir: string;
  clock: Clock;
  /** Names this installation: the origin is `events.<name>`. */
  name: string;
  /**
   * 'write' (default) refuses to open a log that contradicts itself or the journal. 'write_or_read' opens such a log for
   * reading, so that it can be looked at while everything that needs a proof is refused. 'read' never writes.
   */
  access?: 'write' | 'write_or_read' | 'read';
  minIntervalMs?: number;
  onPublished?: (checkpoint: SignedCheckpoint) => void;
}

/** Fact `number` is in the log, in a form that needs neither journal nor server to check. */
export interface FactProof {
  number: number;
  leaf: Buffer;
  inclusion: InclusionProof;
  checkpoint: SignedCheckpoint;
}

/** The log of everything that happened: each fact of the journal is one leaf. */
export interface Ledger {
  readonly events: TileLog;
  /** Why the log takes nothing in now: it was opened for reading only although writing was asked for, or publishing fails. */
  readonly refusal: Problem | undefined;
  /** Resolves when a signed checkpoint covers the fact; rejects (fail closed) if that cannot be had. */
  waitForFact(number: number): Promise<SignedCheckpoint>;
  /** Waits for the fact's checkpoint if need be. `ledger.damaged` if the log's files do not prove it. */
  proveFact(number: number): Promise<FactProof>;
  /** Checks `journal.row`, `ledger.entry`, `ledger.tile`, `ledger.inclusion`, `ledger.checkpoint`, each by itself, from the disk. */
  verifyFact(number: number): Promise<Verdict>;
  /** The same for every fact, and `ledger.history` and `ledger.coverage`. Reads everything. */
  verify(onProgress?: AuditProgress): Promise<Verdict>;
  close(): Promise<void>;
}

const KEY_NAME = 'ledger-events';

export async function createLedger(options: LedgerOptions): Promise<Ledger> {
  const { journal } = options;
  const { events, refusal } = await openEvents(options);
  const stopFollowing = journal.onCommit(() => events.poke());
  // What was recorded before a crash, or while the log could not be opened.
  if (!refusal && options.access !== 'read') events.poke();

  async function waitForFact(number: number): Promise<SignedCheckpoint> {
    if (number > (await journal.head()) && number > events.size())
      throw outOfRange(`There is no fact number ${number}.`);
    if (number <= events.size()) return events.checkpoint();
    if (refusal) throw refusal;
    return await events.waitFor(number - 1);
  }

  return {
    events,
    get refusal() {
      return refusal ?? events.trouble();
    },
    waitForFact,
    async proveFact(number) {
      const checkpoint = await waitForFact(number);
      const index = number - 1;
      const [leaf, inclusion] = await Promise.all([events.entry(index), events.inclusionProof(index, checkpoint.size)]);
      if (inclusion.root !== checkpoint.root) throw damaged('tile', 'set does not hash to the signed root');
      if (leafHash(leaf) !== inclusion.leaf)
        throw damaged('tile/entries', `has another entry ${index} than was signed`);
      return { number, leaf, inclusion, checkpoint };
    },
    verifyFact: (number) => verifyFact({ journal, events, waitForFact }, number),
    verify: (onProgress) => verifyLedger({ journal, events, waitForFact }, onProgress),
    async close() {
      stopFollowing();
      await events.close();
    },
  };
}

async function openEvents(options: LedgerOptions): Promise<{ events: TileLog; refusal: Problem | undefined }> {
  const { journal, vault, dir, clock, name, access = 'write' } = options;
  const begun = access === 'read' || (await beginLog(vault, dir));
  const origin = `events.${name}`;
  const log: TileLogOptions = {
    dir,
    origin,
    signer: createNoteSigner(origin, await vault.signer(KEY_NAME)),
    source: journalSource(journal),
    sourceName: journalRows,
    expectHistory: begun,
    clock,
    access: access === 'read' ? 'read' : 'write',
    ...(options.minIntervalMs === undefined ? {} : { minIntervalMs: options.minIntervalMs }),
    ...(options.onPublished ? { onPublished: options.onPublished } : {}),
  };
  try {
    return { events: await openTileLog(log), refusal: undefined };
  } catch (error) {
    if (access !== 'write_or_read' || !Problem.is(error)) throw error;
    return { events: await openTileLog({ ...log, access: 'read' }), refusal: error };
  }
}

/**
 * A log begins once: its empty history is durable before its key exists. So a key without a history
 * means that somebody removed the log.
 */
async function beginLog(vault: LedgerOptions['vault'], dir: string): Promise<boolean> {
  const begun = (await vault.keys()).some((key) => key.name === KEY_NAME);
  if (!begun) {
    await beginHistory(dir);
    await vault.createKey({ name: KEY_NAME, algorithm: 'ed25519', purpose: 'ledger' });
  }
  return begun;
}
