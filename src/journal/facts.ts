import { z } from 'zod';
import { defineFact } from './fact.ts';

const FactNumber = z.int().min(1);

/** One person asks for the payload of a fact to be erased. Nothing happens until another one confirms. */
export const erasureRequested = defineFact({
  type: 'journal.erasure_requested',
  version: 1,
  schema: z.strictObject({ fact: FactNumber, type: z.string(), reason: z.string().min(1).max(500) }),
});

/**
 * Another person confirmed: payload and salt of the fact are gone. `residue` is what may stay (docs/adr/0010-erasure.md); the
 * leaf of this fact vouches for it, since nothing can open the commitment of the erased one any more.
 */
export const payloadErased = defineFact({
  type: 'journal.payload_erased',
  version: 1,
  schema: z.strictObject({ fact: FactNumber, type: z.string(), request: FactNumber, residue: z.json() }),
});

export type ErasureRequested = z.infer<typeof erasureRequested.schema>;
export type PayloadErased = z.infer<typeof payloadErased.schema>;
