import { Problem, verdictOf } from '#base';
import type { Clock, Verdict } from '#base';
import type { Journal } from '#journal';
import type { Vault } from '#vault';
import { openAssurance, servedNote } from './assurance.ts';
import type { Assurance, AssuranceOptions } from './assurance.ts';
import type { AuditProgress } from './audit.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { verifyFact, verifyLedger } from './factcheck.ts';
import { leafHash } from './hash.ts';
import { beginHistory } from './history.ts';
import { journalRows, journalSource } from './journalsource.ts';
import { damaged, notWitnessed, outOfRange } from './problems.ts';
import type { InclusionProof } from './proof.ts';
import { openTileLog } from './tilelog.ts';
import type { TileLog, TileLogOptions } from './tilelog.ts';
import { createNoteSigner } from './vkey.ts';

export interface LedgerOptions {
  journal: Journal;
  vault: Pick<Vault, 'createKey' | 'signer' | 'postQuantumSigner' | 'keys'>;
  dir: string;
  clock: Clock;
  /** Names this installation: the origin is `events.<name>`. */
  name: string;
  /**
   * 'write' (default) refuses to open a log that contradicts itself or the journal. 'write_or_read' opens such a log for
   * reading, so that it can be looked at while everything that needs a proof is refused. 'read' never writes.
   */
  access?: 'write' | 'write_or_read' | 'read';
  /** Witnesses, stream heads and anchors; the journal must know `ledgerModule`. Without it the log stands by its own signature alone. */
  assurance?: AssuranceOptions;
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
  /** Why nothing can be proven now: opened for reading although writing was asked for, publishing fails, or witnesses are missing (fail-closed). */
  readonly refusal: Problem | undefined;
  readonly assurance: Assurance | undefined;
  /** The newest checkpoint that may be shown: with a fail-closed policy the newest that is witnessed. `ledger.not_witnessed`. */
  shownCheckpoint(): SignedCheckpoint;
  /** Resolves when a signed (and, with a fail-closed policy, witnessed) checkpoint covers the fact; rejects if that cannot be had. */
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
  let assurance: Assurance | undefined;
  const { events, refusal } = await openEvents(options, () => servedNote(assurance?.cosigning));
  const stopFollowing = journal.onCommit(() => events.poke());
  if (options.assurance) {
    const writable = !refusal && options.access !== 'read';
    try {
      assurance = await openAssurance({ ...options, log: events, writable, waitForFact }, options.assurance);
    } catch (error) {
      stopFollowing();
      await events.close();
      throw error;
    }
  }
  // What was recorded before a crash, or while the log could not be opened.
  if (!refusal && options.access !== 'read') events.poke();

  async function waitForFact(number: number): Promise<SignedCheckpoint> {
    const signed = await waitForSigned(number);
    const required = assurance?.cosigning.required() ?? 'open';
    if (required === 'open') return signed;
    if (required !== 'none' && required.size >= number) return required;
    return await (assurance as Assurance).cosigning.waitFor(number);
  }

  async function waitForSigned(number: number): Promise<SignedCheckpoint> {
    if (number > (await journal.head()) && number > events.size())
      throw outOfRange(`There is no fact number ${number}.`);
    if (number <= events.size()) return events.checkpoint();
    if (refusal) throw refusal;
    return await events.waitFor(number - 1);
  }

  return {
    events,
    assurance,
    get refusal() {
      return refusal ?? events.trouble() ?? assurance?.cosigning.trouble();
    },
    shownCheckpoint: () => shown(events, assurance),
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
    async verify(onProgress) {
      const { checks } = await verifyLedger({ journal, events, waitForFact }, onProgress);
      return verdictOf([...checks, ...((await assurance?.checks()) ?? [])]);
    },
    async close() {
      stopFollowing();
      await assurance?.close();
      await events.close();
    },
  };
}

function shown(events: TileLog, assurance: Assurance | undefined): SignedCheckpoint {
  const required = assurance?.cosigning.required() ?? 'open';
  if (required === 'open') return events.checkpoint();
  if (required === 'none') throw notWitnessed(events.size(), assurance?.cosigning.states() ?? []);
  return required;
}

async function openEvents(
  options: LedgerOptions,
  served: () => string | undefined,
): Promise<{ events: TileLog; refusal: Problem | undefined }> {
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
    servedNote: served,
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
