import { type Clock, faultPoint, Problem } from '#base';
import type { Db, Tx } from '#storage';
import { checkDraft, commitTo, type Draft, type Fact, type FactDefinition, leafBytes, privatePart } from './fact.ts';
import { createErasures, type Erasures, holds, journalModule } from './erasure.ts';
import { createFollowers, type Follower, type FollowOptions } from './follow.ts';
import type { ModuleDefinition } from './module.ts';
import { findRow, insertFact, nextNumber, readHead, selectLeafRows, selectRows, streamHead, toFact } from './store.ts';

export interface FactQuery {
  after?: number;
  before?: number;
  types?: readonly string[];
  stream?: string;
  subject?: string;
  principal?: string;
  newestFirst?: boolean;
  limit: number;
}

/** A last look inside the fact's own transaction; throw a `Problem` to refuse and undo. */
export type Guard = (tx: Tx) => Promise<void>;

export interface Journal extends Erasures {
  /** Appends the fact and applies it to the tables in one transaction. When it resolves, both are on the disk. */
  record<P>(draft: Draft<P> & { guard?: Guard }): Promise<Fact<P>>;
  /** Several facts, all of them or none. */
  recordAll(drafts: readonly Draft[], guard?: Guard): Promise<Fact[]>;
  find(number: number): Promise<Fact | undefined>;
  byStream(stream: string): Promise<Fact[]>;
  read(query: FactQuery): Promise<Fact[]>;
  /** Number of the newest fact; 0 when there is none. */
  head(): Promise<number>;
  /** The exact leaf bytes of facts `from`…`from + count − 1`, as far as they exist. */
  leaves(from: number, count: number): Promise<Buffer[]>;
  leaf(number: number): Promise<Buffer>;
  /** Does the stored payload still open the fact's commitment? 'erased' only if another fact, itself intact, erased it. */
  commitmentHolds(number: number): Promise<'holds' | 'broken' | 'erased' | 'missing'>;
  /** What opens the leaf's commitment, to be shown to somebody; undefined when it is gone. */
  disclose(number: number): Promise<{ leaf: Buffer; private: string; salt: Buffer } | undefined>;
  /**
   * Asked before every record: a problem refuses it. Facts of the module named in `except` are still taken, so that what is
   * wrong can be put on record. For the ledger: nothing may happen that it cannot vouch for.
   */
  admitWith(refusal: () => Problem | undefined, except: string): void;
  /** Calls `wake` after every commit that added facts. Returns how to stop. */
  onCommit(wake: () => void): () => void;
  follow(options: FollowOptions): Follower;
  /** Those that run. */
  followers(): readonly Follower[];
  /** Resolves when every follower has handled every fact there is. */
  idle(): Promise<void>;
  /** Stops the followers and waits for what they are doing. */
  close(): Promise<void>;
}

const STREAM_FACTS_MAX = 100_000;

/** Opens the journal over a database and brings every module's tables up to date. */
export async function createJournal({
  db,
  clock,
  modules,
}: {
  db: Db;
  clock: Clock;
  modules: readonly ModuleDefinition[];
}): Promise<Journal> {
  const all = [journalModule(modules), ...modules];
  const known = factsByName(all);
  await db.migrate(all.map(({ name, migrations }) => ({ module: name, migrations })));
  const appliers = new Map(all.flatMap((module) => Object.entries(module.apply)));
  const wakes = new Set<() => void>();

  async function append(tx: Tx, number: number, draft: Draft, payload: unknown): Promise<Fact> {
    const before = await streamHead(tx, draft.stream);
    if (draft.expectSeq !== undefined && draft.expectSeq !== (before?.seq ?? 0)) throw streamMoved(draft.stream);
    const privateText = privatePart(payload, draft.actor.origin);
    const { salt, commitment } = commitTo(privateText);
    const row = {
      number,
      stream: draft.stream,
      seq: (before?.seq ?? 0) + 1,
      previous: before?.number ?? null,
      type: draft.fact.type,
      version: draft.fact.version,
      at: clock.now(),
      principal: draft.actor.principal,
      subject: draft.subject ?? null,
      commitment,
    };
    await insertFact(tx, row, privateText, salt);
    const fact = toFact({ ...row, private: privateText, salt, erased_by: null, residue: null });
    await appliers.get(fact.type)?.(tx, fact);
    return fact;
  }

  let admission: { refusal: () => Problem | undefined; except: string } | undefined;
  function requireAdmission(drafts: readonly Draft[]): void {
    const refusal = admission?.refusal();
    if (refusal && drafts.some(({ fact }) => !fact.type.startsWith(`${admission?.except}.`))) throw refusal;
  }

  async function recordAll(drafts: readonly Draft[], guard?: Guard): Promise<Fact[]> {
    const payloads = drafts.map((draft) => {
      if (known.get(`${draft.fact.type}@${draft.fact.version}`) === undefined) {
        throw new TypeError(`journal: no module declares the fact ${draft.fact.type}@${draft.fact.version}`);
      }
      return checkDraft(draft);
    });
    requireAdmission(drafts);
    faultPoint('journal.before_record');
    const facts = await db.write(async (tx) => {
      await guard?.(tx);
      const next = await nextNumber(tx);
      const made: Fact[] = [];
      for (const [index, draft] of drafts.entries()) made.push(await append(tx, next + index, draft, payloads[index]));
      return made;
    });
    faultPoint('journal.after_record');
    for (const wake of wakes) wake();
    return facts;
  }

  async function leaves(from: number, count: number): Promise<Buffer[]> {
    return (await selectLeafRows(db, from, count)).map(leafBytes);
  }

  const journal: Omit<Journal, 'follow' | 'followers' | 'idle' | 'close' | keyof Erasures> = {
    async record<P>({ guard, ...draft }: Draft<P> & { guard?: Guard }) {
      return (await recordAll([draft], guard))[0] as Fact<P>;
    },
    recordAll,
    async find(number) {
      const row = await findRow(db, number);
      return row && toFact(row);
    },
    byStream: async (stream) => (await selectRows(db, { stream, limit: STREAM_FACTS_MAX })).map(toFact),
    read: async (query) => (await selectRows(db, query)).map(toFact),
    head: () => readHead(db),
    leaves,
    async leaf(number) {
      const [bytes] = await leaves(number, 1);
      if (!bytes) throw noFact(number);
      return bytes;
    },
    commitmentHolds: async (number) => await holds(await findRow(db, number), (by) => findRow(db, by)),
    async disclose(number) {
      const row = await findRow(db, number);
      if (!row || row.private === null || row.salt === null) return undefined;
      return { leaf: leafBytes(row), private: row.private, salt: Buffer.from(row.salt) };
    },
    admitWith(refusal, except) {
      admission = { refusal, except };
    },
    onCommit(wake) {
      wakes.add(wake);
      return () => wakes.delete(wake);
    },
  };
  return { ...journal, ...createErasures({ journal, modules, clock }), ...createFollowers({ db, journal }) };
}

function factsByName(modules: readonly ModuleDefinition[]): Map<string, FactDefinition> {
  const known = new Map<string, FactDefinition>();
  for (const module of modules) {
    for (const definition of module.facts) {
      const name = `${definition.type}@${definition.version}`;
      if (known.has(name)) throw new TypeError(`journal: the fact ${name} is declared twice`);
      if (!definition.type.startsWith(`${module.name}.`))
        throw new TypeError(`journal: ${name} is not ${module.name}'s`);
      known.set(name, definition);
    }
  }
  return known;
}

const streamMoved = (stream: string) =>
  new Problem({
    code: 'journal.stream_moved',
    kind: 'conflict',
    message: 'Something else changed this at the same moment.',
    hint: 'Look at the newest state and repeat the request.',
    details: { stream },
  });

const noFact = (number: number) =>
  new Problem({
    code: 'journal.fact_not_found',
    kind: 'not_found',
    message: `There is no fact number ${number}.`,
    hint: 'List the facts with waybill ledger status to see how many there are.',
  });
