import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_targets_and_deployments',
    async up(db, types) {
      await db.schema
        .createTable('deploy_target')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('environment', types.text, (column) => column.notNull())
        .addColumn('environment_name', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('agent', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .addUniqueConstraint('deploy_target_name', ['environment', 'name'])
        .execute();
      await db.schema
        .createTable('deploy_request')
        .addColumn('fact', types.int64, (column) => column.primaryKey())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('environment', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('version', types.text, (column) => column.notNull())
        .addColumn('digest', types.text, (column) => column.notNull())
        .addColumn('artifact', types.text, (column) => column.notNull())
        .addColumn('promotion', types.text, (column) => column.notNull())
        .addColumn('principal', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .execute();
      await db.schema.createIndex('deploy_request_environment').on('deploy_request').column('environment').execute();
      await db.schema
        .createTable('deploy_deployment')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('target', types.text, (column) => column.notNull())
        .addColumn('project', types.text, (column) => column.notNull())
        .addColumn('environment', types.text, (column) => column.notNull())
        .addColumn('promotion', types.text, (column) => column.notNull())
        .addColumn('artifact', types.text, (column) => column.notNull())
        .addColumn('digest', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull())
        .addColumn('version', types.text, (column) => column.notNull())
        .addColumn('path', types.text, (column) => column.notNull())
        .addColumn('status', types.text, (column) => column.notNull())
        .addColumn('verified_at', types.int64, (column) => column.notNull())
        .addColumn('drift', types.text)
        .addColumn('drifted_at', types.int64)
        .addColumn('stop_reason', types.text)
        .addColumn('stopped_at', types.int64)
        .addColumn('last_fact', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex('deploy_deployment_project')
        .on('deploy_deployment')
        .columns(['project', 'fact'])
        .execute();
      await db.schema.createIndex('deploy_deployment_digest').on('deploy_deployment').column('digest').execute();
      await db.schema.createIndex('deploy_deployment_path').on('deploy_deployment').column('path').execute();
      await db.schema
        .createTable('deploy_report')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('fact', types.int64, (column) => column.notNull().unique())
        .addColumn('target', types.text, (column) => column.notNull())
        .addColumn('kind', types.text, (column) => column.notNull())
        .addColumn('digest', types.text, (column) => column.notNull())
        .addColumn('at', types.int64, (column) => column.notNull())
        .execute();
      // When an agent last asked. Losing it changes no verdict.
      await db.schema
        .createTable('deploy_scratch_seen')
        .addColumn('target', types.text, (column) => column.primaryKey())
        .addColumn('at', types.int64, (column) => column.notNull())
        .execute();
    },
  },
];
