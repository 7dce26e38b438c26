import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_keys',
    async up(db, types) {
      await db.schema
        .createTable('vault_generation')
        .addColumn('scope', types.text, (column) => column.notNull())
        .addColumn('generation', types.integer, (column) => column.notNull())
        .addColumn('instance', types.text, (column) => column.notNull())
        .addColumn('record', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .addPrimaryKeyConstraint('vault_generation_key', ['scope', 'generation'])
        .execute();
      await db.schema
        .createTable('vault_key')
        .addColumn('name', types.text, (column) => column.primaryKey())
        .addColumn('algorithm', types.text, (column) => column.notNull())
        .addColumn('purpose', types.text, (column) => column.notNull())
        .addColumn('public_key', types.text, (column) => column.notNull())
        .addColumn('generation', types.integer, (column) => column.notNull())
        .addColumn('record', types.text, (column) => column.notNull())
        .addColumn('created_at', types.int64, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
    },
  },
];
