import { z } from 'zod';
import { type Check, digestOf, failed, hexOf, idFrom, passed } from '#base';
import type { Fact } from '#journal';
import type { Published } from './facts.ts';
import { parseArtifactPath, versionOf } from './path.ts';

const Output = z.object({
  name: z.string(),
  file: z.string(),
  digest: z.string(),
  size: z.number(),
  mediaType: z.string().optional(),
});

/** What a publication reads of the facts of a run. Fields it does not read may be there. */
const Queued = z.object({
  run: z.string(),
  number: z.number(),
  project: z.string(),
  repository: z.string(),
  name: z.string(),
  commit: z.string(),
  ref: z.string(),
  pushFact: z.number(),
  workflow: z.object({ path: z.string() }),
});
const Finished = z.object({ run: z.string(), result: z.string(), outputs: z.array(Output) });
const Signed = z.object({
  run: z.string(),
  bundle: z.string(),
  subjects: z.array(z.object({ name: z.string(), digest: z.string() })),
});

/** The record of one run, as its own facts tell it. */
export interface RunRecord {
  queued: z.output<typeof Queued>;
  finished: z.output<typeof Finished> | null;
  signed: z.output<typeof Signed>;
  signedFact: number;
}

/** The facts of a run's stream up to `signedFact`, or undefined when they are not the facts of a run. */
export function readRun(facts: readonly Fact[], signedFact: number): RunRecord | undefined {
  const until = facts.filter((fact) => fact.number <= signedFact);
  const last = (type: string) => until.findLast((fact) => fact.type === type)?.payload;
  const queued = Queued.safeParse(last('build.run_queued'));
  const signed = Signed.safeParse(until.find((fact) => fact.number === signedFact)?.payload);
  if (!queued.success || !signed.success) return undefined;
  const finished = Finished.safeParse(last('build.run_finished'));
  return { queued: queued.data, finished: finished.success ? finished.data : null, signed: signed.data, signedFact };
}

/** Identity the provenance of a run must be signed with. */
export function provenanceSan(publicUrl: string, { queued }: Pick<RunRecord, 'queued'>): string {
  return `${publicUrl}/${queued.name}/${queued.workflow.path}@${queued.ref}`;
}

/** Is this a run whose outputs may be published at all? */
export function checkRun(run: RunRecord): Check[] {
  const result = run.finished?.result ?? 'not finished';
  const outputs = run.finished?.outputs ?? [];
  return [
    result === 'success'
      ? passed('run finished successfully', run.queued.run)
      : failed('run finished successfully', {
          code: 'artifact.run_not_succeeded',
          expected: 'success',
          found: result,
        }),
    sameSet(outputs, run.signed.subjects)
      ? passed('provenance names exactly the outputs')
      : failed('provenance names exactly the outputs', {
          code: 'artifact.subjects_differ',
          expected: listed(outputs),
          found: listed(run.signed.subjects),
        }),
  ];
}

interface Named {
  name: string;
  digest: string;
}

const listed = (all: readonly Named[]) =>
  all
    .map(({ name, digest }) => `${name} ${digest}`)
    .sort()
    .join(', ') || 'none';

function sameSet(outputs: readonly Named[], subjects: readonly Named[]): boolean {
  return outputs.length > 0 && listed(outputs) === listed(subjects);
}

/** What will be recorded for one output. The id follows from run and output, so a worker that runs twice names one thing. */
export function publicationOf(run: RunRecord, output: z.output<typeof Output>): Published {
  const { queued, signed, signedFact } = run;
  const project = queued.name.split('/')[0]!;
  const path = parseArtifactPath({
    repository: `${project}/release`,
    name: `${queued.name}/${output.name}`,
    version: versionOf(queued),
    file: output.file.split('/').at(-1)!,
  });
  return {
    artifact: idFrom('art', Buffer.from(hexOf(digestOf(`${queued.run}\n${output.name}`)), 'hex')),
    project: queued.project,
    repository: path.repository,
    name: path.name,
    version: path.version,
    file: path.file,
    digest: output.digest,
    size: output.size,
    mediaType: output.mediaType ?? 'application/octet-stream',
    run: queued.run,
    output: output.name,
    commit: queued.commit,
    provenance: signed.bundle,
    provenanceFact: signedFact,
  };
}
