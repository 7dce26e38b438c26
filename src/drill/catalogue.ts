import type { Drill } from './drill.ts';
import { agentDrills } from './drills-agent.ts';
import { artifactDrills } from './drills-artifact.ts';
import { buildDrills } from './drills-build.ts';
import { identityDrills } from './drills-identity.ts';
import { ledgerDrills } from './drills-ledger.ts';
import { releaseDrills } from './drills-release.ts';
import { sandboxDrills } from './drills-sandbox.ts';
import { secretDrills } from './drills-secrets.ts';
import { sourceDrills } from './drills-source.ts';
import { transportDrills } from './drills-transport.ts';

/** Every drill, in the order of the data's way. */
export const drills: readonly Drill[] = [
  ...transportDrills,
  ...identityDrills,
  ...sourceDrills,
  ...secretDrills,
  ...sandboxDrills,
  ...buildDrills,
  ...artifactDrills,
  ...releaseDrills,
  ...agentDrills,
  ...ledgerDrills,
];
