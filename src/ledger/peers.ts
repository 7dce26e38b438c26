import { Problem } from '#base';
import type { Actor, Draft, Journal } from '#journal';
import type { Db } from '#storage';
import type { CosigningSettings, UsedWitness } from './cosigning.ts';
import { FailPolicy, logTrusted, WitnessName, witnessPolicySet, witnessTrusted, WitnessUrl } from './facts.ts';
import { originStream } from './fork.ts';
import { parsePolicy, renderPolicy } from './policy.ts';
import type { Policy } from './policy.ts';
import { findPolicy, findTrustedLog, listWitnesses } from './store.ts';
import { parseVkey } from './vkey.ts';

/** Another server: we cosign its log, and it cosigns ours. */
export interface Peer {
  /** Key of its log, if we are to witness it. */
  log?: string | undefined;
  /** Its key as a witness and where it is one, if it is to witness us. */
  witness?: { vkey: string; url: string; ca: string | null } | undefined;
  /** How many witnesses must cosign; kept as it is unless said. */
  quorum?: number | 'any' | 'all' | undefined;
  fail?: FailPolicy | undefined;
}

export const WITNESS_STREAM = 'log/witnesses';

/** What the tables say now. Without any record: our own log and no witness. */
export async function loadSettings(db: Db, ownVkey: string): Promise<CosigningSettings> {
  const [row, witnesses] = await Promise.all([findPolicy(db), listWitnesses(db)]);
  const policy = parsePolicy(row?.policy ?? renderPolicy({ log: { vkey: ownVkey }, witnesses: [], k: 'any' }));
  const used = policy.witnesses.flatMap(({ name, verifier }): UsedWitness[] => {
    const known = witnesses.find((witness) => witness.name === name && witness.vkey === verifier.vkey);
    return known ? [{ name, vkey: known.vkey, url: known.url, ca: known.ca }] : [];
  });
  return { policy, witnesses: used, fail: FailPolicy.parse(row?.fail ?? 'open') };
}

/** Trusts log, witness and the policy that follows from them in one transaction: all of it or nothing. */
export async function recordPeer(
  { journal, db }: { journal: Journal; db: Db },
  actor: Actor,
  { peer, settings, ownVkey }: { peer: Peer; settings: CosigningSettings; ownVkey: string },
): Promise<void> {
  const drafts = [
    ...(peer.log === undefined ? [] : await logDrafts(db, actor, peer.log, ownVkey)),
    ...(peer.witness === undefined ? [] : witnessDrafts(actor, peer.witness, peer, settings, ownVkey)),
  ];
  if (drafts.length > 0) await journal.recordAll(drafts);
}

async function logDrafts(db: Db, actor: Actor, vkey: string, ownVkey: string): Promise<Draft[]> {
  const log = parseVkey(vkey);
  if (log.algorithm !== 'ed25519') throw peerInvalid('its log key is not an Ed25519 key of a log');
  if (log.name === parseVkey(ownVkey).name) throw peerInvalid('it is this very server, or one with its name');
  const known = await findTrustedLog(db, log.name);
  if (known && known.vkey !== log.vkey) throw peerInvalid(`another key is known for ${log.name}`);
  if (known) return [];
  const payload = { origin: log.name, vkey: log.vkey };
  return [{ fact: logTrusted, payload, stream: originStream(log.name), actor }];
}

function witnessDrafts(
  actor: Actor,
  witness: NonNullable<Peer['witness']>,
  { quorum, fail }: Peer,
  settings: CosigningSettings,
  ownVkey: string,
): Draft[] {
  const verifier = parseVkey(witness.vkey);
  if (verifier.algorithm !== 'cosignature') throw peerInvalid('its witness key is not an Ed25519 key that cosigns');
  const name = WitnessName.safeParse(verifier.name);
  if (!name.success || !WitnessUrl.safeParse(witness.url).success)
    throw peerInvalid('its witness has no usable name or address');
  const { k, policy } = generated(settings.policy);
  const others = policy.witnesses.filter((known) => known.name !== name.data);
  const witnesses = [
    ...others.map((known) => ({
      name: known.name,
      vkey: known.verifier.vkey,
      ...(known.url ? { url: known.url } : {}),
    })),
    { name: name.data, vkey: verifier.vkey, url: witness.url },
  ];
  const threshold = quorum ?? k;
  if (typeof threshold === 'number' && threshold > witnesses.length)
    throw peerInvalid(`${threshold} of ${witnesses.length} witnesses cannot cosign`);
  const text = renderPolicy({ log: { vkey: ownVkey }, witnesses, k: threshold });
  parsePolicy(text);
  return [
    {
      fact: witnessTrusted,
      payload: { ...witness, name: name.data },
      stream: WITNESS_STREAM,
      actor,
    },
    {
      fact: witnessPolicySet,
      payload: { policy: text, fail: fail ?? settings.fail },
      stream: WITNESS_STREAM,
      actor,
    },
  ];
}

/** Another policy text. Every witness in it must be known with its address. */
export async function recordPolicy(
  { journal, db }: { journal: Journal; db: Db },
  actor: Actor,
  wanted: { policy: string; fail: FailPolicy; ownVkey: string },
): Promise<void> {
  const policy = parsePolicy(wanted.policy);
  if (!policy.logs.some(({ verifier }) => verifier.vkey === wanted.ownVkey))
    throw policyUnusable('it does not name the key of our own log');
  const known = await listWitnesses(db);
  const unknown = policy.witnesses.find(
    ({ name, verifier }) => !known.some((witness) => witness.name === name && witness.vkey === verifier.vkey),
  );
  if (unknown) throw policyUnusable(`the witness ${unknown.name} is not one of ours`);
  if (wanted.fail === 'closed' && policy.quorum === undefined)
    throw policyUnusable('fail-closed without a quorum would demand nothing');
  await journal.record({
    fact: witnessPolicySet,
    payload: { policy: wanted.policy, fail: wanted.fail },
    stream: WITNESS_STREAM,
    actor,
  });
}

/** A policy of the form that pairing writes: at most one group, which holds every witness and is the quorum. */
function generated(policy: Policy): { k: number | 'any' | 'all'; policy: Policy } {
  if (policy.witnesses.length === 0 && policy.quorum === undefined) return { k: 'any', policy };
  const [group, ...more] = policy.groups;
  const isOurs =
    group &&
    more.length === 0 &&
    group.name === 'peers' &&
    policy.quorum === 'peers' &&
    group.members.length === policy.witnesses.length;
  if (!isOurs) throw policyUnusable('it was written by hand, so pairing does not change it');
  if (group.k === 1) return { k: 'any', policy };
  return { k: group.k === group.members.length ? 'all' : group.k, policy };
}

const peerInvalid = (reason: string) =>
  new Problem({
    code: 'ledger.peer_invalid',
    kind: 'invalid',
    message: `This server cannot be a peer: ${reason}.`,
    hint: 'Use `waybill ledger witness pair`, which asks both servers for their keys.',
  });

const policyUnusable = (reason: string) =>
  new Problem({
    code: 'ledger.policy_unusable',
    kind: 'conflict',
    message: `The witness policy cannot be used like this: ${reason}.`,
    hint: 'See `waybill ledger witness list` for the keys; set the policy with `waybill ledger witness policy`.',
  });
