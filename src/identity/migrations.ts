import type { Migration } from '#storage';

export const migrations: readonly Migration[] = [
  {
    name: '0001_identity',
    async up(db, types) {
      await db.schema
        .createTable('identity_principal')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('kind', types.text, (column) => column.notNull())
        .addColumn('name', types.text, (column) => column.notNull().unique())
        .addColumn('emails', types.json, (column) => column.notNull())
        .addColumn('state', types.text, (column) => column.notNull())
        .addColumn('created_at', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('identity_project')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('slug', types.text, (column) => column.notNull().unique())
        .addColumn('created_at', types.int64, (column) => column.notNull())
        .addColumn('created_by', types.text, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('identity_group')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('name', types.text, (column) => column.notNull().unique())
        .execute();
      await db.schema
        .createTable('identity_member')
        .addColumn('group_id', types.text, (column) => column.notNull())
        .addColumn('principal_id', types.text, (column) => column.notNull())
        .addPrimaryKeyConstraint('identity_member_key', ['group_id', 'principal_id'])
        .execute();
      await db.schema
        .createTable('identity_grant')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('subject_kind', types.text, (column) => column.notNull())
        .addColumn('subject_id', types.text, (column) => column.notNull())
        .addColumn('role', types.text, (column) => column.notNull())
        .addColumn('scope', types.text, (column) => column.notNull())
        .addColumn('project_id', types.text)
        .addColumn('networks', types.json, (column) => column.notNull())
        .addColumn('expires_at', types.int64)
        .addColumn('given_by', types.text, (column) => column.notNull())
        .addColumn('given_at', types.int64, (column) => column.notNull())
        .addColumn('revoked_at', types.int64)
        .execute();
      await db.schema.createIndex('identity_grant_subject').on('identity_grant').columns(['subject_id']).execute();
      await db.schema
        .createTable('identity_token')
        .addColumn('id', types.text, (column) => column.primaryKey())
        .addColumn('principal_id', types.text, (column) => column.notNull())
        .addColumn('purpose', types.text, (column) => column.notNull())
        .addColumn('hash', types.text, (column) => column.notNull().unique())
        .addColumn('label', types.text, (column) => column.notNull())
        .addColumn('networks', types.json, (column) => column.notNull())
        .addColumn('limits', types.json, (column) => column.notNull())
        .addColumn('created_at', types.int64, (column) => column.notNull())
        .addColumn('expires_at', types.int64, (column) => column.notNull())
        .addColumn('ended_at', types.int64)
        .addColumn('ended_how', types.text)
        .execute();
      await db.schema.createIndex('identity_token_principal').on('identity_token').columns(['principal_id']).execute();
      await db.schema
        .createTable('identity_key')
        .addColumn('fingerprint', types.text, (column) => column.primaryKey())
        .addColumn('principal_id', types.text, (column) => column.notNull())
        .addColumn('key_type', types.text, (column) => column.notNull())
        .addColumn('public_key', types.text, (column) => column.notNull())
        .addColumn('label', types.text, (column) => column.notNull())
        .addColumn('enrolled_at', types.int64, (column) => column.notNull())
        .addColumn('revoked_at', types.int64)
        .execute();
      await db.schema
        .createTable('identity_scratch_use')
        .addColumn('token_id', types.text, (column) => column.primaryKey())
        .addColumn('last_used_at', types.int64, (column) => column.notNull())
        .addColumn('last_address', types.text)
        .execute();
    },
  },
  {
    name: '0002_issuers',
    async up(db, types) {
      await db.schema
        .createTable('identity_issuer')
        .addColumn('issuer', types.text, (column) => column.primaryKey())
        .addColumn('kind', types.text, (column) => column.notNull())
        .addColumn('keys', types.json, (column) => column.notNull())
        .addColumn('max_age_seconds', types.int64, (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('identity_rule')
        .addColumn('name', types.text, (column) => column.primaryKey())
        .addColumn('issuer', types.text, (column) => column.notNull())
        .addColumn('document', types.json, (column) => column.notNull())
        .addColumn('generation', types.int64, (column) => column.notNull())
        .execute();
      await db.schema.createIndex('identity_rule_issuer').on('identity_rule').columns(['issuer']).execute();
    },
  },
];
