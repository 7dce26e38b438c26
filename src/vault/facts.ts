import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';

export const KeyName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'use lower-case letters, digits, dots and hyphens');
export const KeyAlgorithm = z.enum(['ed25519', 'p256', 'p384', 'ml-dsa-44']);
export const KeyPurpose = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/);

/** A key-encryption key was made. `record` is the digest of its sealed record: another record under its name is not it. */
export const generationCreated = defineFact({
  type: 'vault.generation_created',
  version: 1,
  schema: z.strictObject({
    instance: z.string(),
    scope: z.string(),
    generation: z.int().min(1),
    record: DigestText,
  }),
});

/** A key pair was made and sealed. The public key in the open, the private one only as the digest of its sealed record. */
export const keyCreated = defineFact({
  type: 'vault.key_created',
  version: 1,
  schema: z.strictObject({
    name: KeyName,
    algorithm: KeyAlgorithm,
    purpose: KeyPurpose,
    /** SubjectPublicKeyInfo, DER, base64. */
    publicKey: z.string(),
    generation: z.int().min(1),
    record: DigestText,
  }),
});

export type GenerationCreated = z.infer<typeof generationCreated.schema>;
export type KeyCreated = z.infer<typeof keyCreated.schema>;
