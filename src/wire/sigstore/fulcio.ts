import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { type Attest, toPem } from '#attest';
import { parseWith, Problem } from '#base';
import type { App } from '#http';
import { type Issuers, unauthenticated } from '#identity';
import { answerErrors, createRateLimit } from './status.ts';

/** Fulcio's API v2. The token is the credential, so the caller needs no other. */

const TOKEN_CHARS_MAX = 16 * 1024;
const BODY_BYTES_MAX = 64 * 1024;
const REQUESTS_PER_MINUTE = 120;
export const SIGNING_PATH = '/api/v2/signingCert';

const Base64 = z
  .string()
  .min(1)
  .max(32 * 1024);

/** proto3 JSON: names in camel case or as in the proto file. */
const KeyRequest = z.object({
  publicKey: z.object({ algorithm: z.union([z.string(), z.number()]).optional(), content: z.string().max(8 * 1024) }),
  proofOfPossession: Base64,
});

const SigningRequest = z
  .object({
    credentials: z.object({ oidcIdentityToken: z.string().max(TOKEN_CHARS_MAX) }).optional(),
    publicKeyRequest: KeyRequest.optional(),
    certificateSigningRequest: Base64.optional(),
  })
  .refine(
    (body) => (body.publicKeyRequest === undefined) !== (body.certificateSigningRequest === undefined),
    'send either publicKeyRequest or certificateSigningRequest',
  );

export function registerFulcio(
  app: App,
  { attest, issuers, clock }: { attest: Attest; issuers: Issuers; clock: { now(): number } },
) {
  app.register(async (plain) => {
    const scope = plain as unknown as App;
    answerErrors(scope, 'grpc');
    const limit = createRateLimit(REQUESTS_PER_MINUTE, () => clock.now());

    scope.post(SIGNING_PATH, { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      limit(request);
      const body = parseWith(SigningRequest, camelCased(request.body), 'wire.signing_request_invalid');
      const token = bearerOf(request.headers.authorization) ?? body.credentials?.oidcIdentityToken;
      if (token === undefined) throw unauthenticated();
      const believed = await issuers.believe(token);
      const actor = {
        principal: believed.kind === 'person' ? believed.subject : 'anonymous',
        origin: request.origin,
      };
      const { chain } = await attest.issueCertificate({ believed, proof: proofOf(body), actor });
      const certificates = chain.map(toPem);
      return await reply.code(200).send({ signedCertificateEmbeddedSct: { chain: { certificates } } });
    });

    scope.get('/api/v2/trustBundle', async () => ({
      chains: attest.trust().ca.map(({ intermediate, root }) => ({
        certificates: [toPem(intermediate.der), toPem(root.der)],
      })),
    }));

    scope.get('/api/v2/configuration', async () => ({
      issuers: (await issuers.accepted()).map(({ issuer, audience, kind }) => ({
        issuerUrl: issuer,
        audience,
        challengeClaim: 'sub',
        issuerType: kind === 'people' || kind === 'jobs' ? 'uri' : kind === 'generic' ? 'uri' : `${kind}-workflow`,
      })),
    }));
  });
}

function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [scheme = '', value = ''] = header.split(' ', 2);
  if (!/^bearer$/i.test(scheme) || value === '') throw unauthenticated();
  return value;
}

function proofOf(body: z.output<typeof SigningRequest>) {
  const { publicKeyRequest, certificateSigningRequest } = body;
  if (!publicKeyRequest) return { csr: readCsr(certificateSigningRequest!) };
  return {
    spki: readKey(publicKeyRequest.publicKey.content),
    signature: Buffer.from(publicKeyRequest.proofOfPossession, 'base64'),
  };
}

function readKey(pem: string): Buffer {
  try {
    // A private key in the wrong place must not be taken for its public half.
    if (!pem.trim().startsWith('-----BEGIN PUBLIC KEY-----')) throw new TypeError('no public key');
    return createPublicKey(pem).export({ format: 'der', type: 'spki' });
  } catch {
    throw badRequest('publicKey.content is not a public key in PEM');
  }
}

/** base64 of PEM, as Python sends it. */
function readCsr(text: string): Buffer {
  const pem = Buffer.from(text, 'base64').toString('latin1');
  const match =
    /^-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----\s([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/.exec(
      pem,
    );
  if (!match) throw badRequest('certificateSigningRequest is not base64 of a request in PEM');
  return Buffer.from(match[1]!, 'base64');
}

const badRequest = (reason: string) =>
  new Problem({
    code: 'wire.signing_request_invalid',
    kind: 'invalid',
    message: `This is not a request for a certificate: ${reason}.`,
    hint: 'See the Fulcio API v2, CreateSigningCertificate.',
  });

/** The names of proto3 JSON: `public_key_request` means `publicKeyRequest`. Depth and size are limited by the body's. */
export function camelCased(value: unknown, depth = 0): unknown {
  if (depth > 12) throw badRequest('it is nested too deeply');
  if (Array.isArray(value)) return value.map((item) => camelCased(item, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name.replaceAll(/_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase()),
      camelCased(item, depth + 1),
    ]),
  );
}
