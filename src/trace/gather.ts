import type { Check, Digest, Verdict } from '#base';
import type { JobFinished, JobStarted, ProvenanceSigned, RunFinished, RunQueued } from '#build';
import type { Drifted, Stopped, Verified } from '#deploy';
import type { Fact, Journal } from '#journal';
import type { Promoted } from '#release';
import type { PushAccepted } from '#source';
import type {
  BundleState,
  ChainEvidence,
  CommitEvidence,
  DeploymentEvidence,
  ObjectState,
  PromotionEvidence,
  Proven,
  RunEvidence,
} from './evidence.ts';
import type { Start } from './locate.ts';
import type { Subject } from './rows.ts';

/** Where a chain is read from: the server that holds it, or a capsule on a machine that holds nothing else. */
export interface ChainSources {
  journal: Pick<Journal, 'byStream' | 'find' | 'read'>;
  tracedAt: number;
  publicUrl: string;
  trustedRoot: unknown;
  /** What the ledger says of a fact. */
  verdictOn(number: number): Promise<Verdict>;
  hashObject(digest: Digest): Promise<ObjectState>;
  readBundle(digest: Digest): Promise<BundleState>;
  checkRepository(repository: string, commit: string): Promise<Check>;
  /** Are the rows of these things what their facts make of them? Without a database there is nothing to compare. */
  compareRows(subjects: readonly Subject[]): Promise<ReadonlyMap<string, readonly Check[]>>;
}

interface PromotionFacts {
  id: string;
  all: Fact[];
  decided: Fact<Promoted>;
}

/** Fetches everything a chain is judged from. Judges nothing: what is damaged or gone is brought along as such. */
export async function gatherChain(parts: ChainSources, start: Start): Promise<ChainEvidence> {
  const { journal } = parts;
  const { publication } = start;
  const promotions = await findPromotions(parts, start);
  const run = publication ? await journal.byStream(`run/${publication.payload.run}`) : [];
  const queued = first<RunQueued>(run, 'build.run_queued');
  const pushes = queued ? await pushFacts(parts, queued.payload) : [];
  const push = pushes.find((fact) => fact.payload.push === queued?.payload.push);
  const origin = pushes.find((fact) => fact.payload.commits.some(({ id }) => id === queued?.payload.commit));
  const signer = origin?.payload.commits.find(({ id }) => id === queued?.payload.commit);
  const keyFacts = signer?.key ? await journal.byStream(`key/${streamSafe(signer.key)}`) : [];
  const personFacts = signer?.signer ? await journal.byStream(`principal/${signer.signer}`) : [];
  const target = start.verified ? await journal.byStream(start.verified.stream) : [];
  const deployment = start.verified?.payload.deployment;
  const deployed = target.filter(
    ({ payload }) => (payload as { deployment?: string } | null)?.deployment === deployment,
  );
  const rows = await parts.compareRows(
    subjectsOf({ start, deployed, promotions, run, push, keyFacts, personFacts, signer }),
  );
  const rowsOf = (...ids: (string | null | undefined)[]): Check[] => ids.flatMap((id) => rows.get(id ?? '') ?? []);
  const prove = <P>(fact: Fact<P>): Promise<Proven<P>> => proveFact(parts, fact);
  const proveOrNull = async <P>(fact: Fact<P> | undefined) => (fact ? await prove(fact) : null);
  const signedFact = run.find(({ number }) => number === publication?.payload.provenanceFact);
  const uploads = publication ? [] : await journal.byStream(`artifact/${start.digest}`);
  return {
    digest: start.digest,
    tracedAt: parts.tracedAt,
    publicUrl: parts.publicUrl,
    trustedRoot: parts.trustedRoot,
    file: start.file,
    deployment: start.verified
      ? await loadDeployment(parts, start.verified, target, deployed, rowsOf(deployment))
      : null,
    promotions: await Promise.all(promotions.map((entry) => loadPromotion(parts, entry, rowsOf(entry.id)))),
    publication: await proveOrNull(publication),
    publicationRows: rowsOf(publication?.payload.artifact),
    uploads: await Promise.all(uploads.filter((fact) => isUploadOf(fact, start.project)).map(prove)),
    object: await parts.hashObject(start.digest),
    signed: await proveOrNull(signedFact as Fact<ProvenanceSigned> | undefined),
    provenance: publication ? await parts.readBundle(publication.payload.provenance as Digest) : null,
    run: publication ? await loadRun(parts, run, rowsOf(queued?.payload.run, ...jobIds(queued))) : null,
    push: await proveOrNull(push),
    pushRows: rowsOf(push?.payload.push),
    origin: await proveOrNull(origin),
    commit: origin
      ? await loadCommit(
          parts,
          origin.payload,
          queued!.payload.commit,
          keyFacts,
          personFacts,
          rowsOf(signer?.signer, signer?.key),
        )
      : null,
  };
}

interface Loaded {
  start: Start;
  deployed: readonly Fact[];
  promotions: readonly PromotionFacts[];
  run: readonly Fact[];
  push: Fact<PushAccepted> | undefined;
  keyFacts: readonly Fact[];
  personFacts: readonly Fact[];
  signer: { signer: string | null; key: string | null } | undefined;
}

function subjectsOf(loaded: Loaded): Subject[] {
  const { start, deployed, promotions, run, push, keyFacts, personFacts, signer } = loaded;
  const queued = first<RunQueued>(run, 'build.run_queued');
  return [
    { id: start.verified?.payload.deployment ?? '', facts: deployed },
    ...promotions.map(({ id, all }) => ({ id, facts: all })),
    { id: start.publication?.payload.artifact ?? '', facts: start.publication ? [start.publication] : [] },
    { id: queued?.payload.run ?? '', facts: run },
    ...jobIds(queued).map((id) => ({ id, facts: run })),
    { id: push?.payload.push ?? '', facts: push ? [push] : [] },
    { id: signer?.key ?? '', facts: keyFacts },
    { id: signer?.signer ?? '', facts: personFacts },
  ].filter(({ id, facts }) => id !== '' && facts.length > 0);
}

const isUploadOf = ({ type, payload }: Fact, project: string) =>
  type === 'artifact.uploaded' && (payload as { project?: string } | null)?.project === project;

const jobIds = (queued: Fact<RunQueued> | undefined) => (queued?.payload.jobs ?? []).map(({ job }) => job);

const first = <P>(facts: readonly Fact[], type: string) =>
  facts.find((fact) => fact.type === type) as Fact<P> | undefined;
const every = <P>(facts: readonly Fact[], type: string) => facts.filter((fact) => fact.type === type) as Fact<P>[];

async function proveFact<P>(parts: ChainSources, fact: Fact<P>): Promise<Proven<P>> {
  return { fact, ledger: await parts.verdictOn(fact.number) };
}

/** The promotion the deployment names (or the furthest one), and before it the newest of each earlier environment. */
async function findPromotions(
  { journal }: ChainSources,
  { digest, project, verified, publication }: Start,
): Promise<PromotionFacts[]> {
  const facts = (await journal.read({
    subject: digest,
    types: ['release.promoted'],
    newestFirst: true,
    limit: 1000,
  })) as Fact<Promoted>[];
  const candidates: { fact: Fact<Promoted>; position: number }[] = [];
  for (const fact of facts) {
    if (fact.payload.project !== project) continue;
    if (publication && fact.payload.artifact !== publication.payload.artifact) continue;
    const [created] = await journal.byStream(`environment/${fact.payload.environment}`);
    candidates.push({ fact, position: (created?.payload as { position?: number } | undefined)?.position ?? 0 });
  }
  const furthest = Math.max(0, ...candidates.map(({ position }) => position));
  let last = verified
    ? candidates.find(({ fact }) => fact.payload.promotion === verified.payload.promotion)
    : candidates.find(({ position }) => position === furthest);
  const chain: PromotionFacts[] = [];
  while (last) {
    const { fact, position } = last;
    const { promotion: id } = fact.payload;
    chain.push({ id, decided: fact, all: await journal.byStream(`promotion/${id}`) });
    const earlier = candidates.filter((entry) => entry.position < position && entry.fact.number < fact.number);
    const next = Math.max(0, ...earlier.map((entry) => entry.position));
    last = earlier.find((entry) => entry.position === next);
  }
  return chain;
}

async function loadPromotion(
  parts: ChainSources,
  { all, decided }: PromotionFacts,
  rows: readonly Check[],
): Promise<PromotionEvidence> {
  const requested = first<{ promotion: string; digest: string; artifact: string }>(all, 'release.promotion_requested');
  const approvals = every<{ promotion: string; digest: string }>(all, 'release.promotion_approved');
  return {
    requested: requested ? await proveFact(parts, requested) : null,
    approvals: await Promise.all(approvals.map((fact) => proveFact(parts, fact))),
    decided: await proveFact(parts, decided),
    summary: await parts.readBundle(decided.payload.summary as Digest),
    stream: all,
    rows,
  };
}

async function loadDeployment(
  parts: ChainSources,
  verified: Fact<Verified>,
  target: readonly Fact[],
  deployed: readonly Fact[],
  rows: readonly Check[],
): Promise<DeploymentEvidence> {
  const later = deployed.filter(({ number }) => number !== verified.number) as Fact<Drifted | Stopped>[];
  type Created = NonNullable<DeploymentEvidence['target']>['fact']['payload'];
  const created = first<Created>(target, 'deploy.target_created');
  return {
    verified: await proveFact(parts, verified),
    later: await Promise.all(later.map((fact) => proveFact(parts, fact))),
    target: created ? await proveFact(parts, created) : null,
    rows,
  };
}

async function loadRun(parts: ChainSources, facts: readonly Fact[], rows: readonly Check[]): Promise<RunEvidence> {
  const prove = <P>(fact: Fact<P>) => proveFact(parts, fact);
  const queued = first<RunQueued>(facts, 'build.run_queued');
  const finished = first<RunFinished>(facts, 'build.run_finished');
  return {
    queued: queued ? await prove(queued) : null,
    started: await Promise.all(every<JobStarted>(facts, 'build.job_started').map(prove)),
    finishedJobs: await Promise.all(every<JobFinished>(facts, 'build.job_finished').map(prove)),
    finished: finished ? await prove(finished) : null,
    stream: facts,
    rows,
  };
}

/** The push of the run, and if the commit came with an earlier one, that one too. */
async function pushFacts({ journal }: ChainSources, queued: RunQueued): Promise<Fact<PushAccepted>[]> {
  const direct = (await journal.find(queued.pushFact)) as Fact<PushAccepted> | undefined;
  const found = direct?.type === 'source.push_accepted' ? [direct] : [];
  if (found[0]?.payload.commits.some(({ id }) => id === queued.commit)) return found;
  const all = await journal.byStream(`repository/${queued.repository}`);
  const earlier = every<PushAccepted>(all, 'source.push_accepted').find(({ payload }) =>
    payload.commits.some(({ id }) => id === queued.commit),
  );
  return earlier ? [...found, earlier] : found;
}

async function loadCommit(
  parts: ChainSources,
  push: PushAccepted,
  commit: string,
  keyFacts: readonly Fact[],
  personFacts: readonly Fact[],
  rows: readonly Check[],
): Promise<CommitEvidence> {
  const prove = <P>(fact: Fact<P>) => proveFact(parts, fact);
  type Key = NonNullable<CommitEvidence['enrolled']>['fact']['payload'];
  type Person = NonNullable<CommitEvidence['person']>['fact']['payload'];
  const enrolled = first<Key>(keyFacts, 'identity.key_enrolled');
  const revoked = first(keyFacts, 'identity.key_revoked');
  const person = first<Person>(personFacts, 'identity.principal_created');
  return {
    enrolled: enrolled ? await prove(enrolled) : null,
    revoked: revoked ? await prove(revoked) : null,
    person: person ? await prove(person) : null,
    rows,
    repository: await parts.checkRepository(push.repository, commit),
  };
}

/** A fingerprint as the name of its stream spells it. */
const streamSafe = (fingerprint: string) => fingerprint.replaceAll('+', '-').replaceAll('/', '_');
