import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_runs',
    async up(db, t) {
      await db.schema
        .createTable('build_run')
        .addColumn('id', t.text, (c) => c.primaryKey())
        .addColumn('fact', t.int64, (c) => c.notNull())
        .addColumn('number', t.integer, (c) => c.notNull())
        .addColumn('project', t.text, (c) => c.notNull())
        .addColumn('repository', t.text, (c) => c.notNull())
        .addColumn('name', t.text, (c) => c.notNull())
        .addColumn('commit_id', t.text, (c) => c.notNull())
        .addColumn('ref', t.text, (c) => c.notNull())
        .addColumn('push', t.text, (c) => c.notNull())
        .addColumn('push_fact', t.int64, (c) => c.notNull())
        .addColumn('pusher', t.text)
        .addColumn('workflow_path', t.text, (c) => c.notNull())
        .addColumn('workflow_digest', t.text, (c) => c.notNull())
        .addColumn('workflow_name', t.text, (c) => c.notNull())
        .addColumn('state', t.text, (c) => c.notNull())
        .addColumn('queued_at', t.int64, (c) => c.notNull())
        .addColumn('finished_at', t.int64)
        .addColumn('provenance', t.text)
        .execute();
      await db.schema
        .createIndex('build_run_repository')
        .on('build_run')
        .columns(['repository', 'number'])
        .unique()
        .execute();
      await db.schema.createIndex('build_run_project').on('build_run').columns(['project', 'fact']).execute();
      await db.schema
        .createTable('build_job')
        .addColumn('id', t.text, (c) => c.primaryKey())
        .addColumn('run', t.text, (c) => c.notNull())
        .addColumn('position', t.integer, (c) => c.notNull())
        .addColumn('key', t.text, (c) => c.notNull())
        .addColumn('name', t.text, (c) => c.notNull())
        .addColumn('needs', t.text, (c) => c.notNull())
        .addColumn('state', t.text, (c) => c.notNull())
        .addColumn('attempt', t.integer, (c) => c.notNull())
        .addColumn('runner', t.text)
        .addColumn('runner_name', t.text)
        .addColumn('sandbox', t.text)
        .addColumn('started_at', t.int64)
        .addColumn('finished_at', t.int64)
        .addColumn('reason', t.text)
        .addColumn('steps', t.text)
        .addColumn('log_digest', t.text)
        .addColumn('log_size', t.int64)
        .addColumn('values_json', t.text)
        .execute();
      await db.schema.createIndex('build_job_run').on('build_job').column('run').execute();
      await db.schema.createIndex('build_job_state').on('build_job').column('state').execute();
      await db.schema
        .createTable('build_output')
        .addColumn('run', t.text, (c) => c.notNull())
        .addColumn('job', t.text, (c) => c.notNull())
        .addColumn('name', t.text, (c) => c.notNull())
        .addColumn('file', t.text, (c) => c.notNull())
        .addColumn('digest', t.text, (c) => c.notNull())
        .addColumn('size', t.int64, (c) => c.notNull())
        .addColumn('media_type', t.text, (c) => c.notNull())
        .addPrimaryKeyConstraint('build_output_key', ['run', 'name'])
        .execute();
      await db.schema.createIndex('build_output_digest').on('build_output').column('digest').execute();
      await db.schema
        .createTable('build_refusal')
        .addColumn('fact', t.int64, (c) => c.primaryKey())
        .addColumn('push', t.text, (c) => c.notNull())
        .addColumn('project', t.text, (c) => c.notNull())
        .addColumn('repository', t.text, (c) => c.notNull())
        .addColumn('ref', t.text, (c) => c.notNull())
        .addColumn('commit_id', t.text, (c) => c.notNull())
        .addColumn('problems', t.text, (c) => c.notNull())
        .addColumn('at', t.int64, (c) => c.notNull())
        .execute();
      await db.schema
        .createTable('build_scratch_lease')
        .addColumn('job', t.text, (c) => c.primaryKey())
        .addColumn('attempt', t.integer, (c) => c.notNull())
        .addColumn('runner', t.text, (c) => c.notNull())
        .addColumn('token_hash', t.text, (c) => c.notNull().unique())
        .addColumn('expires_at', t.int64, (c) => c.notNull())
        .addColumn('ends_at', t.int64, (c) => c.notNull())
        .execute();
      await db.schema
        .createTable('build_scratch_upload')
        .addColumn('job', t.text, (c) => c.notNull())
        .addColumn('attempt', t.integer, (c) => c.notNull())
        .addColumn('name', t.text, (c) => c.notNull())
        .addColumn('file', t.text, (c) => c.notNull())
        .addColumn('digest', t.text, (c) => c.notNull())
        .addColumn('size', t.int64, (c) => c.notNull())
        .addColumn('media_type', t.text, (c) => c.notNull())
        .addPrimaryKeyConstraint('build_scratch_upload_key', ['job', 'attempt', 'name'])
        .execute();
    },
  },
];
