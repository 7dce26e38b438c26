import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '#base';
import { draftLeaf, finishLeaf } from './ca.ts';
import { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding, renderEnvelope } from './dsse.ts';
import type { IdentityExtensions } from './oid.ts';
import { signSct } from './sct.ts';
import type { SigningTrust } from './trust.ts';
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

/** The certificate of a key for ten minutes. The list of certificates has it before it exists. */
export async function certify(
  { san, issuer, extensions, spki }: { san: string; issuer: string; extensions: IdentityExtensions; spki: Buffer },
  { ca, signers }: SigningTrust,
  now: number,
  logPrecertificate: LogPrecertificate,
): Promise<Buffer> {
  const leaf = await draftLeaf({ san, issuer, extensions, spki, now }, ca.intermediate.der, signers.intermediate);
  await logPrecertificate(leaf.precertificate, leaf.fields.serial, now);
  const sct = await signSct({ issuerSpki: ca.intermediate.spki, tbs: leaf.tbs }, now, signers.certificateLog);
  return await finishLeaf(leaf, sct, signers.intermediate);
}

/** Key → certificate → signature → timestamp. The key lives for this one signature and is never stored. */
export async function signDraft(
  { payload, ...identity }: DraftRequest,
  trust: SigningTrust,
  clock: Clock,
  logPrecertificate: LogPrecertificate,
): Promise<Draft> {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = key.publicKey.export({ format: 'der', type: 'spki' });
  const certificate = await certify({ ...identity, spki }, trust, clock.now(), logPrecertificate);
  const signature = sign('sha256', preAuthEncoding(IN_TOTO_PAYLOAD_TYPE, payload), key.privateKey);
  const imprint = createHash('sha256').update(signature).digest();
  const { tsa, signers } = trust;
  const stamp = await signTimestamp({ imprint, now: clock.now() }, tsa.signer.der, signers.timestamp);
  return {
    certificate: certificate.toString('base64'),
    envelope: renderEnvelope(payload, signature),
    timestamp: stamp.toString('base64'),
  };
}
