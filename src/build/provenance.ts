/**
 * SLSA provenance v1 of a run (slsa.dev/provenance/v1), made of recorded facts alone: nothing a build prints, writes or declares
 * reaches it but the bytes of its outputs, which the control plane hashed itself.
 */
import { hexOf, parseDigest, toIso } from '#base';
import type { Fact } from '#journal';
import { predicateTypes } from '#policy';
import type { JobFinished, JobStarted, RunFinished, RunQueued } from './facts.ts';

export interface ProvenanceInput {
  readonly publicUrl: string;
  readonly version: string;
  /** The stream of the run. */
  readonly facts: readonly Fact[];
}

export const provenanceSan = (publicUrl: string, run: { name: string; workflow_path: string; ref: string }): string =>
  `${publicUrl}/${run.name}/${run.workflow_path}@${run.ref}`;

export function provenanceOf({ publicUrl, version, facts }: ProvenanceInput): Record<string, unknown> {
  const all = <P>(type: string): Fact<P>[] => facts.filter((fact) => fact.type === type) as Fact<P>[];
  const queued = only(all<RunQueued>('build.run_queued'));
  const finished = only(all<RunFinished>('build.run_finished'));
  const ended = all<JobFinished>('build.job_finished').filter(({ payload }) => payload.result === 'success');
  const started = ended.flatMap((end) =>
    all<JobStarted>('build.job_started').filter(
      ({ payload }) => payload.job === end.payload.job && payload.attempt === end.payload.attempt,
    ),
  );
  const { payload: run } = queued;
  const repository = `${publicUrl}/${run.name}`;
  return {
    buildDefinition: {
      buildType: `${publicUrl}/buildtypes/workflow/v1`,
      externalParameters: { workflow: { repository, path: run.workflow.path, ref: run.ref } },
      internalParameters: {
        event: 'push',
        repositoryId: run.repository,
        projectId: run.project,
        pushFact: run.pushFact,
        runNumber: run.number,
        network: 'none',
        isolation: 'one sandbox per step',
        jobs: started.map(({ payload }) => internalsOfJob(run, payload)),
      },
      resolvedDependencies: [
        { uri: `git+${repository}@${run.ref}`, digest: { gitCommit: run.commit } },
        {
          name: 'workflow',
          uri: `git+${repository}@${run.commit}#${run.workflow.path}`,
          digest: { sha256: hexOf(parseDigest(run.workflow.digest)) },
        },
        ...toolchainOf(started.map(({ payload }) => payload)),
      ],
    },
    runDetails: {
      builder: { id: `${publicUrl}/builders/hosted-sandbox/v1`, version: { waybill: version } },
      metadata: {
        invocationId: `${repository}/runs/${run.run}`,
        startedOn: toIso(Math.min(...started.map(({ at }) => at), finished.at)),
        finishedOn: toIso(finished.at),
      },
      byproducts: ended.flatMap(({ payload }) => {
        const key = run.jobs.find(({ job }) => job === payload.job)?.key ?? payload.job;
        if (payload.log === null) return [];
        return [
          {
            name: `log of ${key}`,
            uri: `${publicUrl}/api/v1/jobs/${payload.job}/log`,
            digest: { sha256: hexOf(parseDigest(payload.log.digest)) },
          },
        ];
      }),
    },
  };
}
provenanceOf.type = predicateTypes.provenance;

function internalsOfJob(run: RunQueued, { job, attempt, runner, sandbox }: JobStarted): Record<string, unknown> {
  return {
    job: run.jobs.find((one) => one.job === job)?.key ?? job,
    attempt,
    runner,
    sandbox: {
      profile: sandbox.profile,
      filter: sandbox.filter,
      bubblewrap: sandbox.bubblewrap,
      kernel: sandbox.kernel,
      selfTest: { ok: sandbox.selfTest.ok, checks: sandbox.selfTest.checks },
    },
  };
}

/** Packages of the runners' toolchains; they are named by version, because Debian's package database holds no digest of them. */
function toolchainOf(jobs: readonly JobStarted[]): { name: string; uri: string }[] {
  const uris = new Map<string, string>();
  for (const { sandbox } of jobs) {
    for (const { name, version, architecture } of sandbox.toolchain) {
      const uri = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
      uris.set(uri, name);
    }
  }
  return [...uris].map(([uri, name]) => ({ name, uri })).toSorted((a, b) => (a.uri < b.uri ? -1 : 1));
}

function only<P>(facts: readonly Fact<P>[]): Fact<P> {
  const fact = facts[0];
  if (fact === undefined || facts.length !== 1) throw new Error('the stream of a run has to hold this fact once');
  return fact;
}
