import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_facts',
    async up(db, types) {
      await db.schema
        .createTable('journal_fact')
        .addColumn('number', types.int64, (column) => column.primaryKey())
        .addColumn('stream', types.text, (column) => column.notNull())
        .addColumn('seq', types.int64, (column) => column.notNull())
        .addColumn('previous', types.int64)
        .addColumn('type', types.text, (column) => column.notNull())
        .addColumn('version', types.integer, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addColumn('principal', types.text, (column) => column.notNull())
        .addColumn('subject', types.text)
        .addColumn('commitment', types.blob, (column) => column.notNull())
        .addUniqueConstraint('journal_fact_stream_seq', ['stream', 'seq'])
        .execute();
      // Apart from the fact, so that it can be erased: the leaf holds only the salted commitment.
      await db.schema
        .createTable('journal_payload')
        .addColumn('number', types.int64, (column) => column.primaryKey().references('journal_fact.number'))
        .addColumn('private', types.json, (column) => column.notNull())
        .addColumn('salt', types.blob, (column) => column.notNull())
        .execute();
      await db.schema.createIndex('journal_fact_type').on('journal_fact').columns(['type', 'number']).execute();
      await db.schema.createIndex('journal_fact_subject').on('journal_fact').columns(['subject', 'number']).execute();
      await db.schema
        .createTable('journal_scratch_cursor')
        .addColumn('name', types.text, (column) => column.primaryKey())
        .addColumn('number', types.int64, (column) => column.notNull())
        .execute();
    },
  },
  {
    name: '0002_erasures',
    async up(db, types) {
      await db.schema
        .createTable('journal_erasure')
        .addColumn('number', types.int64, (column) => column.primaryKey())
        .addColumn('erased_by', types.int64, (column) => column.notNull())
        .addColumn('residue', types.json, (column) => column.notNull())
        .execute();
    },
  },
];
