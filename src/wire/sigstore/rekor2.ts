import { z } from 'zod';
import { type Attest, renderLogEntry, type Submission } from '#attest';
import { type Clock, parseWith } from '#base';
import type { App } from '#http';
import { type Identity, unauthenticated } from '#identity';
import { camelCased } from './fulcio.ts';
import { Envelope, invalidEntry, readEnvelope } from './rekor1.ts';
import { answerErrors, createRateLimit } from './status.ts';

/** Rekor's API v2: `hashedrekord` 0.0.2, and the log as static tiles. */

const BODY_BYTES_MAX = 1024 * 1024;
const REQUESTS_PER_MINUTE = 240;
const IMMUTABLE = 'private, max-age=31536000, immutable';

const Base64 = z.string().min(1).max(BODY_BYTES_MAX);
const KEY_DETAILS = 'PKIX_ECDSA_P256_SHA_256';

/** proto3 JSON: names of enums or their numbers. */
const Verifier = z.strictObject({
  x509Certificate: z.strictObject({ rawBytes: Base64 }).optional(),
  publicKey: z.strictObject({ rawBytes: Base64 }).optional(),
  keyDetails: z.union([z.string(), z.int()]).optional(),
});

const HashedRequest = z.strictObject({
  digest: Base64,
  signature: z.strictObject({ content: Base64, verifier: Verifier }),
});

const DsseRequest = z.strictObject({ envelope: Envelope, verifiers: z.array(Verifier).length(1) });

/** `dsseRequestV002` was removed from Rekor, but stock sigstore-js still sends it; it becomes a hashedrekord. */
const EntryRequest = z.union([
  z.strictObject({ hashedRekordRequestV002: HashedRequest }),
  z.strictObject({ dsseRequestV002: DsseRequest }),
]);

export function registerRekor2(
  app: App,
  { attest, identity, clock }: { attest: Attest; identity: Identity; clock: Clock },
): void {
  app.register(async (plain) => {
    const scope = plain as unknown as App;
    answerErrors(scope, 'grpc');
    const limit = createRateLimit(REQUESTS_PER_MINUTE, () => clock.now());

    scope.post('/api/v2/log/entries', { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      limit(request);
      const wanted = parseWith(EntryRequest, camelCased(request.body), 'wire.entry_invalid');
      const actor = { principal: request.caller.principal, origin: request.origin };
      const { entry } = await attest.submitEntry({ ...readRequest(wanted), form: 'rekor2', actor });
      return await reply.code(201).send(renderLogEntry(entry));
    });

    scope.get('/api/v2/checkpoint', async (request, reply) => {
      limit(request);
      const { note } = attest.activeLog('rekor2').tiles.checkpoint();
      return await reply.header('cache-control', 'max-age=1').type('text/plain; charset=utf-8').send(note);
    });

    scope.get<{ Params: { '*': string } }>('/api/v2/tile/*', async (request, reply) => {
      // Entries name projects and workflows.
      if (request.caller.kind === 'anonymous') throw unauthenticated();
      await identity.require(request.caller, 'ledger:read');
      const bytes = await attest.activeLog('rekor2').tiles.tileBytes(`tile/${request.params['*']}`);
      if (!bytes) throw invalidEntry('the log has no such tile');
      return await reply.header('cache-control', IMMUTABLE).type('application/octet-stream').send(bytes);
    });
  });
}

function readRequest(wanted: z.output<typeof EntryRequest>): Pick<Submission, 'content' | 'certificate'> {
  if ('dsseRequestV002' in wanted) {
    const { envelope, verifiers } = wanted.dsseRequestV002;
    return { content: readEnvelope(envelope), certificate: readCertificate(verifiers[0]!) };
  }
  const { digest, signature } = wanted.hashedRekordRequestV002;
  return {
    content: {
      kind: 'hashedrekord',
      algorithm: 'sha256',
      digest: Buffer.from(digest, 'base64'),
      signature: Buffer.from(signature.content, 'base64'),
    },
    certificate: readCertificate(signature.verifier),
  };
}

const KEY_DETAILS_NUMBER = 5;

function readCertificate({ x509Certificate, keyDetails }: z.output<typeof Verifier>): Buffer {
  if (!x509Certificate) throw invalidEntry('only signatures with a certificate of this installation are logged');
  if (keyDetails !== undefined && keyDetails !== KEY_DETAILS && keyDetails !== KEY_DETAILS_NUMBER) {
    throw invalidEntry(`only keys of the kind ${KEY_DETAILS} are logged`);
  }
  return Buffer.from(x509Certificate.rawBytes, 'base64');
}
