import type { ModuleDefinition } from '#journal';
import { apply } from './apply.ts';
import { generationCreated, keyCreated } from './facts.ts';
import { migrations } from './migrations.ts';

export const vaultModule: ModuleDefinition = {
  name: 'vault',
  migrations,
  facts: [generationCreated, keyCreated] as ModuleDefinition['facts'],
  apply,
};
