import { z } from 'zod';
import { Problem } from '#base';
import { commitmentOf } from '#journal';

/** A leaf of the `events` log, read back (docs/formats/fact.md). Pure. */
const Leaf = z.strictObject({
  v: z.literal(1),
  n: z.int().min(1),
  t: z.int().min(0),
  k: z.string().max(200),
  st: z.string().max(200),
  sq: z.int().min(1),
  pv: z.int().min(1).nullable(),
  o: z.string().max(200).nullable(),
  a: z.string().max(200),
  c: z.string().max(100),
});
export type Leaf = z.output<typeof Leaf>;

/** `Problem ledger.leaf_invalid`. */
export function parseLeaf(bytes: Uint8Array): Leaf {
  try {
    return Leaf.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new Problem({
      code: 'ledger.leaf_invalid',
      kind: 'invalid',
      message: 'This is not the leaf of a fact.',
      hint: 'Compare it with docs/formats/fact.md.',
      cause,
    });
  }
}

/** Do payload and salt, as disclosed, open the leaf's commitment? */
export function opensCommitment(leaf: Leaf, privateText: string, salt: Uint8Array): boolean {
  return commitmentOf(salt, privateText).toString('base64url') === leaf.c;
}
