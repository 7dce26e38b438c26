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
  /** Key of its log. */
  log: string;
  /** Its key as a witness, and where it is one. */
  witness: { vkey: string; url: string; ca: string | null };
  /** How many witnesses must cosign; kept as it is unless said. */
  quorum?: number | 'any' | 'all';
  fail?: FailPolicy;
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
  const log = parseVkey(peer.log);
  const verifier = parseVkey(peer.witness.vkey);
  if (log.algorithm !== 'ed25519') throw peerInvalid('its log key is not an Ed25519 key of a log');
  if (verifier.algorithm !== 'cosignature') throw peerInvalid('its witness key is not an Ed25519 key that cosigns');
  if (log.vkey === ownVkey) throw peerInvalid('it is this very server');
  const name = WitnessName.safeParse(verifier.name);
  if (!name.success || !WitnessUrl.safeParse(peer.witness.url).success)
    throw peerInvalid('its witness has no usable name or address');
  const known = await findTrustedLog(db, log.name);
  if (known && known.vkey !== log.vkey) throw peerInvalid(`another key is known for ${log.name}`);

  const { k, policy } = generated(settings.policy);
  const witnesses = [
    ...policy.witnesses
      .filter((witness) => witness.name !== name.data)
      .map((witness) => ({
        name: witness.name,
        vkey: witness.verifier.vkey,
        ...(witness.url ? { url: witness.url } : {}),
      })),
    { name: name.data, vkey: verifier.vkey, url: peer.witness.url },
  ];
  const threshold = peer.quorum ?? k;
  if (typeof threshold === 'number' && (threshold < 1 || threshold > witnesses.length))
    throw peerInvalid(`${threshold} of ${witnesses.length} witnesses cannot cosign`);
  const text = renderPolicy({ log: { vkey: ownVkey }, witnesses, k: threshold });
  parsePolicy(text);
  const drafts: Draft[] = [
    {
      fact: witnessTrusted,
      payload: { name: name.data, ...peer.witness, vkey: verifier.vkey },
      stream: WITNESS_STREAM,
      actor,
    },
    {
      fact: witnessPolicySet,
      payload: { policy: text, fail: peer.fail ?? settings.fail },
      stream: WITNESS_STREAM,
      actor,
    },
  ];
  if (!known) {
    const payload = { origin: log.name, vkey: log.vkey };
    drafts.push({ fact: logTrusted, payload, stream: originStream(log.name), actor });
  }
  await journal.recordAll(drafts);
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
