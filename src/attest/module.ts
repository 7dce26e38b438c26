import type { ModuleDefinition } from '#journal';
import { apply } from './apply.ts';
import { bundleMade, entryLogged, precertificateLogged, trustEstablished } from './facts.ts';
import { migrations } from './migrations.ts';

export const attestModule: ModuleDefinition = {
  name: 'attest',
  migrations,
  facts: [trustEstablished, precertificateLogged, entryLogged, bundleMade] as ModuleDefinition['facts'],
  apply,
};
