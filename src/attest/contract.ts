import { z } from 'zod';
import { defineEndpoint, DigestText } from '#base';
import { IN_TOTO_PAYLOAD_TYPE } from './dsse.ts';
import { trustParts } from './trust-state.ts';

const AttestationItem = z.object({
  bundle: DigestText,
  predicateType: z.string(),
  signer: z.string(),
  issuer: z.string(),
  logIndex: z.int(),
  madeAt: z.iso.datetime(),
  /** For what others signed: the highest SLSA build level their provenance can have. */
  buildLevel: z.int().nullable(),
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
  /**
   * The same signature with its entry in the form of Rekor v1, the default, or of v2; of a verification summary also the bare
   * envelope under the long-lived key, for slsa-verifier verify-vsa.
   */
  query: z.object({ format: z.enum(['rekor1', 'rekor2', 'dsse']).optional() }),
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

const Base64 = z.base64().max(700_000);

export const certifyKey = defineEndpoint({
  name: 'signing.certificate',
  method: 'POST',
  path: '/api/v1/certificates',
  summary:
    'A ten-minute certificate for a P-256 key, in the name that an identity token gives. The token is the credential.',
  auth: 'public',
  body: z.strictObject({
    token: z.string().max(17_000),
    /** SubjectPublicKeyInfo, DER. */
    publicKey: z.base64().max(4096),
    /** Signature by the key over the token's sub, ECDSA with SHA-256 in DER. */
    proof: z.base64().max(4096),
  }),
  response: z.object({ certificates: z.array(z.string()), san: z.string(), issuer: z.string() }),
  status: 201,
});

export const witnessSignature = defineEndpoint({
  name: 'signing.witness',
  method: 'POST',
  path: '/api/v1/signatures',
  summary:
    'Timestamp a signature and log it. The certificate it was made with is the credential; what does not verify is not logged.',
  auth: 'public',
  body: z.strictObject({
    content: z.union([
      z.strictObject({ payload: Base64, payloadType: z.literal(IN_TOTO_PAYLOAD_TYPE) }),
      z.strictObject({ digest: DigestText }),
    ]),
    signature: z.base64().max(4096),
    /** DER. */
    certificate: z.base64().max(32_768),
    format: z.enum(['rekor1', 'rekor2']).optional(),
  }),
  response: z.object({ timestamp: z.string(), entry: z.record(z.string(), z.unknown()) }),
  status: 201,
});

export const receiveBundle = defineEndpoint({
  name: 'attestation.add',
  method: 'POST',
  path: '/api/v1/attestations',
  summary: 'Keep a bundle that was signed here by somebody else, beside the artifact it names.',
  auth: 'required',
  permission: 'artifact:upload-playground',
  body: z.strictObject({ bundle: z.record(z.string(), z.unknown()) }),
  response: z.object({
    bundle: DigestText,
    signer: z.string(),
    issuer: z.string(),
    buildLevel: z.int(),
  }),
  status: 201,
});

const TufVersion = z.object({ version: z.int(), expiresAt: z.iso.datetime() });

export const showTuf = defineEndpoint({
  name: 'trust.tuf',
  method: 'GET',
  path: '/api/v1/trust/tuf',
  summary: 'Versions and ends of the TUF repository, where its root key is, and whether a signature is awaited.',
  auth: 'required',
  permission: 'ledger:read',
  response: z.object({
    key: z.enum(['vault', 'offline']),
    pending: z.boolean(),
    roles: z.object({ root: TufVersion, targets: TufVersion, snapshot: TufVersion, timestamp: TufVersion }),
  }),
});

export const exportTuf = defineEndpoint({
  name: 'trust.tuf.export',
  method: 'POST',
  path: '/api/v1/trust/tuf/exports',
  summary: 'Root or targets metadata to be signed with a key that is kept elsewhere.',
  auth: 'required',
  permission: 'instance:admin',
  body: z.strictObject({
    role: z.enum(['root', 'targets']),
    newKey: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
  }),
  response: z.object({ metadata: z.string() }),
});

export const importTuf = defineEndpoint({
  name: 'trust.tuf.import',
  method: 'POST',
  path: '/api/v1/trust/tuf/imports',
  summary: 'Take signed root or targets metadata back.',
  auth: 'required',
  permission: 'instance:admin',
  body: z.strictObject({ metadata: z.string().max(200_000) }),
  response: z.object({ done: z.literal(true) }),
});
