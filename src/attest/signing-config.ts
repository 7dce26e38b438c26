import { toIso } from '#base';
import type { TrustedRootJson } from './trusted-root.ts';
import type { TrustState } from './trust-state.ts';

/** Where stock clients sign: `signing_config.json` v0.2 of Sigstore. */

const MEDIA_TYPE = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
const CLIENT_TRUST_MEDIA_TYPE = 'application/vnd.dev.sigstore.clienttrustconfig.v0.1+json';

/** `rekor`: 1 is what every verifier understands; 2 what new ones do. */
export function signingConfig({ publicUrl, name, ca, log, rekor2, tsa }: TrustState, rekor: 1 | 2 = 1) {
  const service = (url: string, majorApiVersion: number, since: number) => ({
    url,
    majorApiVersion,
    validFor: { start: toIso(since) },
    operator: name,
  });
  const begin = ca[0]!.start;
  const logStart = (rekor === 1 ? log : rekor2)[0]!.start;
  return {
    mediaType: MEDIA_TYPE,
    caUrls: [service(publicUrl, 1, begin)],
    oidcUrls: [service(`${publicUrl}/oidc/people`, 1, begin)],
    rekorTlogUrls: [service(publicUrl, rekor, logStart)],
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: [service(`${publicUrl}/api/v1/timestamp`, 1, tsa[0]!.start)],
    tsaConfig: { selector: 'ANY' },
  };
}
export type SigningConfigJson = ReturnType<typeof signingConfig>;

export const clientTrust = (trustedRoot: TrustedRootJson, config: SigningConfigJson) => ({
  mediaType: CLIENT_TRUST_MEDIA_TYPE,
  trustedRoot,
  signingConfig: config,
});
