import type { Kysely, Selectable } from 'kysely';
import type { Db, Tx } from '#storage';
import type { CredentialLimits, Grant } from './decision.ts';
import type { IssuerKeys } from './facts.ts';
import type { IssuerKind, TrustRule } from './oidc/rule.ts';
import type { Role } from './role.ts';
import type { TokenPurpose } from './token.ts';

interface Tables {
  identity_principal: {
    id: string;
    kind: 'person' | 'machine';
    name: string;
    emails: string;
    state: 'active' | 'disabled';
    created_at: number;
  };
  identity_project: { id: string; slug: string; created_at: number; created_by: string };
  identity_group: { id: string; name: string };
  identity_member: { group_id: string; principal_id: string };
  identity_grant: {
    id: string;
    subject_kind: 'principal' | 'group';
    subject_id: string;
    role: Role;
    scope: 'instance' | 'project';
    project_id: string | null;
    networks: string;
    expires_at: number | null;
    given_by: string;
    given_at: number;
    revoked_at: number | null;
  };
  identity_token: {
    id: string;
    principal_id: string;
    purpose: TokenPurpose;
    hash: string;
    label: string;
    networks: string;
    limits: string;
    created_at: number;
    expires_at: number;
    ended_at: number | null;
    ended_how: string | null;
  };
  identity_key: {
    fingerprint: string;
    principal_id: string;
    key_type: string;
    public_key: string;
    label: string;
    enrolled_at: number;
    revoked_at: number | null;
  };
  identity_issuer: { issuer: string; kind: IssuerKind; keys: string; max_age_seconds: number };
  identity_rule: { name: string; issuer: string; document: string; generation: number };
  identity_scratch_use: { token_id: string; last_used_at: number; last_address: string | null };
}

export type TokenRow = Selectable<Tables['identity_token']>;

export interface Principal {
  id: string;
  kind: 'person' | 'machine';
  name: string;
  emails: readonly string[];
  active: boolean;
  createdAt: number;
}

export interface Project {
  id: string;
  slug: string;
  createdAt: number;
  createdBy: string;
}

export interface SigningKey {
  fingerprint: string;
  principal: string;
  keyType: string;
  publicKey: string;
  label: string;
  enrolledAt: number;
  revokedAt: number | null;
}

const own = (db: Db): Kysely<Tables> => db.read<Tables>();

export const insert = <T extends keyof Tables>(tx: Tx, table: T, row: Tables[T]) =>
  tx
    .as<Record<string, Record<string, unknown>>>()
    .insertInto(table)
    .values({ ...row })
    .execute();

export async function endToken(tx: Tx, id: string, at: number, how: string): Promise<void> {
  await tx
    .as<Tables>()
    .updateTable('identity_token')
    .set({ ended_at: at, ended_how: how })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .execute();
}

/** True while the token has not ended; read inside a transaction this is the guard against using an enrolment twice. */
export async function tokenIsLive(tx: Tx, id: string): Promise<boolean> {
  const row = await tx
    .as<Tables>()
    .selectFrom('identity_token')
    .select('ended_at')
    .where('id', '=', id)
    .executeTakeFirst();
  return row !== undefined && row.ended_at === null;
}

export async function endGrant(tx: Tx, id: string, at: number): Promise<void> {
  await tx.as<Tables>().updateTable('identity_grant').set({ revoked_at: at }).where('id', '=', id).execute();
}

export async function endKey(tx: Tx, fingerprint: string, at: number): Promise<void> {
  await tx
    .as<Tables>()
    .updateTable('identity_key')
    .set({ revoked_at: at })
    .where('fingerprint', '=', fingerprint)
    .execute();
}

/** What stays of a person whose name and addresses were erased. */
export async function anonymise(tx: Tx, principal: string, name: string): Promise<void> {
  await tx
    .as<Tables>()
    .updateTable('identity_principal')
    .set({ name, emails: '[]' })
    .where('id', '=', principal)
    .execute();
}

export async function deleteMember(tx: Tx, group: string, principal: string): Promise<void> {
  await tx
    .as<Tables>()
    .deleteFrom('identity_member')
    .where('group_id', '=', group)
    .where('principal_id', '=', principal)
    .execute();
}

const toPrincipal = (row: Selectable<Tables['identity_principal']>): Principal => ({
  id: row.id,
  kind: row.kind,
  name: row.name,
  emails: JSON.parse(row.emails) as string[],
  active: row.state === 'active',
  createdAt: row.created_at,
});

const toProject = (row: Selectable<Tables['identity_project']>): Project => ({
  id: row.id,
  slug: row.slug,
  createdAt: row.created_at,
  createdBy: row.created_by,
});

export async function findPrincipal(db: Db, by: { id: string } | { name: string }): Promise<Principal | undefined> {
  const [column, value] = 'id' in by ? (['id', by.id] as const) : (['name', by.name] as const);
  const row = await own(db).selectFrom('identity_principal').selectAll().where(column, '=', value).executeTakeFirst();
  return row && toPrincipal(row);
}

export async function listPrincipals(db: Db): Promise<Principal[]> {
  return (await own(db).selectFrom('identity_principal').selectAll().orderBy('name').execute()).map(toPrincipal);
}

export async function findProject(db: Db, by: { id: string } | { slug: string }): Promise<Project | undefined> {
  const [column, value] = 'id' in by ? (['id', by.id] as const) : (['slug', by.slug] as const);
  const row = await own(db).selectFrom('identity_project').selectAll().where(column, '=', value).executeTakeFirst();
  return row && toProject(row);
}

export async function listProjects(db: Db): Promise<Project[]> {
  return (await own(db).selectFrom('identity_project').selectAll().orderBy('slug').execute()).map(toProject);
}

export async function findGroup(db: Db, name: string): Promise<{ id: string; name: string } | undefined> {
  return await own(db).selectFrom('identity_group').selectAll().where('name', '=', name).executeTakeFirst();
}

/** Grants that name the principal or a group it is in; revoked ones are left out, expired ones are not (the engine says so). */
export async function grantsOf(db: Db, principal: string): Promise<Grant[]> {
  const memberships = await own(db)
    .selectFrom('identity_member')
    .select('group_id')
    .where('principal_id', '=', principal)
    .execute();
  const subjects = [principal, ...memberships.map((row) => row.group_id)];
  const rows = await own(db)
    .selectFrom('identity_grant')
    .selectAll()
    .where('subject_id', 'in', subjects)
    .where('revoked_at', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    role: row.role,
    scope: row.scope,
    project: row.project_id,
    group: row.subject_kind === 'group' ? row.subject_id : null,
    expiresAt: row.expires_at,
    networks: JSON.parse(row.networks) as string[],
  }));
}

export async function isMember(db: Db, group: string, principal: string): Promise<boolean> {
  const row = await own(db)
    .selectFrom('identity_member')
    .select('group_id')
    .where('group_id', '=', group)
    .where('principal_id', '=', principal)
    .executeTakeFirst();
  return row !== undefined;
}

export async function grantExists(db: Db, grant: string): Promise<boolean> {
  return (
    (await own(db).selectFrom('identity_grant').select('id').where('id', '=', grant).executeTakeFirst()) !== undefined
  );
}

export async function countOwners(db: Db): Promise<number> {
  const rows = await own(db)
    .selectFrom('identity_grant')
    .select('id')
    .where('role', '=', 'owner')
    .where('scope', '=', 'instance')
    .where('revoked_at', 'is', null)
    .execute();
  return rows.length;
}

export async function findToken(db: Db, by: { hash: string } | { id: string }): Promise<TokenRow | undefined> {
  const [column, value] = 'id' in by ? (['id', by.id] as const) : (['hash', by.hash] as const);
  return await own(db).selectFrom('identity_token').selectAll().where(column, '=', value).executeTakeFirst();
}

export async function liveTokens(db: Db, principal: string, now: number): Promise<TokenRow[]> {
  return await own(db)
    .selectFrom('identity_token')
    .selectAll()
    .where('principal_id', '=', principal)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', now)
    .orderBy('created_at')
    .execute();
}

export const limitsOf = (row: TokenRow): CredentialLimits => {
  const stored = JSON.parse(row.limits) as { project: string | null; permissions: string[] | null };
  return {
    ...(stored.project === null ? {} : { project: stored.project }),
    ...(stored.permissions === null ? {} : { permissions: stored.permissions }),
  };
};

export async function noteUse(db: Db, token: string, at: number, address: string | undefined): Promise<void> {
  const row = { token_id: token, last_used_at: at, last_address: address ?? null };
  await db.write(async (tx) => {
    await tx
      .as<Tables>()
      .insertInto('identity_scratch_use')
      .values(row)
      .onConflict((conflict) => conflict.column('token_id').doUpdateSet(row))
      .execute();
  });
}

export async function lastUses(db: Db): Promise<Map<string, { at: number; address: string | null }>> {
  const rows = await own(db).selectFrom('identity_scratch_use').selectAll().execute();
  return new Map(rows.map((row) => [row.token_id, { at: row.last_used_at, address: row.last_address }]));
}

export async function findKey(db: Db, fingerprint: string): Promise<SigningKey | undefined> {
  const row = await own(db)
    .selectFrom('identity_key')
    .selectAll()
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst();
  return row && toKey(row);
}

export async function keysOf(db: Db, principal: string): Promise<SigningKey[]> {
  const rows = await own(db)
    .selectFrom('identity_key')
    .selectAll()
    .where('principal_id', '=', principal)
    .orderBy('enrolled_at')
    .execute();
  return rows.map(toKey);
}

const toKey = (row: Selectable<Tables['identity_key']>): SigningKey => ({
  fingerprint: row.fingerprint,
  principal: row.principal_id,
  keyType: row.key_type,
  publicKey: row.public_key,
  label: row.label,
  enrolledAt: row.enrolled_at,
  revokedAt: row.revoked_at,
});

export async function replaceIssuer(tx: Tx, row: Tables['identity_issuer']): Promise<void> {
  await deleteIssuer(tx, row.issuer);
  await insert(tx, 'identity_issuer', row);
}

export async function deleteIssuer(tx: Tx, issuer: string): Promise<void> {
  await tx.as<Tables>().deleteFrom('identity_issuer').where('issuer', '=', issuer).execute();
}

export async function replaceRule(tx: Tx, { generation, ...rule }: TrustRule & { generation: number }): Promise<void> {
  await deleteRule(tx, rule.name);
  const row = { name: rule.name, issuer: rule.issuer, document: JSON.stringify(rule), generation };
  await insert(tx, 'identity_rule', row);
}

export async function deleteRule(tx: Tx, name: string): Promise<void> {
  await tx.as<Tables>().deleteFrom('identity_rule').where('name', '=', name).execute();
}

export async function findIssuer(db: Db, issuer: string) {
  const row = await own(db).selectFrom('identity_issuer').selectAll().where('issuer', '=', issuer).executeTakeFirst();
  return row && toIssuer(row);
}

export async function listIssuers(db: Db) {
  return (await own(db).selectFrom('identity_issuer').selectAll().orderBy('issuer').execute()).map(toIssuer);
}

const toIssuer = (row: Selectable<Tables['identity_issuer']>) => ({
  issuer: row.issuer,
  kind: row.kind,
  keys: JSON.parse(row.keys) as IssuerKeys,
  maxAgeSeconds: row.max_age_seconds,
});

export async function findRule(db: Db, name: string) {
  const row = await own(db).selectFrom('identity_rule').selectAll().where('name', '=', name).executeTakeFirst();
  return row && toRule(row);
}

export async function listRules(db: Db) {
  return (await own(db).selectFrom('identity_rule').selectAll().orderBy('name').execute()).map(toRule);
}

export async function rulesOf(db: Db, issuer: string) {
  const rows = await own(db)
    .selectFrom('identity_rule')
    .selectAll()
    .where('issuer', '=', issuer)
    .orderBy('name')
    .execute();
  return rows.map(toRule);
}

const toRule = (row: Selectable<Tables['identity_rule']>): TrustRule & { generation: number } => ({
  ...(JSON.parse(row.document) as TrustRule),
  generation: row.generation,
});
