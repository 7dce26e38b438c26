import { z } from 'zod';
import { defineEndpoint, DigestText } from '#base';
import { trustParts } from './trust-state.ts';

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
  /** The same signature with its entry in the form of Rekor v1, the default, or of v2. */
  query: z.object({ format: z.enum(['rekor1', 'rekor2']).optional() }),
  response: z.unknown(),
  stream: 'response',
});

export const showTrustedRoot = defineEndpoint({
  name: 'trust.trusted-root',
  method: 'GET',
  path: '/api/v1/trust/trusted-root',
  summary: 'Keys and certificates to verify bundles with: trusted_root.json of Sigstore, on one line.',
  auth: 'public',
  query: z.object({
    form: z.enum(['compact', 'pretty']).optional(),
    /** Without the certificate logs, for gh and Flux, which infer from them what to demand. */
    ctlogs: z.enum(['with', 'without']).optional(),
  }),
  response: z.unknown(),
  stream: 'response',
});

export const showSigningConfig = defineEndpoint({
  name: 'trust.signing-config',
  method: 'GET',
  path: '/api/v1/trust/signing-config',
  summary: 'Where to sign: signing_config.json v0.2 of Sigstore.',
  auth: 'public',
  query: z.object({ rekor: z.enum(['1', '2']).optional() }),
  response: z.unknown(),
  stream: 'response',
});

export const showClientTrust = defineEndpoint({
  name: 'trust.client',
  method: 'GET',
  path: '/api/v1/trust/client',
  summary: 'Trusted root and signing configuration in one file, for sigstore-python --trust-config.',
  auth: 'public',
  response: z.unknown(),
  stream: 'response',
});

const Part = z.object({ generation: z.int(), startsAt: z.iso.datetime(), endsAt: z.iso.datetime().nullable() });

export const showTrust = defineEndpoint({
  name: 'trust.show',
  method: 'GET',
  path: '/api/v1/trust',
  summary: 'Every authority and log this installation ever had, and when each counts.',
  auth: 'required',
  permission: 'ledger:read',
  response: z.object({
    name: z.string(),
    parts: z.object({
      ca: z.array(Part),
      tsa: z.array(Part),
      ct: z.array(Part),
      log: z.array(Part),
      rekor2: z.array(Part),
    }),
    alerts: z.array(
      z.object({ code: z.string(), message: z.string(), at: z.iso.datetime(), san: z.string().nullable() }),
    ),
  }),
});

export const rotateTrust = defineEndpoint({
  name: 'trust.rotate',
  method: 'POST',
  path: '/api/v1/trust/rotations',
  summary: 'Make the next generation of an authority or a log. What the one before signed stays valid.',
  auth: 'required',
  permission: 'instance:admin',
  body: z.strictObject({
    part: z.enum(trustParts),
    reason: z.string().min(1).max(500),
    /** The key was or may have been stolen: it ends at once, and so do certificates that are still alive. */
    compromised: z.boolean().optional(),
  }),
  response: z.object({ part: z.enum(trustParts), generation: z.int(), startsAt: z.iso.datetime() }),
  status: 201,
});
