import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_witnesses',
    async up(db, types) {
      await db.schema
        .createTable('ledger_anchor')
        .addColumn('origin', types.text, (column) => column.primaryKey())
        .addColumn('size', types.int64, (column) => column.notNull())
        .addColumn('root', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('ledger_witness')
        .addColumn('name', types.text, (column) => column.primaryKey())
        .addColumn('vkey', types.text, (column) => column.notNull())
        .addColumn('url', types.text, (column) => column.notNull())
        .addColumn('ca', types.text)
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('ledger_witness_policy')
        .addColumn('id', types.integer, (column) => column.primaryKey())
        .addColumn('policy', types.text, (column) => column.notNull())
        .addColumn('fail', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('ledger_trusted_log')
        .addColumn('origin', types.text, (column) => column.primaryKey())
        .addColumn('vkey', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('ledger_witnessed_log')
        .addColumn('origin', types.text, (column) => column.primaryKey())
        .addColumn('size', types.int64, (column) => column.notNull())
        .addColumn('root', types.text, (column) => column.notNull())
        .addColumn('note', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('ledger_fork')
        .addColumn('evidence', types.text, (column) => column.primaryKey())
        .addColumn('origin', types.text, (column) => column.notNull())
        .addColumn('kind', types.text, (column) => column.notNull())
        .addColumn('noticed_by', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('ledger_stream_heads')
        .addColumn('fact', types.int64, (column) => column.primaryKey())
        .addColumn('size', types.int64, (column) => column.notNull())
        .addColumn('streams', types.int64, (column) => column.notNull())
        .addColumn('root', types.text, (column) => column.notNull())
        .execute();
    },
  },
];
