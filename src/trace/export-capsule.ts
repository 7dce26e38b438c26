import { type Check, type Digest, Problem } from '#base';
import type { Fact } from '#journal';
import { hashBase64, leafHash, type SignedCheckpoint } from '#ledger';
import {
  CAPSULE_CHARS_MAX,
  CAPSULE_MEDIA_TYPE,
  Capsule,
  type CapsuleFact,
  mayBeUnrelated,
  mustBeWhole,
  summarize,
} from './capsule.ts';
import { type Trace, traceChain } from './chain.ts';
import { type ChainSources, gatherChain } from './gather.ts';
import { type LoadParts, serverSources } from './load.ts';
import type { Start } from './locate.ts';

/** May whoever asks see the payload of this fact, and where it came from? */
export type MaySee = (fact: Fact) => Promise<boolean>;

/** What was read while the chain was walked. */
interface Walked {
  trace: Trace;
  facts: Map<number, Fact>;
  streams: Map<string, number>;
  bundles: Map<Digest, Uint8Array>;
  commit: { repository: string; id: string } | null;
}

/**
 * Walks the chain as a trace does and packs all that it read. A chain that does not hold is packed as well, and its capsule
 * does not verify. `trace.capsule_too_large`, `trace.capsule_unsettled`.
 */
export async function exportCapsule(parts: LoadParts, start: Start, maySee: MaySee): Promise<Capsule> {
  const { walked, heads } = await walkSettled(parts, start);
  const { trace, facts } = walked;
  if (heads) facts.set(heads.fact, (await parts.journal.find(heads.fact))!);
  const numbers = [...facts.keys()].toSorted((left, right) => left - right);
  const checkpoint = await parts.ledger.waitForFact(numbers.at(-1)!);
  const policies = new Map([...facts.values()].flatMap(policyOf));
  const packed: Capsule = {
    v: 1,
    kind: 'waybill.capsule',
    mediaType: CAPSULE_MEDIA_TYPE,
    digest: start.digest,
    path: start.file?.path ?? null,
    publicUrl: parts.publicUrl,
    ledger: { vkey: parts.ledger.events.verifier.vkey, checkpoint: checkpoint.note },
    facts: [],
    heads: heads?.fact ?? null,
    streams: [...(heads?.maps ?? [])].map(([stream, map]) => ({ stream, ...map })),
    bundles: [...walked.bundles].map(([digest, bytes]) => ({ digest, bytes: Buffer.from(bytes).toString('base64') })),
    policies: [...policies].map(([digest, policy]) => ({ digest, policy })),
    commit: await packCommit(parts, walked.commit),
    trustedRoot: parts.attest.trustedRoot(),
    summary: summarize(trace),
  };
  const unrelated = (fact: Fact) => mayBeUnrelated(fact.stream, fact.type) && fact.number !== start.verified?.number;
  for (const number of numbers) {
    const fact = facts.get(number)!;
    const withheld = unrelated(fact) ? 'unrelated' : (await maySee(fact)) ? null : 'permission';
    packed.facts.push(await packFact(parts, number, checkpoint, withheld));
  }
  const size = JSON.stringify(packed).length;
  if (size > CAPSULE_CHARS_MAX) throw tooLarge(size);
  return packed;
}

const ATTEMPTS = 3;

/** A stream that grew while the chain was walked is walked again: the capsule has to hold all that the map counts. */
async function walkSettled(parts: LoadParts, start: Start) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const walked = await walk(parts, start);
    const heads = await parts.ledger.assurance?.heads.proveHeads([...walked.streams.keys()].toSorted());
    const settled = [...(heads?.maps ?? [])].every(
      ([stream, { end }]) => (end?.seq ?? 0) <= walked.streams.get(stream)!,
    );
    if (settled) return { walked, heads };
  }
  throw new Problem({
    code: 'trace.capsule_unsettled',
    kind: 'unavailable',
    message: 'The chain grew each time it was read.',
    hint: 'Repeat the request in a moment.',
  });
}

async function walk(parts: LoadParts, start: Start): Promise<Walked> {
  const server = serverSources(parts);
  const [facts, streams, bundles] = [new Map<number, Fact>(), new Map<string, number>(), new Map<Digest, Uint8Array>()];
  let commit: Walked['commit'] = null;
  const sources: ChainSources = {
    ...server,
    journal: {
      find: (number) => parts.journal.find(number),
      read: (query) => parts.journal.read(query),
      async byStream(stream) {
        const found = await parts.journal.byStream(stream);
        if (!mustBeWhole(stream)) return found;
        streams.set(stream, found.length);
        for (const fact of found) facts.set(fact.number, fact);
        return found;
      },
    },
    async verdictOn(number) {
      const fact = await parts.journal.find(number);
      if (fact) facts.set(number, fact);
      return await server.verdictOn(number);
    },
    async readBundle(digest) {
      const state = await server.readBundle(digest);
      if (state.bytes) bundles.set(digest, state.bytes);
      return state;
    },
    async checkRepository(repository, id): Promise<Check> {
      commit = { repository, id };
      return await server.checkRepository(repository, id);
    },
  };
  const trace = traceChain(await gatherChain(sources, start));
  return { trace, facts, streams, bundles, commit };
}

async function packFact(
  { journal, ledger }: LoadParts,
  number: number,
  { size, root }: SignedCheckpoint,
  withheld: CapsuleFact['withheld'],
): Promise<CapsuleFact> {
  const [leaf, proof] = await Promise.all([
    ledger.events.entry(number - 1),
    ledger.events.inclusionProof(number - 1, size),
  ]);
  // What the disk says now is packed even if it was altered: then the capsule shows that, and does not verify.
  const path = proof.root === root && proof.leaf === leafHash(leaf) ? proof.path.map(hashBase64) : [];
  const opened = withheld === null ? await journal.disclose(number) : undefined;
  return {
    leaf: leaf.toString(),
    private: opened?.private ?? null,
    salt: opened?.salt.toString('base64') ?? null,
    withheld: opened ? null : (withheld ?? 'erased'),
    path,
  };
}

function policyOf({ payload }: Fact): [Digest, Record<string, unknown>][] {
  const { policy, policyDigest } = (payload ?? {}) as { policy?: unknown; policyDigest?: unknown };
  if (typeof policyDigest !== 'string' || typeof policy !== 'object' || policy === null) return [];
  return [[policyDigest as Digest, policy as Record<string, unknown>]];
}

async function packCommit({ source }: LoadParts, commit: Walked['commit']): Promise<Capsule['commit']> {
  if (!commit) return null;
  try {
    const bytes = await source.commitObject(commit.repository, commit.id);
    return bytes ? { id: commit.id, bytes: bytes.toString('base64') } : null;
  } catch (error) {
    // A repository that cannot be read breaks the hop, not the capsule.
    if (Problem.is(error)) return null;
    throw error;
  }
}

const tooLarge = (size: number) =>
  new Problem({
    code: 'trace.capsule_too_large',
    kind: 'limited',
    message: `This chain would make a capsule of ${size} characters; ${CAPSULE_CHARS_MAX} are allowed.`,
    hint: 'Trace it on the server, or export its facts one by one with `waybill ledger export`.',
  });
