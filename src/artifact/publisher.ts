import { type Attest, BUNDLE_BYTES_MAX, verifyBundle } from '#attest';
import { type Check, type Digest, failed, faultPoint, firstRefusal, passed, Problem, verdictOf } from '#base';
import { type Draft, type Fact, type Follower, type Journal, systemActor } from '#journal';
import { predicateTypes } from '#policy';
import type { Db, Objects } from '#storage';
import { published, publicationRefused, type Published } from './facts.ts';
import { pathKey } from './path.ts';
import { versionIsImmutable } from './problems.ts';
import { checkRun, provenanceSan, publicationOf, readRun, type RunRecord } from './publication.ts';
import { findRecord, recordAtPath } from './store.ts';

export interface PublisherOptions {
  db: Db;
  journal: Journal;
  objects: Objects;
  attest: Pick<Attest, 'trustedRoot'>;
  publicUrl: string;
  /** A drill switches one off to show what it is for: then outputs are published without looking at their provenance or result. */
  controls?: { verifyProvenance?: boolean; successOnly?: boolean };
  onError?: (error: unknown, fact: Fact) => void;
}

const actor = systemActor('artifact.publisher');

/**
 * Follows `build.provenance_signed` and publishes what it vouches for: every output of the run, or none of them.
 * Trusts no fact alone: the run must have succeeded, the bundle must verify offline under the run's own identity and name the
 * digest, and the bytes in the store are hashed again. Whatever does not hold is recorded as refused.
 */
export function startPublisher(options: PublisherOptions): Follower {
  const { journal } = options;
  return journal.follow({
    name: 'artifact.publisher',
    types: ['build.provenance_signed'],
    handle: (fact) => publishOutputs(options, fact),
    ...(options.onError ? { onError: options.onError } : {}),
  });
}

/** Idempotent: what is published already stays as it is. */
export async function publishOutputs(options: PublisherOptions, fact: Fact): Promise<void> {
  const { journal, db } = options;
  const run = readRun(await journal.byStream(fact.stream), fact.number);
  if (!run) throw new TypeError(`artifact: fact ${fact.number} does not stand in the stream of a run`);
  const refusals = await journal.byStream(`publication/${run.queued.run}`);
  if (refusals.some((refusal) => (refusal.payload as { provenanceFact: number }).provenanceFact === fact.number))
    return;

  const general = firstRefusal(verdictOf(checkRun(run)));
  if (general && options.controls?.successOnly !== false) return await refuse(journal, run, null, general);
  const drafts: Draft[] = [];
  const made: Published[] = [];
  for (const output of run.finished!.outputs) {
    const { publication, refusal } = await examine(options, run, output);
    if (refusal) return await refuse(journal, run, output, refusal);
    if (made.some((other) => keyOf(other) === keyOf(publication)))
      return await refuse(journal, run, output, twin(output));
    if (await findRecord(db, publication.artifact)) continue;
    made.push(publication);
    drafts.push(draftOf(publication));
  }
  if (drafts.length === 0) return;
  faultPoint('artifact.before_publish');
  await journal.recordAll(drafts, async (tx) => {
    for (const publication of made) {
      const path = { ...publication, kind: 'release' as const };
      if (await recordAtPath(tx, pathKey(path))) throw versionIsImmutable(path);
    }
  });
  faultPoint('artifact.after_publish');
}

const keyOf = (publication: Published) => pathKey({ ...publication, kind: 'release' });

const twin = ({ name }: Output) =>
  failed('names differ by more than case', {
    code: 'artifact.path_twin',
    expected: 'one output of this name',
    found: `${name} and one that differs in upper and lower case only`,
  });

type Output = NonNullable<RunRecord['finished']>['outputs'][number];

async function examine(
  options: PublisherOptions,
  run: RunRecord,
  output: Output,
): Promise<{ publication: Published; refusal?: never } | { publication?: never; refusal: Check }> {
  let publication: Published;
  try {
    publication = publicationOf(run, output);
  } catch (error) {
    if (Problem.is(error)) return { refusal: failed('path is accepted', { code: error.code, found: error.message }) };
    throw error;
  }
  const checks = [await checkBytes(options.objects, publication), await checkFree(options.db, publication)];
  if (options.controls?.verifyProvenance !== false) checks.push(await checkProvenance(options, run, publication));
  const refusal = firstRefusal(verdictOf(checks));
  return refusal ? { refusal } : { publication };
}

async function checkBytes(objects: Objects, { digest, size }: Published): Promise<Check> {
  const name = 'stored bytes are the output';
  const state = await objects.check(digest as Digest);
  const stored = await objects.stat(digest as Digest);
  if (state === 'intact' && stored?.size === size) return passed(name);
  const found = state === 'intact' ? `${stored?.size} bytes` : state;
  return failed(name, { code: `artifact.object_${state}`, expected: `${digest}, ${size} bytes`, found });
}

async function checkFree(db: Db, publication: Published): Promise<Check> {
  const name = 'version is free';
  const there = await recordAtPath(db, pathKey({ ...publication, kind: 'release' }));
  if (!there || there.id === publication.artifact) return passed(name);
  return failed(name, {
    code: 'artifact.version_immutable',
    expected: `nothing at ${publication.name}@${publication.version}`,
    found: there.digest,
  });
}

async function checkProvenance(options: PublisherOptions, run: RunRecord, publication: Published): Promise<Check> {
  const name = 'provenance verifies';
  const bytes = await readBundle(options.objects, publication.provenance as Digest);
  if (Problem.is(bytes)) return failed(name, { code: bytes.code, found: bytes.message });
  const verdict = verifyBundle({
    bundle: bytes,
    trustedRoot: options.attest.trustedRoot(),
    expect: {
      issuer: `${options.publicUrl}/oidc/control`,
      san: provenanceSan(options.publicUrl, run),
      predicateType: predicateTypes.provenance,
    },
    artifact: publication.digest as Digest,
  });
  if (verdict.ok) return passed(name);
  const refusal = firstRefusal(verdict);
  return failed(name, { code: 'artifact.provenance_invalid', ...noteOf(refusal) });
}

async function readBundle(objects: Objects, digest: Digest): Promise<Buffer | Problem> {
  try {
    return await objects.read(digest, BUNDLE_BYTES_MAX);
  } catch (error) {
    if (Problem.is(error)) return error;
    throw error;
  }
}

const noteOf = (check: Check | undefined) => ({
  expected: check?.expected ?? check?.name ?? 'a bundle that verifies',
  found: check?.found ?? check?.detail ?? check?.status ?? 'nothing',
});

const draftOf = (publication: Published): Draft => ({
  fact: published,
  payload: publication,
  stream: `artifact/${publication.digest}`,
  subject: publication.digest as Digest,
  actor,
});

async function refuse(journal: Journal, run: RunRecord, output: Output | null, check: Check): Promise<void> {
  await journal.record({
    fact: publicationRefused,
    stream: `publication/${run.queued.run}`,
    actor,
    payload: {
      run: run.queued.run,
      output: output?.name ?? null,
      digest: output?.digest ?? null,
      provenance: run.signed.bundle,
      provenanceFact: run.signedFact,
      code: check.code ?? 'artifact.not_checked',
      expected: check.expected ?? null,
      found: check.found ?? check.detail ?? null,
    },
  });
}
