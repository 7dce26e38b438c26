import { z } from 'zod';
import { CheckView, defineEndpoint } from '#base';
import type { Check, Verdict } from '#base';
import { FailPolicy } from './facts.ts';
import { hashBase64 } from './hash.ts';
import type { Ledger } from './ledger.ts';
import type { ConsistencyProof } from './proof.ts';
import { renderTlogProof } from './tlogproof.ts';

/** The JSON side of the ledger. Tiles, bundles and the checkpoint itself are served as C2SP tlog-tiles says. */

const Base64Hash = z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'base64 of 32 bytes');
const Size = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const LedgerStatus = z.object({
  origin: z.string(),
  size: z.number(),
  root: Base64Hash,
  /** The signed note, as served under `checkpoint`. */
  checkpoint: z.string(),
  /** The key to pin. */
  vkey: z.string(),
  /** What the witness policy demands, and what is missing; null where the ledger has no witnesses at all. */
  witnessing: z
    .object({
      fail: FailPolicy,
      quorum: z.boolean(),
      witnessedSize: z.number().nullable(),
      troubles: z.array(z.string()),
    })
    .nullable(),
  writable: z.boolean(),
  refusal: z.object({ code: z.string(), message: z.string(), hint: z.string() }).nullable(),
});

const FactInLedger = z.object({
  number: z.number(),
  index: z.number(),
  /** The exact bytes that are hashed, as text. */
  leaf: z.string(),
  leafHash: Base64Hash,
  size: z.number(),
  hashes: z.array(Base64Hash),
  checkpoint: z.string(),
  /** The same as one file: C2SP tlog-proof. */
  tlogProof: z.string(),
});

const Consistency = z.object({
  oldSize: z.number(),
  newSize: z.number(),
  oldRoot: Base64Hash,
  newRoot: Base64Hash,
  hashes: z.array(Base64Hash),
});

const VerdictResult = z.object({ ok: z.boolean(), checks: z.array(CheckView) });

export const showLedger = defineEndpoint({
  name: 'ledger.show',
  method: 'GET',
  path: '/api/v1/ledger',
  summary: 'Show the newest checkpoint of the log of events, and the key that signs it.',
  auth: 'required',
  permission: 'ledger:watch',
  response: LedgerStatus,
});

export const showFactProof = defineEndpoint({
  name: 'ledger.fact',
  method: 'GET',
  path: '/api/v1/ledger/facts/:number',
  summary: 'Show the leaf of a fact with a proof that it is in the log; waits for the checkpoint that covers it.',
  auth: 'required',
  permission: 'ledger:read',
  params: z.object({ number: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER) }),
  response: FactInLedger,
});

export const showConsistency = defineEndpoint({
  name: 'ledger.consistency',
  method: 'GET',
  path: '/api/v1/ledger/proof',
  summary: 'Prove that the log at one size only added to the log at an older size.',
  auth: 'required',
  permission: 'ledger:watch',
  query: z.object({ old: Size, size: Size.optional() }),
  response: Consistency,
});

export const verifyLedgerNow = defineEndpoint({
  name: 'ledger.verify',
  method: 'POST',
  path: '/api/v1/ledger/verify',
  summary: 'Read the whole log and journal again and say what was altered, if anything was.',
  auth: 'required',
  permission: 'ledger:read',
  response: VerdictResult,
});

/** What the API answers; see the schemas above. */
export function presentLedger(ledger: Ledger): z.output<typeof LedgerStatus> {
  const { events, refusal } = ledger;
  const { origin, size, root, note } = ledger.shownCheckpoint();
  return {
    origin,
    size,
    root: hashBase64(root),
    checkpoint: note,
    vkey: events.verifier.vkey,
    witnessing: presentWitnessing(ledger),
    writable: refusal === undefined,
    refusal: refusal ? { code: refusal.code, message: refusal.message, hint: refusal.hint } : null,
  };
}

function presentWitnessing({ assurance }: Ledger): z.output<typeof LedgerStatus>['witnessing'] {
  if (!assurance) return null;
  const { cosigning } = assurance;
  const { fail, policy } = cosigning.settings();
  const quorum = policy.quorum !== undefined;
  return {
    fail,
    quorum,
    witnessedSize: quorum ? (cosigning.witnessed()?.size ?? null) : null,
    troubles: cosigning.states().flatMap(({ name, trouble }) => (trouble === undefined ? [] : [`${name}: ${trouble}`])),
  };
}

export async function presentFactProof(ledger: Ledger, number: number): Promise<z.output<typeof FactInLedger>> {
  const { leaf, inclusion, checkpoint } = await ledger.proveFact(number);
  const { index, size, path } = inclusion;
  return {
    number,
    index,
    leaf: leaf.toString(),
    leafHash: hashBase64(inclusion.leaf),
    size,
    hashes: path.map(hashBase64),
    checkpoint: checkpoint.note,
    tlogProof: renderTlogProof({ index, path, note: checkpoint.note }),
  };
}

export function presentConsistency({
  path,
  oldRoot,
  newRoot,
  ...sizes
}: ConsistencyProof): z.output<typeof Consistency> {
  return { ...sizes, oldRoot: hashBase64(oldRoot), newRoot: hashBase64(newRoot), hashes: path.map(hashBase64) };
}

export function presentVerdict({ ok, checks }: Verdict): { ok: boolean; checks: Check[] } {
  return { ok, checks: [...checks] };
}
