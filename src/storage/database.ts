import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, sql, SqliteDialect } from 'kysely';
import { Problem } from '#base';
import { ensureDirectory, keepPrivate } from './files.ts';
import { dirname } from 'node:path';
import { migrate, type ModuleMigrations } from './migrate.ts';

/** Part of a transaction: what is written here is committed together with the fact, or not at all. */
export interface Tx {
  as<T>(): Kysely<T>;
}

export interface Db {
  readonly kind: 'sqlite';
  /** Committed state. `T` is the caller's own view of its own tables. */
  read<T>(): Kysely<T>;
  /**
   * Runs `work` in the one writer, in a savepoint of its own: if it throws, only its own writes are undone.
   * Whatever waits while a commit runs shares the next one. Resolves after that commit is on the disk.
   */
  write<R>(work: (tx: Tx) => Promise<R>): Promise<R>;
  migrate(modules: readonly ModuleMigrations[]): Promise<void>;
  close(): Promise<void>;
}

/** Bounds how long the first request of a batch waits for the last one. */
const BATCH_MAX = 256;
const STATEMENTS_CACHED_MAX = 512;

interface Pending {
  work: (tx: Tx) => Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** Opens (creating it) an embedded database: WAL, `synchronous=FULL`, one writer connection and one for reading. */
export async function openDatabase({ path }: { path: string }): Promise<Db> {
  if (path !== ':memory:') {
    await ensureDirectory(dirname(path));
    // The directory may have been there before, open to others; SQLite gives its side files the mode of this one.
    keepPrivate(path);
  }
  const writerConnection = connect(path);
  const writer = kyselyOver(writerConnection);
  // An in-memory database is private to its connection, so there both sides share one.
  const reader = path === ':memory:' ? writer : kyselyOver(connect(path, true));
  const queue: Pending[] = [];
  let running: Promise<void> | undefined;
  let closed = false;

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      // A commit holds up the whole process until the disk has it. So it waits, turn by turn, while others join who will share it.
      let before: number;
      do {
        before = queue.length;
        await turnOfTheLoop();
      } while (queue.length > before && queue.length < BATCH_MAX);
      await commitBatch(writer, queue.splice(0, BATCH_MAX));
    }
    running = undefined;
  }

  return {
    kind: 'sqlite',
    read: <T>() => reader as unknown as Kysely<T>,
    write<R>(work: (tx: Tx) => Promise<R>): Promise<R> {
      if (closed) return Promise.reject(new Error('the database is closed'));
      return new Promise<R>((resolve, reject) => {
        queue.push({ work, resolve: resolve as (value: unknown) => void, reject });
        running ??= drain();
      });
    },
    migrate: (modules) => migrate(writer, modules),
    async close() {
      closed = true;
      await running;
      if (reader !== writer) await reader.destroy();
      await writer.destroy();
    },
  };
}

/** All callbacks that are due run before it resolves. */
function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function commitBatch(writer: Kysely<unknown>, batch: readonly Pending[]): Promise<void> {
  const tx: Tx = { as: <T>() => writer as unknown as Kysely<T> };
  const outcomes: (() => void)[] = [];
  try {
    await sql`begin immediate`.execute(writer);
    for (const { work, resolve, reject } of batch) {
      await sql`savepoint one_request`.execute(writer);
      try {
        const value = await work(tx);
        outcomes.push(() => resolve(value));
      } catch (error) {
        await sql`rollback to one_request`.execute(writer);
        outcomes.push(() => reject(asConflict(error)));
      }
      await sql`release one_request`.execute(writer);
    }
    await sql`commit`.execute(writer);
  } catch (error) {
    // The commit itself failed: nobody was told yes, so nobody may believe it.
    await sql`rollback`.execute(writer).catch(() => undefined);
    for (const { reject } of batch) reject(error);
    return;
  }
  for (const outcome of outcomes) outcome();
}

/** SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE. */
const ALREADY_THERE = [1555, 2067];

/** Two callers looked, saw nothing, and made the same thing: the second one lost a race, and the server made no mistake. */
function asConflict(error: unknown): unknown {
  const { errcode } = error as { errcode?: number };
  if (errcode === undefined || !ALREADY_THERE.includes(errcode)) return error;
  return new Problem({
    code: 'storage.already_there',
    kind: 'conflict',
    message: 'Somebody else made the same thing at the same moment.',
    hint: 'Look at what is there now.',
    cause: error,
  });
}

function connect(path: string, readOnly = false): DatabaseSync {
  const connection = new DatabaseSync(path, { readOnly, enableForeignKeyConstraints: true });
  if (!readOnly) connection.exec('pragma journal_mode = wal; pragma synchronous = full; pragma secure_delete = on');
  connection.exec('pragma busy_timeout = 5000; pragma cache_size = -65536; pragma temp_store = memory');
  return connection;
}

/** `reader`: it answers with rows. */
interface Prepared {
  statement: StatementSync;
  reader: boolean;
}

/** Kysely speaks to SQLite through the small interface of its SQLite dialect; this fits `node:sqlite` to it. */
function kyselyOver(connection: DatabaseSync): Kysely<unknown> {
  const statements = new Map<string, Prepared>();
  function prepare(text: string): Prepared {
    const cached = statements.get(text);
    if (cached) return cached;
    if (statements.size >= STATEMENTS_CACHED_MAX) statements.clear();
    const statement = connection.prepare(text);
    const prepared = { statement, reader: statement.columns().length > 0 };
    statements.set(text, prepared);
    return prepared;
  }
  return new Kysely<unknown>({
    dialect: new SqliteDialect({
      database: {
        close: () => connection.close(),
        prepare(text: string) {
          const { statement, reader } = prepare(text);
          const bind = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
          return {
            reader,
            all: (parameters: readonly unknown[]) => statement.all(...bind(parameters)),
            run: (parameters: readonly unknown[]) => statement.run(...bind(parameters)),
            iterate: (parameters: readonly unknown[]) => statement.iterate(...bind(parameters)),
          };
        },
      },
    }),
  });
}
