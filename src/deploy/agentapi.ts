import { buffer } from 'node:stream/consumers';
import { artifactContract } from '#artifact';
import { BUNDLE_BYTES_MAX, showBundle } from '#attest';
import type { Digest } from '#base';
import type { CheckpointWatch, Client } from '#client';
import { reportDeployment, showPlan } from './contract.ts';
import type { AgentApi } from './agent/port.ts';

/** With `watch`, no plan is taken from a server whose log does not continue what this agent saw before. */
export function agentApi(client: Client, target: string, watch?: CheckpointWatch): AgentApi {
  return {
    async plan() {
      await watch?.look(client);
      return await client.call(showPlan, { params: { target } });
    },
    async bundle(digest) {
      const { stream } = await client.download(
        showBundle,
        { params: { digest } },
        { digest, maxBytes: BUNDLE_BYTES_MAX },
      );
      return await buffer(stream);
    },
    async artifact({ artifact, digest, size }) {
      const options = { digest: digest as Digest, maxBytes: size };
      const { stream } = await client.download(artifactContract.downloadArtifact, { params: { artifact } }, options);
      return stream;
    },
    async report(report) {
      await client.call(reportDeployment, { params: { target }, body: report });
    },
  };
}
