import { failed, passed, Problem } from '#base';
import type { Check } from '#base';
import { type Fact, type Journal, systemActor } from '#journal';
import type { Db } from '#storage';
import type { SignedCheckpoint } from './checkpoint.ts';
import { streamHeads } from './facts.ts';
import type { StreamHeads } from './facts.ts';
import { hashBase64, leafHash } from './hash.ts';
import { parseLeaf } from './leaf.ts';
import { damaged } from './problems.ts';
import { listHeads, newestHeads } from './store.ts';
import { createStreamMap } from './streammap.ts';
import type { StreamMap } from './streammap.ts';
import type { StreamProof } from './streamproof.ts';
import type { TileLog } from './tilelog.ts';
import { appendLeaf, emptyRange, rangeRoot } from './tree.ts';

/**
 * The map of every stream to its last fact, made from the leaves of the log and nothing else, and its root as a fact every few
 * seconds while something happens. With it "nothing of this stream was left out" can be proven without reading the log.
 */
export interface StreamHeadsLog {
  /** Records the root of the map as it is now, if anything but such records was logged since the last one. */
  flush(): Promise<void>;
  /** All facts of the stream, proven complete up to now. `ledger.stream_too_long`, and whatever keeps a checkpoint from being had. */
  proveStream(stream: string): Promise<StreamProof>;
  /** What the map says of each of these streams, under one record of it. Errors as `proveStream`. */
  proveHeads(streams: readonly string[]): Promise<ProvenHeads>;
  /** Makes the map anew from the log and compares it with every root that was logged. */
  check(): Promise<Check>;
  close(): Promise<void>;
}

export interface ProvenHeads {
  /** Number of the fact that logged the root of the map. */
  fact: number;
  maps: ReadonlyMap<string, StreamProof['map']>;
}

const STREAM = 'log/heads';
const READ_ENTRIES = 4096;
/** A proof has a path for each; more would make files that nobody can mail. */
const STREAM_FACTS_MAX = 5000;

export interface StreamHeadsOptions {
  journal: Journal;
  db: Db;
  log: TileLog;
  waitForFact: (number: number) => Promise<SignedCheckpoint>;
  minIntervalMs?: number;
}

export function openStreamHeads({
  journal,
  db,
  log,
  waitForFact,
  minIntervalMs = 10_000,
}: StreamHeadsOptions): StreamHeadsLog {
  let fold = beginFold();
  let timer: NodeJS.Timeout | undefined;
  let lastAt = Number.NEGATIVE_INFINITY;
  let queue: Promise<unknown> = Promise.resolve();
  let closing = false;

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = queue.then(work, work);
    queue = done.catch(() => undefined);
    return done;
  }

  /** The map always stands where the newest record says, or at the log's end when one is about to be made. */
  async function advance(until: number, check: SignedCheckpoint | undefined): Promise<void> {
    if (fold.size > until) fold = beginFold();
    try {
      await readLeavesInto(fold, log, until);
      if (check && rangeRoot(fold.range) !== check.root)
        throw damaged('tile/entries', 'set does not hash to the signed root');
    } catch (error) {
      fold = beginFold();
      throw error;
    }
  }

  /** Something else than our own records must have happened since: otherwise each record would be a reason for the next. */
  async function hasNews(since: number): Promise<boolean> {
    const facts = await journal.read({ after: since, limit: 20 });
    return facts.some(({ type }) => type !== streamHeads.type);
  }

  async function record(): Promise<Fact<StreamHeads> | undefined> {
    lastAt = performance.now();
    const covered = (await newestHeads(db))?.size ?? 0;
    const checkpoint = log.checkpoint();
    if (checkpoint.size <= covered || !(await hasNews(covered))) return undefined;
    await advance(checkpoint.size, checkpoint);
    const root = fold.map.root();
    return await journal.record({
      fact: streamHeads,
      payload: { size: fold.size, streams: fold.map.count(), root: hashBase64(root) },
      stream: STREAM,
      actor: systemActor('heads'),
    });
  }

  function schedule(): void {
    if (closing) return;
    const delayMs = Math.max(0, minIntervalMs - (performance.now() - lastAt));
    timer ??= setTimeout(() => {
      timer = undefined;
      // What keeps it from being recorded keeps the log from going on as well; the next checkpoint tries again.
      inTurn(record).catch(() => undefined);
    }, delayMs).unref();
  }

  const stop = log.onPublished(schedule);

  /** The newest record of the map that covers fact `last`, made now if need be; the map then stands where that record says. */
  async function coverUntil(last: number, stream: string) {
    await waitForFact(last === 0 ? 1 : last);
    let heads = await newestHeads(db);
    if (!heads || heads.size < last) {
      await record();
      heads = await newestHeads(db);
    }
    if (!heads || heads.size < last) throw notCovered(stream);
    const checkpoint = await waitForFact(heads.fact);
    await advance(heads.size, undefined);
    if (hashBase64(fold.map.root()) !== heads.root) throw headsDiffer(heads.fact);
    return { heads, checkpoint };
  }

  async function proveHeads(streams: readonly string[]): Promise<ProvenHeads> {
    const lasts = await Promise.all(
      streams.map(async (stream) => (await journal.byStream(stream)).at(-1)?.number ?? 0),
    );
    const { heads } = await coverUntil(Math.max(0, ...lasts), streams.join(', '));
    const maps = new Map(streams.map((stream) => [stream, presentMapProof(fold.map, stream)]));
    return { fact: heads.fact, maps };
  }

  async function prove(stream: string): Promise<StreamProof> {
    const facts = await journal.byStream(stream);
    if (facts.length > STREAM_FACTS_MAX) throw tooLong(stream, facts.length);
    const last = facts.at(-1)?.number ?? 0;
    const { heads, checkpoint } = await coverUntil(last, stream);
    const disclosed = await journal.disclose(heads.fact);
    if (!disclosed) throw headsDiffer(heads.fact);
    const included = facts.filter(({ number }) => number <= heads.size);
    return {
      v: 1,
      kind: 'waybill.stream-proof',
      stream,
      checkpoint: checkpoint.note,
      heads: {
        ...(await leafInLog(heads.fact - 1, checkpoint)),
        private: disclosed.private,
        salt: disclosed.salt.toString('base64'),
      },
      map: presentMapProof(fold.map, stream),
      leaves: await Promise.all(included.map(({ number }) => leafInLog(number - 1, checkpoint))),
    };
  }

  async function leafInLog(index: number, { size, root }: SignedCheckpoint): Promise<StreamProof['leaves'][number]> {
    const [leaf, proof] = await Promise.all([log.entry(index), log.inclusionProof(index, size)]);
    if (proof.root !== root || leafHash(leaf) !== proof.leaf) throw damaged('tile', 'set does not prove the entry');
    return { index, leaf: leaf.toString(), path: proof.path.map(hashBase64) };
  }

  return {
    flush: async () => void (await inTurn(record)),
    proveStream: (stream) => inTurn(() => prove(stream)),
    proveHeads: (streams) => inTurn(() => proveHeads(streams)),
    check: () => checkHeads(db, log),
    async close() {
      stop();
      closing = true;
      clearTimeout(timer);
      await queue.catch(() => undefined);
    },
  };
}

interface Fold {
  size: number;
  map: StreamMap;
  range: ReturnType<typeof emptyRange>;
}

const beginFold = (): Fold => ({ size: 0, map: createStreamMap(), range: emptyRange() });

async function readLeavesInto(fold: Fold, log: TileLog, until: number): Promise<void> {
  while (fold.size < until) {
    const entries = await log.entries(fold.size, Math.min(READ_ENTRIES, until - fold.size));
    for (const entry of entries) {
      addLeaf(fold, entry);
    }
  }
}

/** A stream has no gaps: a leaf that does not continue its stream means that the journal was altered before it was logged. */
function addLeaf(fold: Fold, entry: Buffer): void {
  const { n, st, sq, pv } = parseLeaf(entry);
  const before = fold.map.get(st);
  if (n !== fold.size + 1 || sq !== (before?.seq ?? 0) + 1 || pv !== (before?.number ?? null)) {
    throw streamBroken(n, st);
  }
  fold.map.set(st, { number: n, seq: sq });
  appendLeaf(fold.range, leafHash(entry));
  fold.size += 1;
}

async function checkHeads(db: Db, log: TileLog): Promise<Check> {
  const fold = beginFold();
  const name = 'ledger.stream_heads';
  try {
    const rows = await listHeads(db);
    for (const row of rows) {
      if (row.size > log.size()) break;
      await readLeavesInto(fold, log, row.size);
      const found = hashBase64(fold.map.root());
      if (found === row.root && fold.map.count() === row.streams) continue;
      return failed(name, {
        code: 'ledger.stream_heads_differ',
        expected: `root ${row.root}`,
        found: `root ${found}`,
        detail: `fact ${row.fact}, made from ${row.size} entries`,
        fix: 'The map that was logged is not the one that the log gives: restore the altered part from a backup.',
      });
    }
    await readLeavesInto(fold, log, log.size());
    return passed(name, `${rows.length} records of ${fold.map.count()} streams, made again from the log`);
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return failed(name, { code: error.code, expected: 'streams without gaps', found: error.message, fix: error.hint });
  }
}

function presentMapProof(map: StreamMap, stream: string): StreamProof['map'] {
  const { siblings, end } = map.prove(stream);
  return { siblings: siblings.map(hashBase64), end: end ?? null };
}

const streamBroken = (number: number, stream: string) =>
  new Problem({
    code: 'ledger.stream_broken',
    kind: 'unavailable',
    message: `Entry ${number - 1} does not continue the stream ${stream}.`,
    hint: 'Run `waybill ledger verify`: the journal was altered before this entry was logged.',
  });

const headsDiffer = (fact: number) =>
  new Problem({
    code: 'ledger.stream_heads_differ',
    kind: 'unavailable',
    message: `The map of streams in fact ${fact} is not the one that the log gives.`,
    hint: 'Run `waybill ledger fsck` to see what was altered.',
    details: { fact },
  });

const notCovered = (stream: string) =>
  new Problem({
    code: 'ledger.stream_not_covered',
    kind: 'unavailable',
    message: `The newest facts of ${stream} are not in the map of streams yet.`,
    hint: 'Repeat the request in a moment.',
  });

const tooLong = (stream: string, facts: number) =>
  new Problem({
    code: 'ledger.stream_too_long',
    kind: 'limited',
    message: `${stream} has ${facts} facts; a proof holds at most ${STREAM_FACTS_MAX}.`,
    hint: 'Prove single facts, or read the tiles of the log.',
  });
