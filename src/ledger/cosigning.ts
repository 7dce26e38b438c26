import { faultPoint, Problem } from '#base';
import type { Clock } from '#base';
import { type Journal, systemActor } from '#journal';
import type { Db, Objects } from '#storage';
import { renderAddCheckpoint } from './addcheckpoint.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { alertRaised, housekeeping } from './facts.ts';
import type { FailPolicy } from './facts.ts';
import { contradictionOf, originHash, originStream, recordFork } from './fork.ts';
import { parseNote, renderNote } from './note.ts';
import type { NoteSignature } from './note.ts';
import { quorumReached } from './policy.ts';
import type { Policy } from './policy.ts';
import { forkDetected, notWitnessed, rolledBack } from './problems.ts';
import type { TileLog } from './tilelog.ts';
import type { NoteSigner, NoteVerifier } from './vkey.ts';
import { parseVkey } from './vkey.ts';

/** How requests reach a witness. The module that owns TLS brings it; `Problem unavailable` if the witness cannot be reached. */
export interface WitnessExchange {
  post(
    witness: { url: string; ca: string | null },
    path: string,
    body: string,
  ): Promise<{ status: number; type: string; body: string }>;
  get(
    witness: { url: string; ca: string | null },
    path: string,
  ): Promise<{ status: number; type: string; body: string }>;
}

/** A witness we ask. */
export interface UsedWitness {
  name: string;
  vkey: string;
  url: string;
  ca: string | null;
}

export interface WitnessState {
  name: string;
  url: string;
  vkey: string;
  /** Size that it cosigned last, as far as this process knows. */
  size: number | undefined;
  at: number | undefined;
  /** Why it did not cosign the newest checkpoint that it was asked about. */
  trouble: string | undefined;
}

export interface CosigningSettings {
  witnesses: readonly UsedWitness[];
  policy: Policy;
  fail: FailPolicy;
}

/** Has our checkpoints cosigned, and holds back what the policy says must be witnessed first. */
export interface Cosigning {
  /** With `closed`: the newest checkpoint that satisfies the policy, or `none`. With `open`: any will do. */
  required(): SignedCheckpoint | 'open' | 'none';
  /** The newest checkpoint whose cosignatures satisfy the policy, if there was one. */
  witnessed(): SignedCheckpoint | undefined;
  /** Resolves with a checkpoint of at least `size` entries that satisfies the policy. `ledger.not_witnessed`. */
  waitFor(size: number): Promise<SignedCheckpoint>;
  /** Asks everybody now; resolves when all have answered or failed. */
  run(): Promise<void>;
  /** Other witnesses or another policy from now on. */
  configure(settings: CosigningSettings): Promise<void>;
  settings(): CosigningSettings;
  /** With `closed`: why the newest checkpoint that witnesses were asked about does not satisfy the policy. */
  trouble(): Problem | undefined;
  states(): WitnessState[];
  close(): Promise<void>;
}

export interface CosigningOptions {
  journal: Journal;
  db: Db;
  objects: Pick<Objects, 'put'>;
  clock: Clock;
  log: TileLog;
  exchange: WitnessExchange;
  /** Keys of ours that sign the newest checkpoint beside the log's own (ML-DSA-44). */
  ownCosigners: readonly NoteSigner[];
  settings: CosigningSettings;
  /** The note that `remember` kept last, if it still satisfies the policy; durable, so that a restart serves no less. */
  remembered(accept: (note: string) => SignedCheckpoint | undefined): SignedCheckpoint | undefined;
  remember(note: string): Promise<void>;
  minIntervalMs?: number;
  retryMs?: number;
  waitMs?: number;
}

const SUBMIT_ATTEMPTS_MAX = 4;
const ANSWER_MAX_CHARS = 96 * 1024;

export function createCosigning(options: CosigningOptions): Cosigning {
  const { journal, clock, log, exchange, ownCosigners } = options;
  const { minIntervalMs = 1000, retryMs = 5000, waitMs = 10_000 } = options;
  let { settings } = options;
  let states = settings.witnesses.map(initialState);
  let witnessed = satisfying(log.checkpoint()) ?? options.remembered(satisfyingNote);
  let running: Promise<void> | undefined;
  let queued: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastAt = Number.NEGATIVE_INFINITY;
  let closing = false;
  /** Size of the newest checkpoint that was asked about in vain; 0 if it was not in vain. */
  let missed = 0;
  const contradicting = new Set<string>();
  const waiters = new Set<{ size: number; resolve: (checkpoint: SignedCheckpoint) => void }>();

  /** The checkpoint, if the signatures under it satisfy the policy. */
  function satisfying(checkpoint: SignedCheckpoint): SignedCheckpoint | undefined {
    const { witnesses } = settings.policy;
    const keys = cosignersOf(
      checkpoint.note,
      witnesses.map(({ verifier }) => verifier),
    );
    return quorumReached(settings.policy, keys) ? checkpoint : undefined;
  }

  function satisfyingNote(note: string): SignedCheckpoint | undefined {
    const checkpoint = tryOpen(note, log);
    return checkpoint && satisfying(checkpoint);
  }

  async function runOnce(): Promise<void> {
    lastAt = performance.now();
    const checkpoint = log.checkpoint();
    const own = await Promise.all(ownCosigners.map((cosigner) => cosigner.sign(parseNote(checkpoint.note).text)));
    const answers = await Promise.all(settings.witnesses.map((witness, i) => ask(witness, states[i], checkpoint)));
    const lines = [...own, ...answers.flat()];
    if (lines.length === 0 && settings.policy.quorum !== undefined) {
      missed = checkpoint.size;
      return;
    }
    const note = withSignatures(checkpoint.note, lines, log.verifier);
    faultPoint('ledger.before_cosigned');
    await log.addSignatures(note);
    const cosigned = satisfying({ ...checkpoint, note });
    missed = cosigned ? 0 : checkpoint.size;
    if (!cosigned || cosigned.size < (witnessed?.size ?? 0)) return;
    if (settings.policy.quorum !== undefined) await options.remember(note);
    settle(cosigned);
  }

  function settle(checkpoint: SignedCheckpoint): void {
    witnessed = checkpoint;
    for (const waiter of waiters) {
      if (waiter.size > checkpoint.size) continue;
      waiters.delete(waiter);
      waiter.resolve(checkpoint);
    }
  }

  /** One at a time; whoever comes while one runs gets the next, which sees what is there then. */
  function run(): Promise<void> {
    if (queued) return queued;
    if (!running) return (running = guarded());
    queued = running
      .catch(() => undefined)
      .then(() => {
        queued = undefined;
        return (running = guarded());
      });
    return queued;
  }

  async function guarded(): Promise<void> {
    try {
      await runOnce();
    } catch (error) {
      if (!Problem.is(error)) throw error;
    } finally {
      running = undefined;
      const complete = states.every(({ trouble }) => trouble === undefined);
      if (!complete) later(retryMs);
    }
  }

  async function ask(
    witness: UsedWitness,
    state: WitnessState | undefined,
    checkpoint: SignedCheckpoint,
  ): Promise<NoteSignature[]> {
    if (!state) return [];
    try {
      const lines = await submit(witness, state, checkpoint);
      state.size = checkpoint.size;
      state.at = clock.now();
      state.trouble = undefined;
      contradicting.delete(witness.name);
      return lines;
    } catch (error) {
      if (!Problem.is(error)) throw error;
      state.trouble = error.message;
      return [];
    }
  }

  /** C2SP tlog-witness: a 409 tells the size to prove from. Whatever else it says no to is looked into. */
  async function submit(
    witness: UsedWitness,
    state: WitnessState,
    checkpoint: SignedCheckpoint,
  ): Promise<NoteSignature[]> {
    let oldSize = state.size ?? 0;
    for (let attempt = 0; attempt < SUBMIT_ATTEMPTS_MAX; attempt += 1) {
      if (oldSize > checkpoint.size) throw await investigate(witness);
      const path =
        oldSize === 0 || oldSize === checkpoint.size ? [] : (await log.consistencyProof(oldSize, checkpoint.size)).path;
      const body = renderAddCheckpoint({ oldSize, path, note: bareNote(checkpoint.note, log.verifier) });
      const answer = await exchange.post(witness, 'add-checkpoint', body);
      faultPoint('ledger.after_witness_answer');
      if (answer.status === 200) return readLines(answer.body, checkpoint, parseVkey(witness.vkey));
      if (answer.status === 409 && /^text\/x\.tlog\.size\b/.test(answer.type)) {
        oldSize = readSize(answer.body, witness.name);
        continue;
      }
      if (answer.status === 409 || answer.status === 422) throw await investigate(witness);
      throw witnessRefused(witness.name, `it answered with status ${answer.status}`);
    }
    throw witnessRefused(witness.name, 'its size keeps changing');
  }

  /** The witness holds another history: what it cosigned says which of us is wrong. */
  async function investigate(witness: UsedWitness): Promise<Problem> {
    const answer = await exchange.get(witness, `${originHash(log.origin)}/checkpoint`);
    const theirs = answer.status === 200 ? tryOpen(answer.body, log) : undefined;
    if (!theirs) {
      await raiseContradiction(witness.name);
      return witnessRefused(witness.name, 'it contradicts us but shows no checkpoint that we signed');
    }
    const ours = log.checkpoint();
    const own = theirs.size > ours.size ? undefined : await rootAt(theirs.size);
    if (own === theirs.root) return witnessRefused(witness.name, 'it refused although it has the same history');
    const fork = contradictionOf(theirs, ours) ?? 'inconsistent';
    await recordFork(options, {
      fork,
      origin: log.origin,
      vkey: log.verifier.vkey,
      first: theirs.note,
      second: ours.note,
      noticedBy: witness.name,
    });
    const problem =
      fork === 'rollback'
        ? rolledBack(theirs, ours.size)
        : forkDetected(`The witness ${witness.name} has cosigned another history of this log.`, {
            witnessed: theirs.note,
            ours: ours.note,
          });
    log.halt(problem);
    return problem;
  }

  async function rootAt(size: number): Promise<string> {
    const ours = log.checkpoint();
    if (size === ours.size || size === 0) return size === 0 ? '' : ours.root;
    return (await log.consistencyProof(size)).oldRoot;
  }

  /** Once until it cosigns again: a witness that keeps refusing must not fill the journal. */
  async function raiseContradiction(name: string): Promise<void> {
    if (contradicting.has(name)) return;
    contradicting.add(name);
    await journal.record({
      fact: alertRaised,
      payload: {
        alert: 'witness_contradicts',
        origin: log.origin,
        message: `The witness ${name} refuses our checkpoint as inconsistent, and shows no other one that we signed.`,
      },
      stream: originStream(log.origin),
      actor: systemActor('witness'),
    });
  }

  /** Facts that only keep house are no reason to ask: asking makes such facts at the witness, which may be our client. */
  async function hasNews(): Promise<boolean> {
    const known = witnessed?.size ?? 0;
    const facts = await journal.read({ after: known, limit: 50 });
    return facts.some(({ type }) => !housekeeping.includes(type)) || facts.length === 50;
  }

  function later(delayMs: number): void {
    if (closing) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      run().catch(() => undefined);
    }, delayMs).unref();
  }

  const stop = log.onPublished(() => {
    if (closing || (settings.witnesses.length === 0 && ownCosigners.length === 0)) return;
    hasNews()
      .then((news) => {
        if (news) later(Math.max(0, minIntervalMs - (performance.now() - lastAt)));
      })
      .catch(() => undefined);
  });

  return {
    required: () => (settings.fail === 'open' ? 'open' : (witnessed ?? 'none')),
    witnessed: () => witnessed,
    run,
    async waitFor(size) {
      if (witnessed && witnessed.size >= size) return witnessed;
      const { promise, resolve } = Promise.withResolvers<SignedCheckpoint>();
      const waiter = { size, resolve };
      waiters.add(waiter);
      let deadline: NodeJS.Timeout | undefined;
      const refused = new Promise<never>((_resolve, reject) => {
        deadline = setTimeout(() => reject(notWitnessed(size, states)), waitMs);
      });
      run().catch(() => undefined);
      try {
        return await Promise.race([promise, refused]);
      } finally {
        clearTimeout(deadline);
        waiters.delete(waiter);
      }
    },
    async configure(next) {
      await running;
      const before = states;
      settings = next;
      states = next.witnesses.map(
        (witness) =>
          before.find(({ vkey, url }) => vkey === witness.vkey && url === witness.url) ?? initialState(witness),
      );
      witnessed = satisfying(log.checkpoint());
      await run();
    },
    settings: () => settings,
    trouble: () =>
      settings.fail === 'closed' && missed > (witnessed?.size ?? 0) ? notWitnessed(missed, states) : undefined,
    states: () => states.map((state) => ({ ...state })),
    async close() {
      stop();
      closing = true;
      clearTimeout(timer);
      await queued?.catch(() => undefined);
      await running?.catch(() => undefined);
      clearTimeout(timer);
    },
  };
}

function initialState({ name, url, vkey }: UsedWitness): WitnessState {
  return { name, url, vkey, size: undefined, at: undefined, trouble: undefined };
}

function tryOpen(note: string, { origin, verifier }: TileLog): SignedCheckpoint | undefined {
  try {
    return openCheckpoint(note, origin, [verifier]);
  } catch (error) {
    if (Problem.is(error)) return undefined;
    throw error;
  }
}

/** The keys (vkeys) among `verifiers` with a good signature under the note. */
export function cosignersOf(note: string, verifiers: readonly NoteVerifier[]): Set<string> {
  const { text, signatures } = parseNote(note);
  const found = new Set<string>();
  for (const { name, keyId, signature } of signatures) {
    for (const verifier of verifiers) {
      if (verifier.name === name && verifier.keyId === keyId && verifier.verify(text, signature)) {
        found.add(verifier.vkey);
      }
    }
  }
  return found;
}

/** Only the log's own signature: a witness has no use for the others. */
function bareNote(note: string, { name, keyId }: NoteVerifier): string {
  const { text, signatures } = parseNote(note);
  return renderNote(
    text,
    signatures.filter((line) => line.name === name && line.keyId === keyId),
  );
}

/** The log's line first, then every other key's newest line; what was there before and is not renewed stays. */
function withSignatures(note: string, lines: readonly NoteSignature[], own: NoteVerifier): string {
  const { text, signatures } = parseNote(note);
  const same = (a: NoteSignature, b: { name: string; keyId: number }) => a.name === b.name && a.keyId === b.keyId;
  const kept = signatures.filter((line) => !same(line, own) && !lines.some((fresh) => same(fresh, line)));
  return renderNote(text, [...signatures.filter((line) => same(line, own)), ...lines, ...kept]);
}

/** Untrusted answer → the lines of this witness's key; its other keys are of no use to us. `Problem` unless one is good. */
function readLines(body: string, checkpoint: SignedCheckpoint, verifier: NoteVerifier): NoteSignature[] {
  if (body.length > ANSWER_MAX_CHARS) throw witnessRefused(verifier.name, 'its answer is too large');
  const { text } = parseNote(checkpoint.note);
  const good = linesOf(text, body).filter(
    ({ name, keyId, signature }) =>
      name === verifier.name && keyId === verifier.keyId && verifier.verify(text, signature),
  );
  const [line] = good;
  if (!line) throw witnessRefused(verifier.name, 'its answer has no good signature of its key');
  return [line];
}

function linesOf(text: string, body: string): readonly NoteSignature[] {
  try {
    return parseNote(`${text}\n${body}`).signatures;
  } catch (error) {
    if (Problem.is(error)) return [];
    throw error;
  }
}

function readSize(body: string, name: string): number {
  const size = /^(0|[1-9][0-9]{0,15})\n$/.test(body) ? Number(body) : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw witnessRefused(name, 'it names no size');
}

const witnessRefused = (name: string, reason: string) =>
  new Problem({
    code: 'ledger.witness_refused',
    kind: 'unavailable',
    message: `The witness ${name} did not cosign: ${reason}.`,
    hint: 'See `waybill ledger witness list` on both servers: each must know the other one.',
  });
