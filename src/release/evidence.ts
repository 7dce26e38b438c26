import { type ArtifactRecord, provenanceSan, type Published, readRun, type RunRecord } from '#artifact';
import { type Attest, subjectDigests, verifyBundle } from '#attest';
import { type Clock, type Digest, failed, Problem, type Verdict, verdictOf } from '#base';
import type { Fact, Journal } from '#journal';
import type { Ledger } from '#ledger';
import { type Evidence, type PreviousStep, predicateTypes, type VerifiedAttestation } from '#policy';
import { identities, resourceUri } from './environment.ts';
import type { EnvironmentCreated, PolicyChanged, PromotionApproved, PromotionRequested } from './facts.ts';

export interface EvidenceSources {
  journal: Journal;
  ledger: Pick<Ledger, 'verifyFact'>;
  attest: Pick<Attest, 'bundlesFor' | 'requireBundle' | 'trustedRoot'>;
  clock: Clock;
  publicUrl: string;
}

/** The policy an environment has now, as its facts say. */
export interface CurrentPolicy {
  fact: number;
  id: string;
  name: string;
  position: number;
  policy: EnvironmentCreated['policy'];
  digest: Digest;
  version: number;
}

/** What the journal says of one promotion, oldest first. */
export interface PromotionRecord {
  requested: Fact<PromotionRequested>;
  approvals: Fact<PromotionApproved>[];
  decided: Fact | undefined;
  length: number;
}

export function readPromotion(facts: readonly Fact[]): PromotionRecord | undefined {
  const requested = facts.find(({ type }) => type === 'release.promotion_requested');
  if (!requested) return undefined;
  return {
    requested: requested as Fact<PromotionRequested>,
    approvals: facts.filter(({ type }) => type === 'release.promotion_approved') as Fact<PromotionApproved>[],
    decided: facts.find(({ type }) => type === 'release.promoted' || type === 'release.promotion_refused'),
    length: facts.length,
  };
}

/**
 * Gathers what a decision looks at, from facts and bundles and never from rows: whoever edits a row changes no decision. A fact
 * the ledger does not vouch for is left out, so that whatever needs it is refused.
 */
export async function loadEvidence(
  sources: EvidenceSources,
  { requested, approvals }: PromotionRecord,
  projectSlug: string,
  environments: readonly CurrentPolicy[],
): Promise<Evidence> {
  const { journal, ledger, clock, publicUrl } = sources;
  const { artifact, digest, name, version } = requested.payload;
  const publication = await findPublication(journal, digest as Digest, artifact);
  const vouched = async (fact: Fact | undefined) => fact !== undefined && (await verdictOn(ledger, fact.number)).ok;
  const run = publication && (await readVouchedRun(sources, publication));
  const counted: Fact<PromotionApproved>[] = [];
  for (const approval of approvals) if (await vouched(approval)) counted.push(approval);
  return {
    now: clock.now(),
    artifact: { digest: digest as Digest, name, version, repositoryKind: publication ? 'release' : 'playground' },
    publication: publication ? { fact: publication.number, ledger: await verdictOn(ledger, publication.number) } : null,
    run: run?.finished ? { id: run.queued.run, result: run.finished.result, commit: run.queued.commit } : null,
    attestations: publication && run ? await loadAttestations(sources, publication.payload, run) : [],
    requester: requested.actor.principal,
    author: run ? await authorOf(journal, run) : null,
    approvals: counted.map(({ actor, payload }) => ({ principal: actor.principal, kind: payload.approverKind })),
    previous: environments.map((environment): PreviousStep => ({
      environment: environment.name,
      resourceUri: resourceUri(publicUrl, projectSlug, environment.name, name),
      policyDigest: environment.digest,
    })),
  };
}

/** The fact that put the record into the release repository; a playground record has none. */
export async function findPublication(
  journal: Journal,
  digest: Digest,
  artifact: ArtifactRecord['id'],
): Promise<Fact<Published> | undefined> {
  const facts = await journal.byStream(`artifact/${digest}`);
  return facts.find(
    (fact) => fact.type === 'artifact.published' && (fact.payload as Published).artifact === artifact,
  ) as Fact<Published> | undefined;
}

async function readVouchedRun(
  { journal, ledger }: EvidenceSources,
  publication: Fact<Published>,
): Promise<RunRecord | undefined> {
  const facts = await journal.byStream(`run/${publication.payload.run}`);
  const used = facts.filter(({ type }) => type === 'build.run_queued' || type === 'build.run_finished');
  for (const fact of used) if (!(await verdictOn(ledger, fact.number)).ok) return undefined;
  return readRun(facts, publication.payload.provenanceFact);
}

/** As `readVouchedRun` without the ledger's word: good enough to refuse with, never to allow. */
export async function requireRun(journal: Journal, digest: Digest, artifact: string): Promise<RunRecord | undefined> {
  const publication = await findPublication(journal, digest, artifact);
  if (!publication) return undefined;
  return readRun(await journal.byStream(`run/${publication.payload.run}`), publication.payload.provenanceFact);
}

interface PushedCommits {
  commits: readonly { id: string; signer: string | null }[];
}

/** Who signed the commit that was built, as the push that brought it says. */
export async function authorOf(journal: Journal, run: RunRecord): Promise<string | null> {
  const { repository, commit, pushFact } = run.queued;
  const signerIn = (fact: Fact | undefined) =>
    fact?.type === 'source.push_accepted'
      ? (fact.payload as PushedCommits).commits.find(({ id }) => id === commit)?.signer
      : undefined;
  const direct = signerIn(await journal.find(pushFact));
  if (direct) return direct;
  // The push only moved a ref to a commit that an earlier one had brought.
  for (const fact of await journal.byStream(`repository/${repository}`)) {
    const signer = signerIn(fact);
    if (signer) return signer;
  }
  return null;
}

/** The provenance this very record was published with, and every verification summary about the bytes. */
async function loadAttestations(
  sources: EvidenceSources,
  published: Published,
  run: RunRecord,
): Promise<VerifiedAttestation[]> {
  const { attest, publicUrl } = sources;
  const { verifier } = identities(publicUrl);
  const digest = published.digest as Digest;
  const known = await bundlesOrProblem(attest, digest);
  const summaries = Problem.is(known)
    ? []
    : known.filter((row) => row.predicateType === predicateTypes.verificationSummary);
  return [
    await loadAttestation(sources, {
      bundle: published.provenance as Digest,
      predicateType: predicateTypes.provenance,
      san: provenanceSan(publicUrl, run),
      digest,
    }),
    ...(await Promise.all(
      summaries.map(({ bundle, predicateType }) =>
        loadAttestation(sources, { bundle, predicateType, san: verifier, digest }),
      ),
    )),
  ];
}

/** What cannot be listed counts as not there: whoever needs it is refused, and everybody else's promotions go on. */
async function bundlesOrProblem(attest: EvidenceSources['attest'], digest: Digest) {
  try {
    return await attest.bundlesFor(digest);
  } catch (error) {
    if (Problem.is(error)) return error;
    throw error;
  }
}

interface ExpectedBundle {
  bundle: Digest;
  predicateType: string;
  san: string;
  digest: Digest;
}

/** Reads and verifies one bundle; one that is gone, damaged or signed by somebody else comes with a verdict that says no. */
export async function loadAttestation(
  { attest, publicUrl }: Pick<EvidenceSources, 'attest' | 'publicUrl'>,
  { bundle, predicateType, san, digest }: ExpectedBundle,
): Promise<VerifiedAttestation> {
  const { issuer } = identities(publicUrl);
  const base = { bundle, predicateType, signer: { issuer, san } };
  let bytes: Buffer;
  try {
    ({ bytes } = await attest.requireBundle(bundle));
  } catch (error) {
    if (!Problem.is(error)) throw error;
    const verdict = verdictOf([failed('bundle is there', { code: error.code, found: error.message })]);
    return { ...base, verdict, subjects: [digest], predicate: null };
  }
  const result = verifyBundle({
    bundle: bytes,
    trustedRoot: attest.trustedRoot(),
    expect: { issuer, san, predicateType },
    artifact: digest,
  });
  return {
    ...base,
    verdict: { ok: result.ok, checks: result.checks },
    subjects: result.statement ? subjectDigests(result.statement) : [digest],
    predicate: result.statement?.predicate ?? null,
  };
}

/** An unreachable or damaged ledger is a no, with its reason. */
export async function verdictOn(ledger: Pick<Ledger, 'verifyFact'>, fact: number): Promise<Verdict> {
  try {
    return await ledger.verifyFact(fact);
  } catch (error) {
    if (Problem.is(error)) return verdictOf([failed('ledger', { code: error.code, found: error.message })]);
    throw error;
  }
}

/** The environment's policy from its facts, or undefined if the ledger does not vouch for the newest one. */
export async function readPolicy(
  { journal, ledger }: Pick<EvidenceSources, 'journal' | 'ledger'>,
  environment: string,
): Promise<CurrentPolicy | undefined> {
  const facts = await journal.byStream(`environment/${environment}`);
  const created = facts[0] as Fact<EnvironmentCreated> | undefined;
  const newest = facts.at(-1) as Fact<EnvironmentCreated | PolicyChanged> | undefined;
  if (!created || !newest || !(await verdictOn(ledger, newest.number)).ok) return undefined;
  const { policy, policyDigest: digest } = newest.payload;
  return {
    fact: newest.number,
    id: environment,
    name: created.payload.name,
    position: created.payload.position,
    policy,
    digest: digest as Digest,
    version: 'policyVersion' in newest.payload ? newest.payload.policyVersion : 1,
  };
}
