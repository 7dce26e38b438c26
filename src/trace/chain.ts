import { provenanceSan } from '#artifact';
import { verifyBundle } from '#attest';
import { type Check, type Digest, failed, firstRefusal, passed, toIso } from '#base';
import type { Drifted } from '#deploy';
import type { Fact } from '#journal';
import { predicateTypes, ProvenancePredicate } from '#policy';
import { identities } from '#release';
import { commitHop, pushHop, runHop } from './build-hops.ts';
import { promotionHop } from './promotion-hop.ts';
import type { ChainEvidence, DeploymentEvidence, Proven } from './evidence.ts';
import {
  agrees,
  bundleCheck,
  bundleVerdict,
  digestCheck,
  holds,
  type Hop,
  type HopKind,
  makeHop,
  missingHop,
  objectCheck,
  unknownHop,
} from './hop.ts';

export interface Broken {
  hop: HopKind;
  id: string;
  check: string;
  code: string | null;
  expected: string | null;
  found: string | null;
  fix: string | null;
}

export interface Trace {
  version: 1;
  /** Every hop is there and every check of every hop passed. */
  ok: boolean;
  digest: Digest;
  name: string | null;
  artifactVersion: string | null;
  tracedAt: string;
  /** The first broken hop, newest first, with the check that says so. */
  broken: Broken | null;
  hops: Hop[];
}

/** Judges a chain. Pure: the same evidence gives the same trace, here or on another machine, today or in ten years. */
export function traceChain(evidence: ChainEvidence): Trace {
  const hops = [
    ...fileHops(evidence),
    ...(evidence.deployment ? [deploymentHop(evidence, evidence.deployment)] : []),
    ...evidence.promotions.map((promotion, index) => promotionHop(evidence, promotion, evidence.promotions[index + 1])),
    ...originHops(evidence),
  ];
  const first = hops.find((hop) => !hop.ok);
  const published = evidence.publication?.fact.payload;
  return {
    version: 1,
    ok: first === undefined,
    digest: evidence.digest,
    name: published?.name ?? null,
    artifactVersion: published?.version ?? null,
    tracedAt: toIso(evidence.tracedAt),
    broken: first ? brokenAt(first) : null,
    hops,
  };
}

function brokenAt({ kind, id, checks }: Hop): Broken {
  const { name, code, expected, found, detail, fix } = firstRefusal({ ok: false, checks })!;
  return {
    hop: kind,
    id,
    check: name,
    code: code ?? null,
    expected: expected ?? null,
    found: found ?? detail ?? null,
    fix: fix ?? null,
  };
}

/** Only of a trace that begins with a file: where bytes came from is one question, whether a file still is those bytes another. */
function fileHops({ file, deployment }: ChainEvidence): Hop[] {
  if (!file) return [];
  const verified = deployment?.verified.fact.payload;
  const { path, digest: measured } = file;
  if (!verified) {
    return [missingHop('file', path, 'A file nobody deployed', 'a deployment that placed this file')];
  }
  const drifts = (deployment?.later ?? []).filter(({ fact }) => fact.type === 'deploy.drifted') as Proven<Drifted>[];
  const checks = drifts.map(({ fact }) =>
    failed(`agent sees it unchanged (${fact.payload.kind})`, {
      code: 'trace.file_drifted',
      expected: fact.payload.expected,
      found: fact.payload.found,
      detail: `seen ${toIso(fact.payload.seenAt)}`,
      fix: 'What runs is not what was verified: look at the host, then deploy again.',
    }),
  );
  if (drifts.length === 0) checks.push(passed('agent sees it unchanged', 'no drift was reported'));
  if (measured !== null) checks.push(digestCheck('file hashes to what was verified', verified.digest, measured));
  return [
    makeHop({
      kind: 'file',
      id: path,
      title: `The file ${path} on the host`,
      proven: drifts,
      links: { digest: measured ?? verified.digest },
      checks,
    }),
  ];
}

function deploymentHop({ promotions, publication }: ChainEvidence, deployment: DeploymentEvidence): Hop {
  const { verified, later, target, rows } = deployment;
  const { payload, actor } = verified.fact;
  const decided = promotions[0]?.decided.fact.payload;
  const refused = payload.checks.find(({ status }) => status !== 'passed');
  return makeHop({
    kind: 'deployment',
    id: payload.deployment,
    title: `Verified and placed by the agent of ${target?.fact.payload.name ?? 'an unknown target'}${sinceThen(later)}`,
    proven: [verified, target, ...later],
    links: { digest: payload.digest, promotion: payload.promotion, artifact: payload.artifact },
    checks: [
      ...rows,
      agrees('reported by the agent of the target', target?.fact.payload.agent, actor.principal),
      refused
        ? failed('agent verified everything', { code: 'trace.link_broken', expected: 'passed', found: refused.name })
        : passed('agent verified everything', `${payload.checks.length} checks`),
      agrees('promotion', decided?.promotion, payload.promotion),
      agrees('digest', decided?.digest ?? publication?.fact.payload.digest, payload.digest),
      agrees('artifact', decided?.artifact, payload.artifact),
      agrees('summary', decided?.summary, payload.summary),
    ],
  });
}

function sinceThen(later: DeploymentEvidence['later']): string {
  if (later.some(({ fact }) => fact.type === 'deploy.drifted')) return '; the file has drifted since';
  return later.some(({ fact }) => fact.type === 'deploy.stopped') ? '; stopped since' : '';
}

/** From the release repository back to the person. */
function originHops(evidence: ChainEvidence): Hop[] {
  const { publication } = evidence;
  const titles = {
    provenance: 'Provenance signed by the control plane',
    run: 'Built in the sandbox',
    push: 'Accepted by the gate',
    commit: 'Signed by a person',
  } as const;
  if (!publication) {
    const found = evidence.uploads.length > 0 ? 'only an upload to a playground' : 'nothing';
    const check = failed('publication is on record', {
      code: evidence.uploads.length > 0 ? 'trace.playground_only' : 'trace.link_missing',
      expected: `a publication of ${evidence.digest} by the control plane`,
      found,
      fix: 'Only what CI built and published can be traced to its source.',
    });
    const title = 'Published in the release repository';
    return [
      makeHop({ kind: 'publication', id: evidence.digest, title, proven: evidence.uploads, checks: [check] }),
      ...(['provenance', 'run', 'push', 'commit'] as const).map((kind) => unknownHop(kind, titles[kind])),
    ];
  }
  return [
    publicationHop(evidence, publication),
    objectHop(evidence, publication.fact.payload),
    provenanceHop(evidence, publication.fact),
    runHop(evidence, titles.run),
    pushHop(evidence, titles.push),
    commitHop(evidence, titles.commit),
  ];
}

type PublicationFact = NonNullable<ChainEvidence['publication']>['fact'];

function publicationHop(
  { signed, publicationRows }: ChainEvidence,
  publication: NonNullable<ChainEvidence['publication']>,
): Hop {
  const { payload, actor } = publication.fact;
  const subjects = signed?.fact.payload.subjects ?? [];
  return makeHop({
    kind: 'publication',
    id: payload.artifact,
    title: `Published as ${payload.name}@${payload.version} in ${payload.repository}`,
    proven: [publication],
    links: { digest: payload.digest, run: payload.run, provenance: payload.provenance },
    checks: [
      ...publicationRows,
      agrees('published by', 'system', actor.principal),
      agrees('provenance', signed?.fact.payload.bundle, payload.provenance),
      agrees('run', signed?.fact.payload.run, payload.run),
      holds(
        'output was named by the provenance',
        subjects.some(({ name, digest }) => name === payload.output && digest === payload.digest),
        {
          expected: `${payload.output} ${payload.digest}`,
          found: subjects.map(({ name, digest }) => `${name} ${digest}`).join(', '),
        },
      ),
    ],
  });
}

function objectHop({ object }: ChainEvidence, { file, size }: PublicationFact['payload']): Hop {
  return makeHop({
    kind: 'object',
    id: object.digest,
    title: `The ${size} bytes of ${file} in the object store`,
    links: { digest: object.found ?? 'none' },
    checks: [objectCheck('stored bytes', object)],
  });
}

function provenanceHop(evidence: ChainEvidence, { payload }: PublicationFact): Hop {
  const { signed, provenance, run, publicUrl, trustedRoot } = evidence;
  const title = 'Provenance signed by the control plane';
  const queued = run?.queued?.fact.payload;
  if (!signed || !provenance || !queued) {
    return missingHop('provenance', payload.provenance, title, `the signature of run ${payload.run}`);
  }
  const verdict = verifyBundle({
    bundle: provenance.bytes ?? Buffer.alloc(0),
    trustedRoot,
    artifact: payload.digest as Digest,
    expect: {
      issuer: identities(publicUrl).issuer,
      san: provenanceSan(publicUrl, { queued }),
      predicateType: predicateTypes.provenance,
    },
  });
  return makeHop({
    kind: 'provenance',
    id: payload.provenance,
    title,
    proven: [signed],
    links: { run: queued.run, commit: queued.commit },
    checks: [
      bundleCheck('provenance in the object store', provenance),
      bundleVerdict('provenance verifies offline', verdict),
      ...(verdict.statement ? checkProvenance(verdict.statement.predicate, evidence, queued) : []),
    ],
  });
}

function checkProvenance(
  untrusted: unknown,
  { publicUrl }: ChainEvidence,
  queued: Fact<{ run: string; commit: string; name: string; ref: string; workflow: { path: string } }>['payload'],
): Check[] {
  const parsed = ProvenancePredicate.safeParse(untrusted);
  if (!parsed.success) {
    return [
      failed('provenance', { code: 'trace.link_broken', expected: 'SLSA provenance v1', found: 'another shape' }),
    ];
  }
  const { buildDefinition, runDetails } = parsed.data;
  const commits = buildDefinition.resolvedDependencies.flatMap(({ digest }) => digest?.['gitCommit'] ?? []);
  const workflow = buildDefinition.externalParameters['workflow'] as Record<string, unknown> | undefined;
  return [
    agrees('builder', identities(publicUrl).builder, runDetails.builder.id),
    holds('commit', commits.includes(queued.commit), { expected: queued.commit, found: commits.join(', ') || 'none' }),
    agrees('repository', `${publicUrl}/${queued.name}`, workflow?.['repository']),
    agrees(
      'workflow',
      `${queued.workflow.path}@${queued.ref}`,
      `${String(workflow?.['path'])}@${String(workflow?.['ref'])}`,
    ),
    holds('run', runDetails.metadata.invocationId.split('/').includes(queued.run), {
      expected: queued.run,
      found: runDetails.metadata.invocationId,
    }),
  ];
}
