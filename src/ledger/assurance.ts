import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '#base';
import type { Check, Clock, Digest } from '#base';
import type { Actor, Journal } from '#journal';
import { type Db, type Objects, writeDurable } from '#storage';
import { offersAlgorithm, type Vault } from '#vault';
import { openAnchor } from './anchor.ts';
import type { Anchor } from './anchor.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { createCosigning } from './cosigning.ts';
import type { Cosigning, WitnessExchange } from './cosigning.ts';
import type { FailPolicy } from './facts.ts';
import { writeStep } from './faults.ts';
import { contradictionOf, recordFork } from './fork.ts';
import { openStreamHeads } from './heads.ts';
import type { StreamHeadsLog } from './heads.ts';
import { loadSettings, recordPeer, recordPolicy } from './peers.ts';
import type { Peer } from './peers.ts';
import { forkDetected, notWitnessed, rolledBack } from './problems.ts';
import { listForks } from './store.ts';
import type { ForkRow } from './store.ts';
import type { TileLog } from './tilelog.ts';
import { createCosigner } from './vkey.ts';
import type { NoteSigner } from './vkey.ts';
import { createWitness } from './witness.ts';
import type { Witness } from './witness.ts';

/** What stands behind the log besides its own signature. */
export interface Assurance {
  /** We as a witness of others. */
  readonly witness: Witness;
  /** Others as our witnesses. */
  readonly cosigning: Cosigning;
  readonly heads: StreamHeadsLog;
  /** The ML-DSA-44 key that signs our cosigned checkpoints as well; undefined where Node has none. */
  readonly postQuantumKey: string | undefined;
  /** Puts the checkpoints of this log of ours under the events log from now on. */
  anchor(log: TileLog): Promise<Anchor>;
  /** This server and another one witness each other; the other one is told by its own call. */
  addPeer(actor: Actor, peer: Peer): Promise<void>;
  setPolicy(actor: Actor, policy: { policy: string; fail: FailPolicy }): Promise<void>;
  /** A checkpoint of ours that somebody else remembers: the proof that we continue it, or refusal with evidence. */
  compare(note: string, noticedBy: string): Promise<{ consistent: true } | { consistent: false; evidence: Digest }>;
  forks(): Promise<ForkRow[]>;
  checks(): Promise<Check[]>;
  close(): Promise<void>;
}

export interface AssuranceOptions {
  db: Db;
  objects: Pick<Objects, 'put'>;
  exchange: WitnessExchange;
  /** How long a start waits for the witnesses before it goes on without them (fail-open) or refuses proofs (fail-closed). */
  startWaitMs?: number;
  headsIntervalMs?: number;
  anchorIntervalMs?: number;
  cosigning?: { minIntervalMs?: number; retryMs?: number; waitMs?: number };
}

const WITNESS_KEYS = ['ledger-witness', 'ledger-witness-pq'] as const;
const EVENTS_PQ_KEY = 'ledger-events-pq';

export async function openAssurance(
  common: {
    journal: Journal;
    vault: Pick<Vault, 'createKey' | 'signer' | 'postQuantumSigner'>;
    clock: Clock;
    dir: string;
    name: string;
    log: TileLog;
    writable: boolean;
    waitForFact: (number: number) => Promise<SignedCheckpoint>;
  },
  options: AssuranceOptions,
): Promise<Assurance> {
  const { journal, clock, dir, name, log, vault, waitForFact } = common;
  const { db, objects, exchange } = options;
  const postQuantum = offersAlgorithm('ml-dsa-44');
  const ownVkey = log.verifier.vkey;

  async function cosignerOf(key: string, algorithm: 'ed25519' | 'ml-dsa-44', label: string): Promise<NoteSigner> {
    await vault.createKey({ name: key, algorithm, purpose: 'witness' });
    const signer = algorithm === 'ed25519' ? vault.signer(key) : vault.postQuantumSigner(key);
    return createCosigner(label, await signer, clock);
  }
  const witnessName = `witness.${name}`;
  const cosigners = [await cosignerOf(WITNESS_KEYS[0], 'ed25519', witnessName)];
  if (postQuantum) cosigners.push(await cosignerOf(WITNESS_KEYS[1], 'ml-dsa-44', witnessName));
  const ownCosigners = postQuantum ? [await cosignerOf(EVENTS_PQ_KEY, 'ml-dsa-44', log.origin)] : [];

  await refuseKnownFork(db, log);
  const rememberedFile = join(dir, 'witnessed');
  const remembered = await readFile(rememberedFile, 'utf8').catch(() => undefined);
  const cosigning = createCosigning({
    journal,
    db,
    objects,
    clock,
    log,
    exchange,
    ownCosigners,
    settings: await loadSettings(db, ownVkey),
    remembered: (accept) => (remembered === undefined ? undefined : accept(remembered)),
    async remember(note) {
      await writeStep(undefined, 'witnessed', () => writeDurable(rememberedFile, note, 0o644));
    },
    ...options.cosigning,
  });
  const heads = openStreamHeads({
    journal,
    db,
    log,
    waitForFact,
    ...(options.headsIntervalMs === undefined ? {} : { minIntervalMs: options.headsIntervalMs }),
  });
  const anchors: Anchor[] = [];
  if (common.writable) await askAtStart(cosigning, options.startWaitMs ?? 3000);

  return {
    witness: createWitness({ journal, db, objects, clock, cosigners }),
    cosigning,
    heads,
    postQuantumKey: ownCosigners[0]?.verifier.vkey,
    async anchor(other) {
      const { anchorIntervalMs } = options;
      const interval = anchorIntervalMs === undefined ? {} : { minIntervalMs: anchorIntervalMs };
      const anchor = await openAnchor({ journal, db, log: other, ...interval });
      anchors.push(anchor);
      return anchor;
    },
    async addPeer(actor, peer) {
      await recordPeer({ journal, db }, actor, { peer, settings: cosigning.settings(), ownVkey });
      await cosigning.configure(await loadSettings(db, ownVkey));
    },
    async setPolicy(actor, wanted) {
      await recordPolicy({ journal, db }, actor, { ...wanted, ownVkey });
      await cosigning.configure(await loadSettings(db, ownVkey));
    },
    async compare(note, noticedBy) {
      const theirs = openCheckpoint(note, log.origin, [log.verifier]);
      const ours = log.checkpoint();
      const fork = await contradictionWith(log, theirs);
      if (!fork) return { consistent: true };
      const evidence = await recordFork(
        { journal, db, objects },
        { fork, origin: log.origin, vkey: ownVkey, first: note, second: ours.note, noticedBy },
      );
      log.halt(haltReason(fork, theirs, ours));
      return { consistent: false, evidence };
    },
    forks: () => listForks(db),
    checks: async () => [await heads.check(), ...(await Promise.all(anchors.map((anchor) => anchor.check())))],
    async close() {
      await cosigning.close();
      for (const anchor of anchors) await anchor.close();
      await heads.close();
    },
  };
}

/** With fail-closed: the newest checkpoint that may be shown. `ledger.not_witnessed` if there is none. */
export function servedNote(cosigning: Cosigning | undefined): string | undefined {
  const required = cosigning?.required() ?? 'open';
  if (required === 'open') return undefined;
  if (required === 'none') throw notWitnessed(0, cosigning?.states() ?? []);
  return required.note;
}

/** Evidence against our own log stays in force: it is signed by us, and nothing we write now can undo it. */
async function refuseKnownFork(db: Db, log: TileLog): Promise<void> {
  const [fork] = await listForks(db, log.origin);
  if (!fork) return;
  log.halt(
    forkDetected('There is recorded evidence that this log contradicted what it signed.', {
      evidence: fork.evidence,
      kind: fork.kind,
    }),
  );
}

/** A restored old backup is noticed here: a witness has cosigned more than we have. */
async function askAtStart(cosigning: Cosigning, waitMs: number): Promise<void> {
  if (cosigning.settings().witnesses.length === 0) return;
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  await Promise.race([cosigning.run(), deadline]);
  clearTimeout(timer);
}

async function contradictionWith(
  log: TileLog,
  theirs: SignedCheckpoint,
): Promise<'split_view' | 'rollback' | 'inconsistent' | undefined> {
  const ours = log.checkpoint();
  const plain = contradictionOf(theirs, ours);
  if (plain || theirs.size === ours.size || theirs.size === 0) return plain;
  const { oldRoot } = await log.consistencyProof(theirs.size);
  return oldRoot === theirs.root ? undefined : 'inconsistent';
}

function haltReason(fork: string, theirs: SignedCheckpoint, ours: SignedCheckpoint): Problem {
  if (fork === 'rollback') return rolledBack(theirs, ours.size);
  return forkDetected('Somebody remembers another history of this log, signed by us.', {
    remembered: theirs.note,
    ours: ours.note,
  });
}
