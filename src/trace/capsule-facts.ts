import { z } from 'zod';
import { type Check, type Digest, failed, notChecked, passed, Problem } from '#base';
import type { Fact, Origin } from '#journal';
import {
  hashFromBase64,
  type Leaf,
  leafHash,
  opensCommitment,
  parseLeaf,
  type Policy,
  type SignedCheckpoint,
  verifyInclusion,
  verifyStreamProof,
} from '#ledger';
import { type Capsule, type CapsuleFact, mayBeUnrelated, mustBeWhole } from './capsule.ts';

/** A fact of a capsule, after its leaf was found in the log and its payload in the leaf. */
export interface ReadFact {
  leaf: Leaf;
  entry: CapsuleFact;
  /** `payload` is null when it was withheld. */
  fact: Fact;
}

const Private = z.strictObject({
  origin: z.object({ kind: z.string().max(20) }),
  payload: z.unknown(),
});

/** Every fact: leaf → root of the checkpoint, payload and salt → commitment of the leaf. The first that fails fails them all. */
export function readFacts(capsule: Capsule, checkpoint: SignedCheckpoint): Check | ReadFact[] {
  const read: ReadFact[] = [];
  for (const [index, entry] of capsule.facts.entries()) {
    const found = readFact(entry, checkpoint);
    if ('code' in found) return { ...found, detail: `entry ${index} of the capsule` };
    read.push(found as ReadFact);
  }
  const sorted = read.toSorted((left, right) => left.leaf.n - right.leaf.n);
  const twice = sorted.find(({ leaf }, index) => sorted[index + 1]?.leaf.n === leaf.n);
  return twice ? refuseFact('trace.capsule_fact_repeated', 'each fact once', `fact ${twice.leaf.n} twice`) : sorted;
}

function readFact(entry: CapsuleFact, { size, root }: SignedCheckpoint): Check | ReadFact {
  const bytes = Buffer.from(entry.leaf);
  const leaf = tryLeaf(bytes);
  if (!leaf) return refuseFact('ledger.leaf_invalid', 'the leaf of a fact', 'something else');
  const path = entry.path.map(hashFromBase64).filter((hash) => hash !== undefined);
  const whole = path.length === entry.path.length;
  if (!whole || !verifyInclusion({ index: leaf.n - 1, size, leaf: leafHash(bytes), path, root })) {
    return refuseFact('ledger.not_included', `fact ${leaf.n} at entry ${leaf.n - 1} of the log`, 'another root');
  }
  const hidden = entry.private === null || entry.salt === null;
  if (hidden !== (entry.withheld !== null) || (entry.private === null) !== (entry.salt === null)) {
    return refuseFact('trace.capsule_invalid', 'payload and salt, or why they are withheld', 'some of both');
  }
  if (hidden) return { leaf, entry, fact: factOf(leaf, null) };
  if (!opensCommitment(leaf, entry.private as string, Buffer.from(entry.salt as string, 'base64'))) {
    return refuseFact('ledger.commitment_wrong', `what fact ${leaf.n} committed to`, 'another payload, origin or salt');
  }
  const opened = Private.safeParse(tryJson(entry.private as string));
  if (!opened.success) return refuseFact('trace.capsule_invalid', `payload and origin of fact ${leaf.n}`, 'neither');
  return { leaf, entry, fact: factOf(leaf, opened.data) };
}

function factOf(leaf: Leaf, opened: z.output<typeof Private> | null): Fact {
  const at = leaf.k.lastIndexOf('@');
  return {
    number: leaf.n,
    stream: leaf.st,
    seq: leaf.sq,
    previous: leaf.pv,
    type: leaf.k.slice(0, at),
    version: Number(leaf.k.slice(at + 1)),
    at: leaf.t,
    // Where it came from is part of what was committed to; nobody who judges a chain asks for it.
    actor: { principal: leaf.a, origin: { kind: (opened?.origin.kind ?? 'system') as Origin['kind'] } },
    subject: leaf.o as Digest | null,
    payload: opened ? opened.payload : null,
  };
}

/** What is not shown cannot be judged: any payload the chain might rest on has to be there. */
export function checkDisclosed(facts: readonly ReadFact[]): Check {
  const name = 'nothing is withheld';
  const hidden = facts.filter(
    ({ entry, fact }) =>
      entry.withheld !== null && !(entry.withheld === 'unrelated' && mayBeUnrelated(fact.stream, fact.type)),
  );
  if (hidden.length === 0) return passed(name, `${facts.length} facts`);
  const listed = hidden.slice(0, 20).map(({ fact, entry }) => `${fact.type} ${fact.number} (${entry.withheld})`);
  return notChecked(
    name,
    `Withheld: ${listed.join(', ')}. Somebody with audit:read can export all that is not erased.`,
  );
}

/** The streams of the chain, each whole as of the map of streams that the log itself holds: nothing was left out. */
export function checkStreams(capsule: Capsule, facts: readonly ReadFact[], policy: Policy): Check {
  const name = 'nothing is left out';
  const streams = new Set(facts.map(({ fact }) => fact.stream).filter(mustBeWhole));
  for (const { stream } of capsule.streams) streams.add(stream);
  const heads = facts.find(({ leaf }) => leaf.n === capsule.heads);
  if (capsule.heads === null) {
    return notChecked(name, 'The server kept no map of streams, so facts may be missing at the end of a stream.');
  }
  if (!heads || heads.entry.private === null || heads.entry.salt === null) {
    return refused(name, 'trace.capsule_incomplete', `fact ${capsule.heads}, which logs the map`, 'no such fact');
  }
  for (const stream of streams) {
    const map = capsule.streams.filter((entry) => entry.stream === stream);
    if (map.length !== 1) {
      return refused(name, 'trace.capsule_incomplete', `one proof of ${stream}`, `${map.length} proofs`);
    }
    const { siblings, end } = map[0]!;
    const verdict = verifyStreamProof(
      {
        v: 1,
        kind: 'waybill.stream-proof',
        stream,
        checkpoint: capsule.ledger.checkpoint,
        heads: { ...inLog(heads), private: heads.entry.private, salt: heads.entry.salt },
        map: { siblings, end },
        leaves: facts.filter(({ fact }) => fact.stream === stream).map(inLog),
      },
      policy,
    );
    const bad = verdict.checks.find(({ status }) => status !== 'passed');
    if (bad || !verdict.ok) {
      const { code = 'trace.capsule_incomplete', expected = 'a whole stream', found = 'another' } = bad ?? {};
      return refused(name, code, `${stream}: ${expected}`, found);
    }
  }
  return passed(name, `${streams.size} streams are whole as of fact ${capsule.heads}`);
}

const inLog = ({ leaf, entry }: ReadFact) => ({ index: leaf.n - 1, leaf: entry.leaf, path: entry.path });

function refused(name: string, code: string, expected: string, found: string): Check {
  const fix = 'Export the capsule again; if it stays so, keep both as evidence.';
  return failed(name, { code, expected, found, fix });
}

const refuseFact = (code: string, expected: string, found: string) =>
  refused('facts are in the log', code, expected, found);

function tryLeaf(bytes: Buffer): Leaf | undefined {
  try {
    return parseLeaf(bytes);
  } catch (error) {
    if (Problem.is(error)) return undefined;
    throw error;
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
