import { type Kysely, type RawBuilder, sql } from 'kysely';

/** Column types that the two databases spell differently. */
export interface ColumnTypes {
  text: 'text';
  integer: 'integer';
  int64: 'integer';
  blob: 'blob';
  json: 'text';
}

const sqliteTypes: ColumnTypes = { text: 'text', integer: 'integer', int64: 'integer', blob: 'blob', json: 'text' };

/** Forward only; a released one never changes. */
export interface Migration {
  name: string;
  up(db: Kysely<unknown>, types: ColumnTypes): Promise<void>;
}

export interface ModuleMigrations {
  module: string;
  migrations: readonly Migration[];
}

interface MigrationTable {
  storage_migration: { module: string; name: string; at: number };
}

/** Runs what has not run yet, in the order given, all in one transaction: an interrupted start changes nothing. */
export async function migrate(db: Kysely<unknown>, modules: readonly ModuleMigrations[]): Promise<void> {
  const own = db as Kysely<MigrationTable>;
  await run(sql`begin immediate`, db);
  try {
    await own.schema
      .createTable('storage_migration')
      .ifNotExists()
      .addColumn('module', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('at', 'integer', (column) => column.notNull())
      .addPrimaryKeyConstraint('storage_migration_key', ['module', 'name'])
      .execute();
    const done = new Set(
      (await own.selectFrom('storage_migration').selectAll().execute()).map((row) => `${row.module}/${row.name}`),
    );
    for (const { module, migrations } of modules) {
      for (const migration of migrations) {
        if (done.has(`${module}/${migration.name}`)) continue;
        await migration.up(db, sqliteTypes);
        await own.insertInto('storage_migration').values({ module, name: migration.name, at: Date.now() }).execute();
      }
    }
    await run(sql`commit`, db);
  } catch (error) {
    await run(sql`rollback`, db).catch(() => undefined);
    throw error;
  }
}

const run = (statement: RawBuilder<unknown>, db: Kysely<unknown>) => statement.execute(db);
