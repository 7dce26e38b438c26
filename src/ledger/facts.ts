import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';

const Origin = z.string().min(1).max(255);
const Size = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const Root = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);
const Note = z.string().max(100_000);
const Vkey = z.string().max(4096);
/** A name of a witness as it stands in a policy. */
export const WitnessName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$/);
export const WitnessUrl = z
  .string()
  .max(300)
  .regex(/^https:\/\/[^\s?#]+$/, 'an https address without query');
export const FailPolicy = z.enum(['open', 'closed']);
export type FailPolicy = z.infer<typeof FailPolicy>;

/** A checkpoint of the `signatures` log, put under the `events` log: neither can be rewritten alone. */
export const signaturesCheckpoint = defineFact({
  type: 'ledger.signatures_checkpoint',
  version: 1,
  schema: z.strictObject({ origin: Origin, size: Size, root: Root, vkey: Vkey, note: Note }),
});

/** We ask this witness to cosign our checkpoints. */
export const witnessTrusted = defineFact({
  type: 'ledger.witness_trusted',
  version: 1,
  schema: z.strictObject({ name: WitnessName, vkey: Vkey, url: WitnessUrl, ca: z.string().max(20_000).nullable() }),
});

/** From now on a checkpoint counts as witnessed if it satisfies this C2SP tlog-policy. */
export const witnessPolicySet = defineFact({
  type: 'ledger.witness_policy_set',
  version: 1,
  schema: z.strictObject({ policy: z.string().max(64_000), fail: FailPolicy }),
});

/** We cosign checkpoints of this log. */
export const logTrusted = defineFact({
  type: 'ledger.log_trusted',
  version: 1,
  schema: z.strictObject({ origin: Origin, vkey: Vkey }),
});

/** We cosign it no more. What we cosigned stays known: trusted again, it must continue from there. */
export const logDistrusted = defineFact({
  type: 'ledger.log_distrusted',
  version: 1,
  schema: z.strictObject({ origin: Origin, reason: z.string().max(500) }),
});

/** We cosigned a checkpoint of another log; from now on nothing shorter and nothing different. */
export const logWitnessed = defineFact({
  type: 'ledger.log_witnessed',
  version: 1,
  schema: z.strictObject({ origin: Origin, size: Size, root: Root, note: Note }),
});

export const forkKinds = ['split_view', 'rollback', 'inconsistent'] as const;

/** A log contradicted what it had signed. The object is the transferable evidence: both signed notes. */
export const forkEvidence = defineFact({
  type: 'ledger.fork_evidence',
  version: 1,
  schema: z.strictObject({
    origin: Origin,
    kind: z.enum(forkKinds),
    evidence: DigestText,
    /** Who noticed: us as a witness, one of our witnesses, a client. */
    noticedBy: z.string().max(200),
  }),
});

/** Something a person must look at. */
export const alertRaised = defineFact({
  type: 'ledger.alert_raised',
  version: 1,
  schema: z.strictObject({
    alert: z.enum(['fork', 'witness_contradicts']),
    origin: Origin,
    message: z.string().max(1000),
  }),
});

/** The root of the map of every stream to its last fact, made from the first `size` leaves of the log alone. */
export const streamHeads = defineFact({
  type: 'ledger.stream_heads',
  version: 1,
  schema: z.strictObject({ size: Size, streams: Size, root: Root }),
});

/** Facts that only keep house: they alone are no reason to ask a witness again, else two servers would keep each other busy for ever. */
export const housekeeping: readonly string[] = [logWitnessed.type, streamHeads.type];

export type SignaturesCheckpoint = z.infer<typeof signaturesCheckpoint.schema>;
export type WitnessTrusted = z.infer<typeof witnessTrusted.schema>;
export type WitnessPolicySet = z.infer<typeof witnessPolicySet.schema>;
export type LogTrusted = z.infer<typeof logTrusted.schema>;
export type LogWitnessed = z.infer<typeof logWitnessed.schema>;
export type ForkEvidence = z.infer<typeof forkEvidence.schema>;
export type StreamHeads = z.infer<typeof streamHeads.schema>;
