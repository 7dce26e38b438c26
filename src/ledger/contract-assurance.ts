import { z } from 'zod';
import { CheckView, defineEndpoint, DigestText } from '#base';
import type { Assurance } from './assurance.ts';
import { FailPolicy, forkKinds, WitnessUrl } from './facts.ts';
import { FactFile } from './factfile.ts';
import { ForkFile } from './fork.ts';
import type { Ledger } from './ledger.ts';
import { renderPolicyText } from './policy.ts';
import { StreamProof } from './streamproof.ts';

/** Witnesses, evidence and proofs of whole streams, as JSON. The witness protocol itself is C2SP tlog-witness, under `/witness`. */

const Vkey = z.string().max(4096);

const WitnessView = z.object({
  /** Our log, and the key to pin. */
  origin: z.string(),
  log: z.string(),
  /** Its ML-DSA-44 key, for a policy that asks for it as for a witness. */
  postQuantum: z.string().nullable(),
  /** Us as a witness of others. */
  witness: z.object({ url: z.string(), vkeys: z.array(z.string()) }),
  fail: FailPolicy,
  /** C2SP tlog-policy. */
  policy: z.string(),
  /** The newest checkpoint that satisfies the policy; null if there is none. */
  witnessedSize: z.number().nullable(),
  size: z.number(),
  witnesses: z.array(
    z.object({
      name: z.string(),
      url: z.string(),
      vkey: z.string(),
      size: z.number().nullable(),
      at: z.string().nullable(),
      trouble: z.string().nullable(),
    }),
  ),
  /** Logs of others that we cosign. */
  logs: z.array(z.object({ origin: z.string(), vkey: z.string(), size: z.number().nullable(), forked: z.boolean() })),
  forks: z.array(
    z.object({
      evidence: z.string(),
      origin: z.string(),
      kind: z.enum(forkKinds),
      noticedBy: z.string(),
      noticedAt: z.string(),
    }),
  ),
});

export const showWitnesses = defineEndpoint({
  name: 'ledger.witnesses',
  method: 'GET',
  path: '/api/v1/ledger/witnesses',
  summary: 'Show who witnesses the log, whom we witness, the policy, and evidence of forks.',
  auth: 'required',
  permission: 'ledger:read',
  response: WitnessView,
});

export const addPeer = defineEndpoint({
  name: 'ledger.peer',
  method: 'POST',
  path: '/api/v1/ledger/witnesses',
  summary: 'Witness the log of another server, have it witness ours, or both.',
  auth: 'required',
  permission: 'instance:admin',
  body: z.strictObject({
    log: Vkey.optional(),
    witness: z.strictObject({ vkey: Vkey, url: WitnessUrl, ca: z.string().max(20_000).nullable() }).optional(),
    quorum: z.union([z.int().min(1).max(128), z.enum(['any', 'all'])]).optional(),
    fail: FailPolicy.optional(),
  }),
  response: WitnessView,
});

export const distrustLog = defineEndpoint({
  name: 'ledger.distrust',
  method: 'POST',
  path: '/api/v1/ledger/witnesses/distrust',
  summary: 'Cosign the log of another server no more.',
  auth: 'required',
  permission: 'instance:admin',
  body: z.strictObject({ origin: z.string().min(1).max(255), reason: z.string().min(1).max(500) }),
  response: WitnessView,
});

export const setWitnessPolicy = defineEndpoint({
  name: 'ledger.policy',
  method: 'PUT',
  path: '/api/v1/ledger/policy',
  summary: 'Set the C2SP tlog-policy that a checkpoint must satisfy to count as witnessed.',
  auth: 'required',
  permission: 'instance:admin',
  body: z.strictObject({ policy: z.string().max(64_000), fail: FailPolicy }),
  response: WitnessView,
});

export const compareCheckpoint = defineEndpoint({
  name: 'ledger.compare',
  method: 'POST',
  path: '/api/v1/ledger/compare',
  summary:
    'Hand in a checkpoint of this log that you remember; one that the log does not continue is kept as evidence.',
  auth: 'required',
  permission: 'ledger:read',
  body: z.strictObject({ note: z.string().max(100_000) }),
  response: z.object({ consistent: z.boolean(), evidence: z.string().nullable(), size: z.number() }),
});

export const showFork = defineEndpoint({
  name: 'ledger.fork',
  method: 'GET',
  path: '/api/v1/ledger/forks/:evidence',
  summary: 'Show evidence of a fork: the file that anybody can check.',
  auth: 'required',
  permission: 'ledger:read',
  params: z.object({ evidence: DigestText }),
  response: ForkFile,
});

export const proveStreamNow = defineEndpoint({
  name: 'ledger.stream',
  method: 'GET',
  path: '/api/v1/ledger/streams',
  summary: 'Prove everything that was logged about one stream, and that nothing of it is missing.',
  auth: 'required',
  permission: 'ledger:read',
  query: z.object({ stream: z.string().regex(/^[a-z]+\/[A-Za-z0-9:_.-]{1,120}$/) }),
  response: StreamProof,
});

export const exportFactNow = defineEndpoint({
  name: 'ledger.export',
  method: 'GET',
  path: '/api/v1/ledger/facts/:number/export',
  summary: 'Show one fact with its payload and proof, as a file that anybody can check offline.',
  auth: 'required',
  permission: 'audit:read',
  params: z.object({ number: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER) }),
  response: FactFile,
});

export const checkEverything = defineEndpoint({
  name: 'ledger.fsck',
  method: 'POST',
  path: '/api/v1/ledger/fsck',
  summary: 'Hash every byte again (logs, objects, sealed keys) and rebuild every table from the facts.',
  auth: 'required',
  permission: 'audit:read',
  response: z.object({ ok: z.boolean(), checks: z.array(CheckView) }),
});

const ErasureView = z.object({
  fact: z.number(),
  type: z.string(),
  request: z.number(),
  requestedBy: z.string(),
  requestedAt: z.string(),
  reason: z.string(),
  erasedBy: z.number().nullable(),
});

export const listErasures = defineEndpoint({
  name: 'erasure.list',
  method: 'GET',
  path: '/api/v1/erasures',
  summary: 'List requests to erase payloads, newest first.',
  auth: 'required',
  permission: 'audit:read',
  response: z.object({ items: z.array(ErasureView), next: z.string().nullable() }),
});

export const requestErasure = defineEndpoint({
  name: 'erasure.request',
  method: 'POST',
  path: '/api/v1/erasures',
  summary: 'Ask for the payload of a fact to be erased; another person has to confirm.',
  auth: 'required',
  permission: 'audit:erase',
  body: z.strictObject({ fact: z.int().min(1), reason: z.string().min(1).max(500) }),
  response: z.object({ request: z.number(), fact: z.number() }),
  status: 201,
});

export const confirmErasure = defineEndpoint({
  name: 'erasure.confirm',
  method: 'POST',
  path: '/api/v1/erasures/:fact/confirm',
  summary: 'Confirm what another person asked for: payload and salt are removed, the leaf and its proofs stay.',
  auth: 'required',
  permission: 'audit:erase',
  params: z.object({ fact: z.coerce.number().int().min(1) }),
  response: z.object({ fact: z.number(), erasedBy: z.number() }),
});

const iso = (at: number): string => new Date(at).toISOString();

export async function presentWitnesses(
  { events }: Ledger,
  assurance: Assurance,
  url: string,
): Promise<z.output<typeof WitnessView>> {
  const { witness, cosigning } = assurance;
  const { policy, fail } = cosigning.settings();
  return {
    origin: events.origin,
    log: events.verifier.vkey,
    postQuantum: assurance.postQuantumKey ?? null,
    witness: { url, vkeys: witness.verifiers.map(({ vkey }) => vkey) },
    fail,
    policy: renderPolicyText(policy),
    witnessedSize: policy.quorum === undefined ? null : (cosigning.witnessed()?.size ?? null),
    size: events.size(),
    witnesses: cosigning.states().map(({ name, url: at, vkey, size, at: seen, trouble }) => ({
      name,
      url: at,
      vkey,
      size: size ?? null,
      at: seen === undefined ? null : iso(seen),
      trouble: trouble ?? null,
    })),
    logs: (await witness.logs()).map((log) => ({ ...log, size: log.size ?? null })),
    forks: (await assurance.forks()).map(({ evidence, origin, kind, noticed_by, at }) => ({
      evidence,
      origin,
      kind: kind as (typeof forkKinds)[number],
      noticedBy: noticed_by,
      noticedAt: iso(at),
    })),
  };
}
