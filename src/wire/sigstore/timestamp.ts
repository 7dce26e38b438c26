import { z } from 'zod';
import { type Attest, checkStamp, parseTimestampQuery, renderRejection, type StampRequest, toPem } from '#attest';
import { type Clock, parseJson, parseWith, Problem } from '#base';
import { type App, statusFor, toProblem } from '#http';
import { createRateLimit } from './status.ts';

/** RFC 3161 over HTTP, and the JSON dialect of Sigstore's timestamp authority, which sigstore-js speaks. */

export const TIMESTAMP_PATH = '/api/v1/timestamp';
const QUERY = 'application/timestamp-query';
const REPLY = 'application/timestamp-reply';
const BODY_BYTES_MAX = 8 * 1024;
const REQUESTS_PER_MINUTE = 300;

const JsonQuery = z.object({
  artifactHash: z.string().max(200),
  hashAlgorithm: z.enum(['sha256', 'sha384', 'sha512']).default('sha256'),
  nonce: z.union([z.number().int().nonnegative(), z.string().regex(/^\d{1,40}$/)]).optional(),
  certificates: z.boolean().default(false),
  tsaPolicyOID: z.literal('').optional(),
});

export function registerTimestamp(app: App, { attest, clock }: { attest: Attest; clock: Clock }): void {
  app.register(async (plain) => {
    const scope = plain as unknown as App;
    const limit = createRateLimit(REQUESTS_PER_MINUTE, () => clock.now());
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser([QUERY, 'application/json'], { parseAs: 'buffer' }, (_request, body, done) =>
      done(null, body),
    );

    scope.post(TIMESTAMP_PATH, { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      limit(request);
      const body = request.body;
      if (!Buffer.isBuffer(body)) throw new Problem(noBody);
      const isBinary = (request.headers['content-type'] ?? '').toLowerCase().startsWith(QUERY);
      try {
        const wanted = isBinary ? parseTimestampQuery(body) : readJson(body);
        return await reply
          .code(201)
          .type(REPLY)
          .send(await attest.stamp(wanted));
      } catch (error) {
        const problem = toProblem(error, request);
        // Whoever speaks RFC 3161 is told no in its words.
        if (!isBinary || problem.kind !== 'invalid') throw error;
        return await reply.code(statusFor(problem)).type(REPLY).send(renderRejection());
      }
    });

    scope.get(`${TIMESTAMP_PATH}/certchain`, async (_request, reply) => {
      const { signer, root } = attest.trust().tsa.at(-1)!;
      return await reply.type('application/pem-certificate-chain').send(toPem(signer.der) + toPem(root.der));
    });
  });
}

const noBody = {
  code: 'wire.timestamp_invalid',
  kind: 'invalid',
  message: 'This is not a request for a timestamp.',
  hint: `Send ${QUERY}, or JSON with artifactHash and hashAlgorithm.`,
} as const;

function readJson(body: Buffer): StampRequest {
  const query = parseWith(JsonQuery, parseJson(body.toString('utf8'), BODY_BYTES_MAX), 'wire.timestamp_invalid');
  return checkStamp({
    algorithm: query.hashAlgorithm,
    imprint: Buffer.from(query.artifactHash, 'base64'),
    nonce: query.nonce === undefined ? undefined : positiveBytes(BigInt(query.nonce)),
    withCertificate: query.certificates,
  });
}

/** Big-endian, with a zero in front where the first bit would make it negative. */
function positiveBytes(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
}
