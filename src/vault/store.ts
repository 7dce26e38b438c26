import type { Selectable } from 'kysely';
import type { Db } from '#storage';

interface GenerationTable {
  scope: string;
  generation: number;
  instance: string;
  record: string;
  fact: number;
}

interface KeyTable {
  name: string;
  algorithm: string;
  purpose: string;
  public_key: string;
  generation: number;
  record: string;
  created_at: number;
  fact: number;
}

export interface Tables {
  vault_generation: GenerationTable;
  vault_key: KeyTable;
}

export type GenerationRow = Selectable<GenerationTable>;
export type KeyRow = Selectable<KeyTable>;

export async function findGeneration(db: Db, scope: string, generation: number): Promise<GenerationRow | undefined> {
  return await db
    .read<Tables>()
    .selectFrom('vault_generation')
    .selectAll()
    .where('scope', '=', scope)
    .where('generation', '=', generation)
    .executeTakeFirst();
}

export async function findKey(db: Db, name: string): Promise<KeyRow | undefined> {
  return await db.read<Tables>().selectFrom('vault_key').selectAll().where('name', '=', name).executeTakeFirst();
}

export async function listKeys(db: Db): Promise<KeyRow[]> {
  return await db.read<Tables>().selectFrom('vault_key').selectAll().orderBy('name').execute();
}
