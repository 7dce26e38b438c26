import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_attestations',
    async up(db, types) {
      await db.schema
        .createTable('attest_trust')
        .addColumn('fact', types.int64, (column) => column.primaryKey())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addColumn('document', types.json, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('attest_precertificate')
        .addColumn('serial', types.text, (column) => column.primaryKey())
        .addColumn('san', types.text, (column) => column.notNull())
        .addColumn('issuer', types.text, (column) => column.notNull())
        .addColumn('logged_at', types.int64, (column) => column.notNull())
        .addColumn('request', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      // The logs are made from this table: the row with log_index n of a log is its leaf number n.
      await db.schema
        .createTable('attest_entry')
        .addColumn('log', types.text, (column) => column.notNull())
        .addColumn('log_index', types.int64, (column) => column.notNull())
        .addColumn('leaf', types.text, (column) => column.notNull())
        .addColumn('body', types.text, (column) => column.notNull())
        .addColumn('logged_at', types.int64, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .addPrimaryKeyConstraint('attest_entry_key', ['log', 'log_index'])
        .execute();
      await db.schema.createIndex('attest_entry_leaf').on('attest_entry').columns(['leaf', 'log']).execute();
      await db.schema.createIndex('attest_entry_fact').on('attest_entry').columns(['fact']).execute();
      await db.schema
        .createTable('attest_alert')
        .addColumn('fact', types.int64, (column) => column.primaryKey())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addColumn('document', types.json, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('attest_bundle')
        .addColumn('bundle', types.text, (column) => column.primaryKey())
        .addColumn('attestation', types.text, (column) => column.notNull().unique())
        .addColumn('predicate_type', types.text, (column) => column.notNull())
        .addColumn('san', types.text, (column) => column.notNull())
        .addColumn('issuer', types.text, (column) => column.notNull())
        .addColumn('log_index', types.int64, (column) => column.notNull())
        .addColumn('made_at', types.int64, (column) => column.notNull())
        .addColumn('build_level', types.integer)
        .addColumn('fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('attest_subject')
        .addColumn('bundle', types.text, (column) => column.notNull())
        .addColumn('position', types.integer, (column) => column.notNull())
        .addColumn('digest', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addPrimaryKeyConstraint('attest_subject_key', ['bundle', 'position', 'digest'])
        .execute();
      await db.schema.createIndex('attest_subject_digest').on('attest_subject').columns(['digest', 'bundle']).execute();
    },
  },
  {
    name: '0002_tuf',
    async up(db, types) {
      await db.schema
        .createTable('attest_tuf')
        .addColumn('role', types.text, (column) => column.notNull())
        .addColumn('version', types.int64, (column) => column.notNull())
        .addColumn('document', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .addPrimaryKeyConstraint('attest_tuf_key', ['role', 'version'])
        .execute();
      await db.schema
        .createTable('attest_tuf_target')
        .addColumn('sha256', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('content', types.text, (column) => column.notNull())
        .addPrimaryKeyConstraint('attest_tuf_target_key', ['sha256', 'name'])
        .execute();
    },
  },
];
