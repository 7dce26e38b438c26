import { hash } from 'node:crypto';
import type { Published } from '#artifact';
import { parseTrustedRoot, type TrustedRootJson } from '#attest';
import {
  canonicalJson,
  type Check,
  type Digest,
  digestOf,
  failed,
  firstRefusal,
  notChecked,
  passed,
  Problem,
  type Verdict,
  verdictOf,
} from '#base';
import type { Verified } from '#deploy';
import type { Fact, Journal } from '#journal';
import { judgeCheckpoint, parsePolicy, type Policy, renderPolicy } from '#ledger';
import { type Capsule, parseCapsule, summarize } from './capsule.ts';
import { checkDisclosed, checkStreams, readFacts, type ReadFact } from './capsule-facts.ts';
import { type Trace, traceChain } from './chain.ts';
import type { ChainEvidence } from './evidence.ts';
import { type ChainSources, gatherChain } from './gather.ts';
import type { Start } from './locate.ts';

/** What the auditor brings along. Whatever is missing is not checked, and the verdict is no. */
export interface CapsuleTrust {
  /** Whose ledger is believed: his key, perhaps with witnesses (`policyOfKey`, `parsePolicy`). */
  policy?: Policy;
  trustedRoot?: unknown;
  /** What the artifact in his hands hashes to. */
  artifact?: Digest;
  /** For what was not brought along, believe the capsule's own; the verdict then says that it is not pinned. */
  believeCapsule?: boolean;
}

export interface CapsuleVerdict extends Verdict {
  digest?: Digest;
  /** Was it the auditor's own? */
  pinned: { ledger: boolean; trustedRoot: boolean };
  /** The chain, judged by what a server judges it by. Only when there was something to judge. */
  trace?: Trace;
}

/** A policy that believes one log and asks for no witness; `Problem ledger.policy_invalid` if that is not a key. */
export const policyOfKey = (vkey: string): Policy =>
  parsePolicy(renderPolicy({ log: { vkey }, witnesses: [], k: 'any' }));

/**
 * Verifies a capsule with nothing but what it is given: no server, no network, no clock.
 * Every fact is found in the log, every payload in its fact, every stream whole; then the chain is judged as `waybill trace`
 * judges it, except that there is no database whose rows could be compared.
 */
export async function verifyCapsule(text: string, trust: CapsuleTrust): Promise<CapsuleVerdict> {
  const pinned = { ledger: trust.policy !== undefined, trustedRoot: trust.trustedRoot !== undefined };
  const capsule = tryRead(() => parseCapsule(text));
  if ('status' in capsule) return { ...verdictOf([{ ...capsule, name: 'capsule' }]), pinned };
  const digest = capsule.digest as Digest;
  const checks: Check[] = [passed('capsule', `of ${digest}`), checkArtifact(digest, trust.artifact)];
  const end = (...more: Check[]) => ({ ...verdictOf([...checks, ...more]), digest, pinned });

  const policy = choosePolicy(capsule, trust);
  if ('status' in policy) return end(policy);
  const root = chooseRoot(capsule, trust);
  if ('status' in root) return end(root);
  checks.push(policy.check, root.check, checkServer(capsule, root.json));
  const { checkpoint, verdict } = judgeCheckpoint(capsule.ledger.checkpoint, policy.policy);
  checks.push(...verdict.checks);
  if (!checkpoint || !verdict.ok) return end(notChecked('facts are in the log', 'There is no checkpoint to believe.'));
  const facts = readFacts(capsule, checkpoint);
  if ('status' in facts) return end(facts);
  checks.push(passed('facts are in the log', `${facts.length} facts in the first ${checkpoint.size} entries`));
  checks.push(checkDisclosed(facts), checkStreams(capsule, facts, policy.policy), checkBundles(capsule));
  if (!verdictOf(checks).ok) return end(notChecked('chain', 'What it rests on is not proven.'));

  const judged = await judge(capsule, facts, root.json);
  if ('status' in judged) return end(judged);
  const { trace, evidence } = judged;
  checks.push(checkPolicies(capsule, evidence), ...trace.hops.map(hopCheck), checkSummary(capsule, trace));
  return { ...end(), trace };
}

function checkArtifact(digest: Digest, artifact: Digest | undefined): Check {
  const name = 'artifact';
  if (artifact === undefined) return notChecked(name, 'Give the artifact, or the digest that you found it to have.');
  if (artifact === digest) return passed(name, artifact);
  return failed(name, {
    code: 'trace.capsule_other_artifact',
    expected: digest,
    found: artifact,
    fix: 'This capsule is about other bytes than yours.',
  });
}

function choosePolicy(
  capsule: Capsule,
  { policy, believeCapsule }: CapsuleTrust,
): Check | { policy: Policy; check: Check } {
  const name = 'ledger key';
  const { vkey } = capsule.ledger;
  if (policy) {
    const known = policy.logs.some(({ verifier }) => verifier.vkey === vkey);
    const notes = { expected: policy.logs.map(({ verifier }) => verifier.vkey).join(' or '), found: vkey };
    if (!known) return failed(name, { code: 'trace.capsule_other_ledger', ...notes });
    return { policy, check: passed(name, 'pinned: your own') };
  }
  if (!believeCapsule) return notChecked(name, 'Give the key of the ledger (vkey) that you pinned.');
  const own = tryRead(() => policyOfKey(vkey));
  return 'status' in own ? { ...own, name } : { policy: own, check: passed(name, 'NOT PINNED: the capsule’s own') };
}

function chooseRoot(
  capsule: Capsule,
  { trustedRoot, believeCapsule }: CapsuleTrust,
): Check | { json: unknown; check: Check } {
  const name = 'trusted root';
  if (trustedRoot === undefined && !believeCapsule) {
    return notChecked(name, 'Give the trusted_root.json that you pinned.');
  }
  const read = tryRead(() => parseTrustedRoot(trustedRoot ?? capsule.trustedRoot));
  if ('status' in read) return { ...read, name };
  const detail = trustedRoot === undefined ? 'NOT PINNED: the capsule’s own' : 'pinned: your own';
  return { json: read.json, check: passed(name, detail) };
}

/** Names of signers are made from the server's address, so the address has to be one that the trusted root knows. */
function checkServer({ publicUrl }: Capsule, root: unknown): Check {
  const known = (root as TrustedRootJson).certificateAuthorities.map(({ uri }) => uri);
  if (known.includes(publicUrl)) return passed('server', publicUrl);
  const expected = known.join(' or ') || 'an address in the trusted root';
  return failed('server', { code: 'trace.capsule_other_server', expected, found: publicUrl });
}

function checkBundles({ bundles, policies }: Capsule): Check {
  const name = 'bundles and policies hash to their names';
  const hashed = [
    ...bundles.map(({ digest, bytes }) => [digest, digestOf(Buffer.from(bytes, 'base64'))] as const),
    ...policies.map(({ digest, policy }) => [digest, digestOf(canonicalJson(policy))] as const),
  ];
  const wrong = hashed.find(([digest, found]) => digest !== found);
  if (!wrong) return passed(name, `${bundles.length} bundles, ${policies.length} policies`);
  return failed(name, { code: 'trace.object_altered', expected: wrong[0], found: wrong[1] });
}

/** Every summary says by which policy it was made: that policy has to be here, to be read. */
function checkPolicies({ policies }: Capsule, { promotions }: ChainEvidence): Check {
  const name = 'policies are here';
  const wanted = promotions.map(({ decided }) => decided.fact.payload.policyDigest);
  const missing = wanted.find((digest) => !policies.some((entry) => entry.digest === digest));
  if (missing === undefined) return passed(name, `${new Set(wanted).size} policies`);
  return failed(name, { code: 'trace.capsule_incomplete', expected: missing, found: 'no such policy' });
}

function checkSummary({ summary }: Capsule, trace: Trace): Check {
  const name = 'summary';
  const [expected, found] = [summarize(trace), summary].map(canonicalJson) as [string, string];
  if (expected === found) return passed(name, 'what the server said is what comes out');
  return failed(name, {
    code: 'trace.capsule_summary_wrong',
    expected: expected.slice(0, 2000),
    found: found.slice(0, 2000),
  });
}

function hopCheck({ kind, id, title, ok, checks }: Trace['hops'][number]): Check {
  const name = `hop: ${kind}`;
  if (ok) return passed(name, title);
  const refusal = firstRefusal({ ok, checks });
  if (!refusal || refusal.status === 'not_checked') return notChecked(name, refusal?.detail ?? id);
  const { code = 'trace.link_broken', expected = 'a whole hop', found = 'a broken one', detail } = refusal;
  return failed(name, { code, expected, found, detail: [refusal.name, detail, id].filter(Boolean).join('; ') });
}

async function judge(
  capsule: Capsule,
  facts: readonly ReadFact[],
  trustedRoot: unknown,
): Promise<Check | { trace: Trace; evidence: ChainEvidence }> {
  try {
    const start = startOf(capsule, facts);
    const evidence = await gatherChain(capsuleSources(capsule, facts, trustedRoot), start);
    return { trace: traceChain(evidence), evidence };
  } catch (error) {
    // The facts are in the log, but what is in them is not what a Waybill records: nothing can be said of them but no.
    const found = error instanceof Error ? error.message : 'something else';
    return failed('chain', { code: 'trace.capsule_invalid', expected: 'facts as Waybill records them', found });
  }
}

function startOf({ digest, path }: Capsule, facts: readonly ReadFact[]): Start {
  const newest = <P extends { digest: string }>(type: string, isIt: (payload: P) => boolean) =>
    facts.findLast(({ fact }) => {
      const payload = fact.payload as P | null;
      return fact.type === type && payload?.digest === digest && isIt(payload);
    })?.fact as Fact<P> | undefined;
  const publication = newest<Published>('artifact.published', () => true);
  const verified = newest<Verified>(
    'deploy.verified',
    (payload) =>
      (path === null || payload.path === path) && (!publication || payload.artifact === publication.payload.artifact),
  );
  // A file was measured by whoever asked; here the artifact itself is what the auditor measured.
  const upload = facts.find(({ fact }) => fact.type === 'artifact.uploaded')?.fact as Fact<Published> | undefined;
  const project = (publication ?? verified ?? upload)?.payload.project ?? '';
  return {
    digest: digest as Digest,
    project,
    file: path === null ? null : { path, digest: null },
    verified,
    publication,
  };
}

/** A capsule as the place a chain is read from. Every fact it gives was found in the log before. */
function capsuleSources(capsule: Capsule, read: readonly ReadFact[], trustedRoot: unknown): ChainSources {
  const facts = read.map(({ fact }) => fact);
  const inLog = verdictOf([passed('ledger.inclusion'), passed('ledger.payload')]);
  const journal: Pick<Journal, 'byStream' | 'find' | 'read'> = {
    byStream: async (stream) => facts.filter((fact) => fact.stream === stream),
    find: async (number) => facts.find((fact) => fact.number === number),
    read: async ({ subject, types }) =>
      facts
        .filter((fact) => (subject === undefined || fact.subject === subject) && (types?.includes(fact.type) ?? true))
        .toReversed(),
  };
  return {
    journal,
    tracedAt: facts.at(-1)!.at,
    publicUrl: capsule.publicUrl,
    trustedRoot,
    verdictOn: async () => inLog,
    // The auditor's artifact hashes to the digest of the capsule, or nothing would be judged.
    hashObject: async (digest) => ({ digest, found: digest === capsule.digest ? digest : null }),
    async readBundle(digest) {
      const found = capsule.bundles.find((bundle) => bundle.digest === digest);
      const bytes = found ? Buffer.from(found.bytes, 'base64') : null;
      return { digest, found: bytes && digestOf(bytes), bytes };
    },
    checkRepository: async (_repository, commit) => checkCommit(capsule, commit),
    compareRows: async () => new Map(),
  };
}

function checkCommit({ commit: found }: Capsule, commit: string): Check {
  const name = 'commit hashes to its id';
  if (!found)
    return failed(name, { code: 'trace.commit_missing', expected: commit, found: 'no commit in the capsule' });
  const bytes = Buffer.from(found.bytes, 'base64');
  const object = Buffer.concat([Buffer.from(`commit ${bytes.length}\0`), bytes]);
  const id = hash(commit.length === 64 ? 'sha256' : 'sha1', object);
  if (id === commit && found.id === commit) return passed(name, commit);
  return failed(name, { code: 'trace.commit_altered', expected: commit, found: id === commit ? found.id : id });
}

function tryRead<T extends object>(read: () => T): T | Check {
  try {
    return read();
  } catch (error) {
    if (!Problem.is(error)) throw error;
    const found = JSON.stringify(error.details ?? {}).slice(0, 1000);
    return failed('', { code: error.code, expected: error.message, found, fix: error.hint });
  }
}
