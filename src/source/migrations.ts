import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_source',
    async up(db, types) {
      await db.schema
        .createTable('source_repository')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('project_id', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull().unique())
        .addColumn('protected_paths', types.json, (column) => column.notNull())
        .addColumn('push_certificates', types.text, (column) => column.notNull())
        .addColumn('created_at', types.int64, (column) => column.notNull())
        .addColumn('created_by', types.text, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('source_push')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('repository_id', types.text, (column) => column.notNull())
        .addColumn('pusher', types.text, (column) => column.notNull())
        .addColumn('state', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull())
        .addColumn('updates', types.json, (column) => column.notNull())
        .addColumn('checks', types.json, (column) => column.notNull())
        .addColumn('certificate', types.text)
        .addColumn('reason', types.text)
        .execute();
      await db.schema
        .createIndex('source_push_by_repository')
        .on('source_push')
        .columns(['repository_id', 'fact'])
        .execute();
      await db.schema
        .createTable('source_ref')
        .addColumn('repository_id', types.text, (column) => column.notNull())
        .addColumn('ref', types.text, (column) => column.notNull())
        .addColumn('target', types.text, (column) => column.notNull())
        .addColumn('push_id', types.text, (column) => column.notNull())
        .addPrimaryKeyConstraint('source_ref_key', ['repository_id', 'ref'])
        .execute();
      await db.schema
        .createTable('source_update')
        .addColumn('push_id', types.text, (column) => column.notNull())
        .addColumn('repository_id', types.text, (column) => column.notNull())
        .addColumn('ref', types.text, (column) => column.notNull())
        .addColumn('target', types.text, (column) => column.notNull())
        .addPrimaryKeyConstraint('source_update_key', ['push_id', 'ref', 'target'])
        .execute();
      await db.schema
        .createIndex('source_update_by_target')
        .on('source_update')
        .columns(['repository_id', 'target'])
        .execute();
      await db.schema
        .createTable('source_commit')
        .addColumn('repository_id', types.text, (column) => column.notNull())
        .addColumn('id', types.text, (column) => column.notNull())
        .addColumn('push_id', types.text, (column) => column.notNull())
        .addColumn('signer', types.text)
        .addColumn('key', types.text)
        .addPrimaryKeyConstraint('source_commit_key', ['repository_id', 'id'])
        .execute();
      await db.schema
        .createTable('source_nonce')
        .addColumn('repository_id', types.text, (column) => column.notNull())
        .addColumn('nonce', types.text, (column) => column.notNull())
        .addColumn('push_id', types.text, (column) => column.notNull())
        .addPrimaryKeyConstraint('source_nonce_key', ['repository_id', 'nonce'])
        .execute();
    },
  },
];
