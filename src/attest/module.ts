import type { ModuleDefinition } from '#journal';
import { apply } from './apply.ts';
import {
  alertRaised,
  bundleMade,
  bundleReceived,
  certificateRequested,
  entryLogged,
  entrySubmitted,
  precertificateLogged,
  summarySigned,
  trustEstablished,
  trustRotated,
  tufPublished,
} from './facts.ts';
import { migrations } from './migrations.ts';

export const attestModule: ModuleDefinition = {
  name: 'attest',
  migrations,
  facts: [
    trustEstablished,
    trustRotated,
    certificateRequested,
    precertificateLogged,
    entryLogged,
    entrySubmitted,
    bundleMade,
    bundleReceived,
    alertRaised,
    tufPublished,
    summarySigned,
  ] as ModuleDefinition['facts'],
  apply,
};
