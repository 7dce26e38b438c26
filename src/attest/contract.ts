import { z } from 'zod';
import { defineEndpoint, DigestText } from '#base';

const AttestationItem = z.object({
  bundle: DigestText,
  predicateType: z.string(),
  signer: z.string(),
  issuer: z.string(),
  logIndex: z.int(),
  madeAt: z.iso.datetime(),
});

export const listAttestations = defineEndpoint({
  name: 'attestation.list',
  method: 'GET',
  path: '/api/v1/attestations/:digest',
  summary: 'List the signed bundles that name an artifact.',
  auth: 'required',
  permission: 'artifact:read',
  params: z.object({ digest: DigestText }),
  response: z.object({ items: z.array(AttestationItem), next: z.string().nullable() }),
});

export const showBundle = defineEndpoint({
  name: 'bundle.show',
  method: 'GET',
  path: '/api/v1/bundles/:digest',
  summary: 'The bundle itself, as it was signed: a Sigstore bundle v0.3.',
  auth: 'required',
  permission: 'artifact:read',
  params: z.object({ digest: DigestText }),
  response: z.unknown(),
  stream: 'response',
});

export const showTrustedRoot = defineEndpoint({
  name: 'trust.trusted-root',
  method: 'GET',
  path: '/api/v1/trust/trusted-root',
  summary: 'Keys and certificates to verify bundles with: trusted_root.json of Sigstore, on one line.',
  auth: 'public',
  response: z.unknown(),
  stream: 'response',
});
