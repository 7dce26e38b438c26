// Steps 5 to 7: the build, what the control plane made of it, and what a developer may not do.
import { X509Certificate } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Evidence } from './report.ts';
import { type People, PROJECT, REPOSITORY } from './steps-source.ts';
import { type Person, type Stage, StepFailed, waybill } from './stage.ts';

export interface Artifact {
  id: string;
  run: string;
  name: string;
  version: string;
  file: string;
  digest: string;
  size: number;
  provenance: string;
}

const BUILD_MS_MAX = 120_000;

/** Follows the run of a commit to its end. */
export async function watchBuild(
  stage: Stage,
  people: People,
  commit: string,
): Promise<{ run: string; evidence: Evidence }> {
  const run = await poll(BUILD_MS_MAX, async () => {
    const { items } = await waybill(people.dana, ['build', 'list', `${PROJECT}/${REPOSITORY}`]);
    return (items as { run: string; commit: string }[]).find((one) => one.commit === commit)?.run;
  });
  const log = await waybill(people.dana, ['build', 'log', run, '--follow'], { status: [0, 3] });
  const shown = await waybill(people.dana, ['build', 'show', run], { status: [0, 3] });
  if (shown['state'] !== 'success') throw new StepFailed(`the build: ${String(shown['state'])}\n${tail(log)}`);
  return {
    run,
    evidence: {
      run,
      workflow: shown['workflow'].path,
      commit,
      log: `${(log['lines'] as unknown[]).length} lines, streamed while it ran`,
      outputs: (shown['outputs'] as { name: string; size: number }[]).map(
        (output) => `${output.name} (${output.size} bytes)`,
      ),
    },
  };
}

const tail = (log: Record<string, any>) => (log['lines'] as string[]).slice(-30).join('\n');

/** What came out, hashed by the control plane, published, signed and logged; checked offline against the trust root. */
export async function inspectRelease(
  stage: Stage,
  people: People,
  run: string,
  out: string,
): Promise<{ artifacts: Artifact[]; evidence: Evidence }> {
  const { dana } = people;
  const artifacts = await poll(BUILD_MS_MAX, async () => {
    const { items } = await waybill(dana, ['artifact', 'list', '--project', PROJECT, '--kind', 'release']);
    const made = (items as Artifact[]).filter((artifact) => artifact.run === run);
    return made.length > 0 ? made : undefined;
  });
  await mkdir(out, { recursive: true });
  await waybill(dana, ['trust', 'root', '--out', join(out, 'trusted_root.json')]);
  const published: string[] = [];
  for (const artifact of artifacts) published.push(await fetchAndVerify(stage, dana, artifact, out));
  const first = artifacts[0]!;
  const bundle = JSON.parse(await readFile(join(out, `${first.file}.sigstore.json`), 'utf8')) as Record<string, any>;
  const entry = bundle['verificationMaterial'].tlogEntries[0] as Record<string, any>;
  const certificate = new X509Certificate(Buffer.from(bundle['verificationMaterial'].certificate.rawBytes, 'base64'));
  return {
    artifacts,
    evidence: {
      published,
      'provenance signed by': certificate.subjectAltName?.replace('URI:', '') ?? '',
      issuer: `${stage.url}/oidc/control`,
      'log entry': `${entry['logIndex']} of ${entry['inclusionProof'].checkpoint.envelope.split('\n')[0]}`,
      verified: 'each file offline: certificate, SCT, timestamp, log inclusion, signature, signer, subject',
    },
  };
}

async function fetchAndVerify(stage: Stage, person: Person, artifact: Artifact, out: string): Promise<string> {
  const file = join(out, artifact.file);
  await waybill(person, ['artifact', 'pull', artifact.id, '--out', file, '--force']);
  await waybill(person, ['attest', 'bundle', artifact.provenance, '--out', `${file}.sigstore.json`]);
  const trust = ['--trusted-root', join(out, 'trusted_root.json'), '--issuer', `${stage.url}/oidc/control`];
  await waybill(person, ['verify', file, ...trust, '--identity', provenanceIdentity(stage, artifact.version)]);
  return `${artifact.name}@${artifact.version} ${artifact.digest.slice(0, 19)}…`;
}

export function provenanceIdentity(stage: Stage, version: string): string {
  return `${stage.url}/${PROJECT}/${REPOSITORY}/.github/workflows/release.yml@refs/tags/v${version}`;
}

/** The same bytes, by hand: refused by the release repository, taken by the playground, and stuck there. */
export async function tryUploads(stage: Stage, people: People, artifact: Artifact, out: string): Promise<Evidence> {
  const { dana } = people;
  const local = join(stage.dir, 'local-build');
  await copyFile(join(out, artifact.file), local);
  await writeFile(local, `${await readFile(local, 'latin1')}\n# built on a laptop\n`, 'latin1');
  const target = `${artifact.name}@by-hand`;
  const release = await waybill(dana, ['artifact', 'push', local, target, '--repository', 'release'], { status: 4 });
  const playground = await waybill(dana, ['artifact', 'push', local, target]);
  const promoted = await waybill(
    dana,
    ['promote', 'request', String(playground['digest']), '--project', PROJECT, '--to', 'dev'],
    {
      status: 3,
    },
  );
  return {
    'upload to release': `${release['error'].code}: ${release['error'].message}`,
    'upload to playground': `accepted as ${String(playground['repository'])} ${String(playground['name'])}@${String(playground['version'])}`,
    'promotion of it': `${promoted['error'].code}: ${promoted['error'].message}`,
  };
}

export async function poll<T>(withinMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new StepFailed(`nothing came within ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}
