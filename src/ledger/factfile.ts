import { z } from 'zod';
import { failed, notChecked, parseJson, parseWith, passed, Problem, verdictOf } from '#base';
import type { Check, Verdict } from '#base';
import type { Journal } from '#journal';
import { decodeBase64 } from './hash.ts';
import type { Ledger } from './ledger.ts';
import { opensCommitment, parseLeaf } from './leaf.ts';
import type { Leaf } from './leaf.ts';
import { judgeCheckpoint } from './policy.ts';
import type { Policy } from './policy.ts';
import { hashHex, leafHash } from './hash.ts';
import { verifyInclusion } from './proof.ts';
import { parseTlogProof, renderTlogProof } from './tlogproof.ts';

/** One fact as a file that proves itself: leaf, what its commitment hides, inclusion proof, and the policy it was made under. */
export const FactFile = z.strictObject({
  v: z.literal(1),
  kind: z.literal('waybill.fact-evidence'),
  number: z.int().min(1),
  /** The exact bytes that are hashed. */
  leaf: z.string().max(65_535),
  /** Payload and origin in the spelling that was committed to; null once erased. */
  private: z
    .string()
    .max(1024 * 1024)
    .nullable(),
  salt: z.string().max(100).nullable(),
  /** Number of the fact that erased the payload. */
  erasedBy: z.int().min(1).nullable(),
  /** C2SP tlog-proof. */
  proof: z.string().max(256 * 1024),
  /** C2SP tlog-policy of the server. Whoever verifies uses a policy of his own; this one tells where the keys are. */
  policy: z.string().max(256 * 1024),
});
export type FactFile = z.output<typeof FactFile>;

/** `Problem base.json_invalid` or `ledger.fact_file_invalid`. */
export function parseFactFile(text: string): FactFile {
  return parseWith(FactFile, parseJson(text, 2 * 1024 * 1024), 'ledger.fact_file_invalid');
}

export async function exportFact(
  { ledger, journal, policy }: { ledger: Ledger; journal: Journal; policy: string },
  number: number,
): Promise<FactFile> {
  const { leaf, inclusion, checkpoint } = await ledger.proveFact(number);
  const disclosed = await journal.disclose(number);
  return {
    v: 1,
    kind: 'waybill.fact-evidence',
    number,
    leaf: leaf.toString(),
    private: disclosed?.private ?? null,
    salt: disclosed?.salt.toString('base64') ?? null,
    erasedBy: disclosed ? null : ((await journal.find(number))?.erasedBy ?? null),
    proof: renderTlogProof({ index: inclusion.index, path: inclusion.path, note: checkpoint.note }),
    policy,
  };
}

/** Offline. Checks `ledger.checkpoint`, `ledger.quorum`, `ledger.inclusion`, `ledger.leaf`, `ledger.payload`. */
export function verifyFactFile(file: FactFile, policy: Policy): Verdict & { leaf: Leaf | undefined } {
  let checks: Check[];
  let leaf: Leaf | undefined;
  try {
    const proof = parseTlogProof(file.proof);
    const { checkpoint, verdict } = judgeCheckpoint(proof.note, policy);
    if (!checkpoint) return { ...verdict, leaf: undefined };
    leaf = parseLeaf(Buffer.from(file.leaf));
    const hash = leafHash(Buffer.from(file.leaf));
    const { size, root } = checkpoint;
    const included = verifyInclusion({ index: proof.index, size, leaf: hash, path: proof.path, root });
    checks = [
      ...verdict.checks,
      included
        ? passed('ledger.inclusion', `leaf ${proof.index} of ${size}`)
        : failed('ledger.inclusion', {
            code: 'ledger.not_included',
            expected: 'a path from this leaf to the signed root',
            found: `another root from leaf hash ${hashHex(hash)}`,
          }),
      leaf.n === file.number && leaf.n === proof.index + 1
        ? passed('ledger.leaf', `fact ${leaf.n}: ${leaf.k}`)
        : failed('ledger.leaf', {
            code: 'ledger.leaf_wrong',
            expected: `fact ${file.number}`,
            found: `fact ${leaf.n} at entry ${proof.index}`,
          }),
      payloadCheck(file, leaf),
    ];
  } catch (error) {
    if (!Problem.is(error)) throw error;
    checks = [failed('ledger.leaf', { code: error.code, expected: 'a fact with its proof', found: error.message })];
  }
  const erased = file.private === null && file.erasedBy !== null;
  return { ...verdictOf(checks, { allowNotChecked: erased }), leaf };
}

function payloadCheck(file: FactFile, leaf: Leaf): Check {
  if (file.private === null) {
    return file.erasedBy === null
      ? failed('ledger.payload', { code: 'ledger.payload_missing', expected: 'payload and salt', found: 'none' })
      : notChecked('ledger.payload', `erased by fact ${file.erasedBy}; ask for that fact as well`);
  }
  const salt = file.salt === null ? undefined : decodeBase64(file.salt);
  if (salt && opensCommitment(leaf, file.private, salt))
    return passed('ledger.payload', 'opens the commitment of the leaf');
  return failed('ledger.payload', {
    code: 'ledger.commitment_wrong',
    expected: 'payload and salt that open the commitment of the leaf',
    found: 'others',
  });
}
