import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '#base';
import { draftLeaf, finishLeaf } from './ca.ts';
import { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding, renderEnvelope } from './dsse.ts';
import type { IdentityExtensions } from './oid.ts';
import { signSct } from './sct.ts';
import type { Trust } from './trust.ts';
import { signTimestamp } from './tsa.ts';

/** A signature with all its witnesses but the log's proof, which exists only once the entry is in the log. */
export const Draft = z.strictObject({
  certificate: z.base64(),
  envelope: z.strictObject({
    payload: z.base64(),
    payloadType: z.literal(IN_TOTO_PAYLOAD_TYPE),
    signatures: z.tuple([z.strictObject({ sig: z.base64() })]),
  }),
  timestamp: z.base64(),
});
export type Draft = z.infer<typeof Draft>;

export interface DraftRequest {
  payload: Buffer;
  san: string;
  issuer: string;
  extensions: IdentityExtensions;
}

/** Makes the precertificate known; when it resolves, the list of certificates has it. */
export type LogPrecertificate = (precertificate: Buffer, serial: Buffer, sctAt: number) => Promise<void>;

/** Key → certificate → signature → timestamp. The key lives for this one signature and is never stored. */
export async function signDraft(
  { payload, san, issuer, extensions }: DraftRequest,
  trust: Trust,
  clock: Clock,
  logPrecertificate: LogPrecertificate,
): Promise<Draft> {
  const { intermediate, timestamp, signers } = trust;
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = key.publicKey.export({ format: 'der', type: 'spki' });
  const now = clock.now();
  const leaf = await draftLeaf({ san, issuer, extensions, spki, now }, intermediate.der, signers.intermediate);
  await logPrecertificate(leaf.precertificate, leaf.fields.serial, now);
  const sct = await signSct({ issuerSpki: intermediate.spki, tbs: leaf.tbs }, now, signers.certificateLog);
  const certificate = await finishLeaf(leaf, sct, signers.intermediate);
  const signature = sign('sha256', preAuthEncoding(IN_TOTO_PAYLOAD_TYPE, payload), key.privateKey);
  const imprint = createHash('sha256').update(signature).digest();
  const stamp = await signTimestamp({ imprint, now: clock.now() }, timestamp.der, signers.timestamp);
  return {
    certificate: certificate.toString('base64'),
    envelope: renderEnvelope(payload, signature),
    timestamp: stamp.toString('base64'),
  };
}
