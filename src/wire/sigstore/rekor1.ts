import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { type Attest, type LoggedEntry, type Submission } from '#attest';
import { type Clock, parseJson, parseWith, Problem } from '#base';
import type { App } from '#http';
import { type Identity, unauthenticated } from '#identity';
import { answerErrors, createRateLimit } from './status.ts';

/** Rekor's API v1: `dsse` and `hashedrekord` 0.0.1. */

const PATH = '/api/v1/log/entries';
const BODY_BYTES_MAX = 1024 * 1024;
const REQUESTS_PER_MINUTE = 240;

const Base64 = z.string().min(1).max(BODY_BYTES_MAX);

const Dsse = z.object({
  kind: z.literal('dsse'),
  apiVersion: z.literal('0.0.1'),
  spec: z.object({
    proposedContent: z.object({
      envelope: z.string().max(BODY_BYTES_MAX),
      verifiers: z.array(Base64).length(1, 'exactly one verifier is logged'),
    }),
  }),
});

const Hashed = z.object({
  kind: z.literal('hashedrekord'),
  apiVersion: z.literal('0.0.1'),
  spec: z.object({
    data: z.object({
      hash: z.object({
        algorithm: z.enum(['sha256', 'sha384', 'sha512']),
        value: z.string().regex(/^[0-9a-f]{64,128}$/),
      }),
    }),
    signature: z.object({ content: Base64, publicKey: z.object({ content: Base64 }) }),
  }),
});

const Proposed = z.discriminatedUnion('kind', [Dsse, Hashed]);

export const Envelope = z.object({
  payload: Base64,
  payloadType: z.string().min(1).max(200),
  signatures: z
    .array(z.object({ sig: Base64, keyid: z.string().max(500).optional() }))
    .length(1, 'an envelope with exactly one signature is logged'),
});

export function registerRekor1(
  app: App,
  { attest, identity, clock }: { attest: Attest; identity: Identity; clock: Clock },
): void {
  app.register(async (plain) => {
    const scope = plain as unknown as App;
    answerErrors(scope, 'http');
    const limit = createRateLimit(REQUESTS_PER_MINUTE, () => clock.now());

    scope.post(PATH, { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      limit(request);
      const proposed = parseWith(Proposed, request.body, 'wire.entry_invalid');
      const actor = { principal: request.caller.principal, origin: request.origin };
      const logged = await attest.submitEntry({ ...readProposed(proposed), form: 'rekor1', actor });
      // The Go client looks the entry up by this tag and dies without it.
      return await reply
        .code(201)
        .header('etag', logged.uuid)
        .header('location', `${PATH}/${logged.uuid}`)
        .send(renderEntry(logged));
    });

    scope.get('/api/v1/log', async () => {
      const logs = attest.logs().filter((log) => log.form === 'rekor1');
      const state = (log: (typeof logs)[number]) => {
        const { size, root, note } = log.tiles.checkpoint();
        return {
          rootHash: Buffer.from(root).toString('hex'),
          signedTreeHead: note,
          treeID: log.origin.split(' - ')[1],
          treeSize: size,
        };
      };
      const active = attest.activeLog('rekor1');
      const inactiveShards = logs.filter(({ id }) => id !== active.id).map(state);
      return { ...state(active), inactiveShards };
    });

    scope.get('/api/v1/log/publicKey', async (_request, reply) => {
      const der =
        attest
          .activeLog('rekor1')
          .key.toString('base64')
          .match(/.{1,64}/g) ?? [];
      const pem = `-----BEGIN PUBLIC KEY-----\n${der.join('\n')}\n-----END PUBLIC KEY-----\n`;
      return await reply.type('application/x-pem-file').send(pem);
    });

    scope.get<{ Params: { uuid: string } }>(`${PATH}/:uuid`, async (request) => {
      limit(request);
      return renderEntry(await attest.findEntry(request.params.uuid));
    });

    // Whoever counts through the log sees every name in it, so that takes a right.
    scope.get<{ Querystring: { logIndex?: string } }>(PATH, async (request) => {
      if (request.caller.kind === 'anonymous') throw unauthenticated();
      await identity.require(request.caller, 'ledger:read');
      const index = request.query.logIndex ?? '';
      if (!/^\d{1,12}$/.test(index)) throw invalidEntry('logIndex is not a number');
      return renderEntry(await attest.entryAt(Number(index)));
    });
  });
}

function readProposed(proposed: z.output<typeof Proposed>): Pick<Submission, 'content' | 'certificate'> {
  if (proposed.kind === 'dsse') {
    const { envelope, verifiers } = proposed.spec.proposedContent;
    return { content: readEnvelope(parseJson(envelope, BODY_BYTES_MAX)), certificate: readPem(verifiers[0]!) };
  }
  const { data, signature } = proposed.spec;
  return {
    content: {
      kind: 'hashedrekord',
      algorithm: data.hash.algorithm,
      digest: Buffer.from(data.hash.value, 'hex'),
      signature: Buffer.from(signature.content, 'base64'),
    },
    certificate: readPem(signature.publicKey.content),
  };
}

export function readEnvelope(value: unknown): Submission['content'] {
  const { payload, payloadType, signatures } = parseWith(Envelope, value, 'wire.entry_invalid');
  return {
    kind: 'dsse',
    payloadType,
    payload: Buffer.from(payload, 'base64'),
    signature: Buffer.from(signatures[0]!.sig, 'base64'),
  };
}

/** base64 of a certificate in PEM; of a chain, the first. */
function readPem(text: string): Buffer {
  const pem = Buffer.from(text, 'base64').toString('latin1');
  if (pem.includes('BEGIN PUBLIC KEY')) {
    throw invalidEntry('only signatures with a certificate of this installation are logged, not those of bare keys');
  }
  try {
    return new X509Certificate(pem).raw;
  } catch {
    throw invalidEntry('the verifier is not base64 of a certificate in PEM');
  }
}

export const invalidEntry = (reason: string) =>
  new Problem({
    code: 'wire.entry_invalid',
    kind: 'invalid',
    message: `This is not an entry for the log: ${reason}.`,
    hint: 'See Rekor: dsse 0.0.1 and hashedrekord 0.0.1 (v1), hashedRekordRequestV002 (v2).',
  });

function renderEntry({ uuid, entry }: LoggedEntry) {
  const { proof } = entry;
  return {
    [uuid]: {
      body: entry.body.toString('base64'),
      integratedTime: entry.integratedTime,
      logID: entry.logId.toString('hex'),
      logIndex: entry.logIndex,
      verification: {
        inclusionProof: {
          checkpoint: proof.checkpoint,
          hashes: proof.hashes.map((hash) => hash.toString('hex')),
          logIndex: entry.logIndex,
          rootHash: proof.rootHash.toString('hex'),
          treeSize: proof.treeSize,
        },
        signedEntryTimestamp: entry.promise?.toString('base64'),
      },
    },
  };
}
