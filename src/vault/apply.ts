import type { Apply } from '#journal';
import type { GenerationCreated, KeyCreated } from './facts.ts';
import type { Fact } from '#journal';
import type { Tables } from './store.ts';

export const apply: Readonly<Record<string, Apply>> = {
  'vault.generation_created': async (tx, { number, payload }: Fact<GenerationCreated>) => {
    const { scope, generation, instance, record } = payload;
    await tx
      .as<Tables>()
      .insertInto('vault_generation')
      .values({ scope, generation, instance, record, fact: number })
      .execute();
  },
  'vault.key_created': async (tx, { number, at, payload }: Fact<KeyCreated>) => {
    const { name, algorithm, purpose, publicKey, generation, record } = payload;
    await tx
      .as<Tables>()
      .insertInto('vault_key')
      .values({ name, algorithm, purpose, public_key: publicKey, generation, record, created_at: at, fact: number })
      .execute();
  },
};
