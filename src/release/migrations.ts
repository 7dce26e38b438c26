import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_environments_and_promotions',
    async up(db, types) {
      await db.schema
        .createTable('release_environment')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('position', types.integer, (column) => column.notNull())
        .addColumn('policy', types.json, (column) => column.notNull())
        .addColumn('policy_digest', types.text, (column) => column.notNull())
        .addColumn('policy_version', types.integer, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addUniqueConstraint('release_environment_name', ['project', 'name'])
        .execute();
      await db.schema
        .createTable('release_promotion')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('environment', types.text, (column) => column.notNull())
        .addColumn('environment_name', types.text, (column) => column.notNull())
        .addColumn('artifact', types.text, (column) => column.notNull())
        .addColumn('digest', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('version', types.text, (column) => column.notNull())
        .addColumn('requester', types.text, (column) => column.notNull())
        .addColumn('comment', types.text, (column) => column.notNull())
        .addColumn('status', types.text, (column) => column.notNull())
        .addColumn('requested_at', types.int64, (column) => column.notNull())
        .addColumn('decided_fact', types.int64)
        .addColumn('decided_at', types.int64)
        .addColumn('summary', types.text)
        .addColumn('resource_uri', types.text)
        .addColumn('policy_digest', types.text)
        .addColumn('checks', types.json)
        .execute();
      await db.schema
        .createIndex('release_promotion_environment')
        .on('release_promotion')
        .columns(['environment', 'status', 'decided_fact'])
        .execute();
      await db.schema.createIndex('release_promotion_digest').on('release_promotion').column('digest').execute();
      await db.schema
        .createTable('release_approval')
        .addColumn('promotion', types.text, (column) => column.notNull())
        .addColumn('principal', types.text, (column) => column.notNull())
        .addColumn('kind', types.text, (column) => column.notNull())
        .addColumn('comment', types.text, (column) => column.notNull())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addPrimaryKeyConstraint('release_approval_key', ['promotion', 'principal'])
        .execute();
    },
  },
];
