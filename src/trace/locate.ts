import { type Artifacts, parseNameAtVersion, type Published } from '#artifact';
import { type Digest, Problem } from '#base';
import type { Deployments, Drifted, Verified } from '#deploy';
import type { Fact, Journal } from '#journal';
import type { FileEvidence } from './evidence.ts';

export interface TraceQuery {
  digest?: Digest | undefined;
  /** `name@version`. */
  name?: string | undefined;
  /** Of a file on a host, as its agent reported it. */
  path?: string | undefined;
}

/** Where a trace begins. */
export interface Start {
  digest: Digest;
  /** Whose history it is; nothing of another project's is shown, whatever bytes they share. */
  project: string;
  file: FileEvidence | null;
  verified: Fact<Verified> | undefined;
  publication: Fact<Published> | undefined;
}

export type MayRead = (project: string) => Promise<boolean>;

export interface LocateParts {
  journal: Journal;
  artifacts: Artifacts;
  deployments: Deployments;
}

/** How far back a fact is looked for when the row that should lead to it does not. */
const FACTS_SEARCHED_MAX = 100_000;
const PAGE = 1000;

/**
 * Finds what is meant. Rows only point the way: whatever they lead to is checked against the fact, and if it is not what was
 * asked for the facts themselves are searched, so that an edited row hides nothing. What the caller may not read is passed over:
 * it neither shows nor hides anything.
 */
export async function locate(parts: LocateParts, query: TraceQuery, mayRead: MayRead): Promise<Start> {
  if (query.path !== undefined) return await locatePath(parts, query.path, query.digest, mayRead);
  if (query.name !== undefined) return await locateName(parts, query.name, mayRead);
  if (query.digest !== undefined) return await locateDigest(parts, query.digest, mayRead);
  throw new Problem({
    code: 'trace.nothing_asked',
    kind: 'invalid',
    message: 'Say what to trace.',
    hint: 'Give a digest, a name@version, or the path of a deployed file.',
  });
}

async function locatePath(
  parts: LocateParts,
  path: string,
  digest: Digest | undefined,
  mayRead: MayRead,
): Promise<Start> {
  const [row] = await parts.deployments.findDeployments({ path, limit: 1 });
  const direct = row && ((await parts.journal.find(row.fact)) as Fact<Verified> | undefined);
  const isIt = async ({ payload }: Fact<Verified>) => payload.path === path && (await mayRead(payload.project));
  const verified =
    direct?.type === 'deploy.verified' && (await isIt(direct))
      ? direct
      : await searchFacts<Verified>(parts.journal, 'deploy.verified', isIt);
  const file = { path, digest: digest ?? null };
  if (verified) return await fromDeployment(parts, verified, file);
  // Nobody deployed it, but the bytes may be known.
  if (digest !== undefined) return { ...(await locateDigest(parts, digest, mayRead)), file, verified: undefined };
  throw notFound(path);
}

async function locateName(parts: LocateParts, text: string, mayRead: MayRead): Promise<Start> {
  const { name, version } = parseNameAtVersion(text);
  const isIt = async ({ payload }: Fact<Published>) =>
    payload.name === name && payload.version === version && (await mayRead(payload.project));
  const rows = await parts.artifacts.findRecords({ name, version, limit: 50 });
  for (const { fact: number, kind } of rows) {
    const fact = kind === 'release' ? ((await parts.journal.find(number)) as Fact<Published> | undefined) : undefined;
    if (fact?.type === 'artifact.published' && (await isIt(fact))) return await fromPublication(parts, fact);
  }
  const found = await searchFacts<Published>(parts.journal, 'artifact.published', isIt);
  if (found) return await fromPublication(parts, found);
  for (const { digest, project } of rows) {
    if (await mayRead(project)) return { digest, project, file: null, verified: undefined, publication: undefined };
  }
  throw notFound(text);
}

async function locateDigest(parts: LocateParts, digest: Digest, mayRead: MayRead): Promise<Start> {
  const about = async (type: string) => {
    const query = { subject: digest, types: [type], newestFirst: true, limit: PAGE };
    for (const fact of (await parts.journal.read(query)) as Fact<Published>[]) {
      if (fact.payload !== null && (await mayRead(fact.payload.project))) return fact;
    }
    return undefined;
  };
  const publication = await about('artifact.published');
  if (publication) return await fromPublication(parts, publication);
  const upload = await about('artifact.uploaded');
  if (upload) {
    return { digest, project: upload.payload.project, file: null, verified: undefined, publication: undefined };
  }
  // Bytes nobody published: perhaps what a deployed file was turned into.
  const drift = await searchFacts<Drifted>(
    parts.journal,
    'deploy.drifted',
    async ({ payload }) => payload.found === digest && (await mayRead(payload.project)),
  );
  const verified =
    drift &&
    (await searchFacts<Verified>(
      parts.journal,
      'deploy.verified',
      async ({ payload }) => payload.deployment === drift.payload.deployment,
    ));
  if (verified) return await fromDeployment(parts, verified, { path: verified.payload.path, digest });
  throw notFound(digest);
}

async function fromPublication({ journal }: LocateParts, publication: Fact<Published>): Promise<Start> {
  const digest = publication.payload.digest as Digest;
  const reports = (await journal.read({
    subject: digest,
    types: ['deploy.verified'],
    newestFirst: true,
    limit: PAGE,
  })) as Fact<Verified>[];
  const verified = reports.find(({ payload }) => payload.artifact === publication.payload.artifact);
  return { digest, project: publication.payload.project, file: null, verified, publication };
}

async function fromDeployment({ journal }: LocateParts, verified: Fact<Verified>, file: FileEvidence): Promise<Start> {
  const digest = verified.payload.digest as Digest;
  const facts = await journal.byStream(`artifact/${digest}`);
  const publication = facts.find(
    (fact) => fact.type === 'artifact.published' && (fact.payload as Published).artifact === verified.payload.artifact,
  ) as Fact<Published> | undefined;
  return { digest, project: verified.payload.project, file, verified, publication };
}

async function searchFacts<P>(
  journal: Journal,
  type: string,
  isIt: (fact: Fact<P>) => Promise<boolean>,
): Promise<Fact<P> | undefined> {
  let before: number | undefined;
  for (let searched = 0; searched < FACTS_SEARCHED_MAX; searched += PAGE) {
    const page = (await journal.read({
      types: [type],
      newestFirst: true,
      limit: PAGE,
      ...(before === undefined ? {} : { before }),
    })) as Fact<P>[];
    for (const fact of page) if (fact.payload !== null && (await isIt(fact))) return fact;
    if (page.length < PAGE) return undefined;
    before = page.at(-1)!.number;
  }
  return undefined;
}

const notFound = (what: string) =>
  new Problem({
    code: 'trace.not_found',
    kind: 'not_found',
    message: `Nothing here was ever called or hashed to ${what.slice(0, 120)}, or you may not see it.`,
    hint: 'These bytes did not come from this installation, or the name is misspelled.',
  });
