import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_records',
    async up(db, types) {
      await db.schema
        .createTable('artifact_record')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('kind', types.text, (column) => column.notNull())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('repository', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('version', types.text, (column) => column.notNull())
        .addColumn('file', types.text, (column) => column.notNull())
        .addColumn('path_key', types.text, (column) => column.notNull().unique())
        .addColumn('digest', types.text, (column) => column.notNull())
        .addColumn('size', types.int64, (column) => column.notNull())
        .addColumn('media_type', types.text, (column) => column.notNull())
        .addColumn('run', types.text)
        .addColumn('output', types.text)
        .addColumn('commit', types.text)
        .addColumn('provenance', types.text)
        .addColumn('principal', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .execute();
      await db.schema.createIndex('artifact_record_digest').on('artifact_record').column('digest').execute();
      await db.schema.createIndex('artifact_record_name').on('artifact_record').columns(['name', 'version']).execute();
      await db.schema
        .createIndex('artifact_record_project')
        .on('artifact_record')
        .columns(['project', 'fact'])
        .execute();
      await db.schema.createIndex('artifact_record_run').on('artifact_record').column('run').execute();
      await db.schema
        .createTable('artifact_refusal')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('repository', types.text, (column) => column.notNull())
        .addColumn('path', types.text, (column) => column.notNull())
        .addColumn('code', types.text, (column) => column.notNull())
        .addColumn('principal', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .execute();
    },
  },
];
