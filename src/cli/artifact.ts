import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { artifactContract } from '#artifact';
import { BUNDLE_BYTES_MAX, listAttestations, showBundle } from '#attest';
import { type Digest, parseDigest, Problem } from '#base';
import type { Client } from '#client';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';
import { UsageError } from './exit.ts';
import { renderFields, renderSize, renderTable, renderTime, shortDigest } from './output.ts';
import { startProgress } from './progress.ts';
import { type ArtifactRecord, findRecords, requireRecord } from './resolve-artifact.ts';

export const listArtifacts: Run = async (invocation) => {
  const given = (name: string): Record<string, string> => {
    const value = invocation.flag(name);
    return value === undefined ? {} : { [name]: value };
  };
  const kind = invocation.flag('kind') === 'release' ? ('release' as const) : ('playground' as const);
  const query = {
    ...given('project'),
    ...given('name'),
    ...given('search'),
    ...given('after'),
    ...(invocation.flag('kind') === undefined ? {} : { kind }),
    limit: invocation.flag('limit') ?? 50,
  };
  const page = await withClient(invocation, (client) => client.call(artifactContract.listArtifacts, { query }));
  const columns = [
    { title: 'NAME', cell: (one: ArtifactRecord) => `${one.name}@${one.version}` },
    { title: 'FILE', cell: (one: ArtifactRecord) => one.file },
    { title: 'REPOSITORY', cell: (one: ArtifactRecord) => one.repository },
    { title: 'SIZE', cell: (one: ArtifactRecord) => renderSize(one.size) },
    { title: 'DIGEST', cell: (one: ArtifactRecord) => shortDigest(one.digest) },
    { title: 'PUBLISHED', cell: (one: ArtifactRecord) => renderTime(one.publishedAt) },
  ];
  const empty = 'No artifact. Release artifacts come from builds: push a commit with a workflow.';
  const more = page.next === null ? '' : `\nMore: --after ${page.next}`;
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, empty) + more };
};

export const showArtifact: Run = async (invocation) => {
  const { records, attestations } = await withClient(invocation, async (client) => {
    const found = await findRecords(client, invocation.required('artifact'));
    const first = found[0];
    const bundles = first ? (await client.call(listAttestations, { params: { digest: first.digest } })).items : [];
    return { records: found, attestations: bundles };
  });
  const parts = records.map((one) =>
    renderFields(invocation.terminal, [
      ['artifact', `${one.name}@${one.version}`],
      ['file', one.file],
      ['digest', one.digest],
      ['size', renderSize(one.size)],
      ['type', one.mediaType],
      ['repository', one.repository],
      ['run', one.run],
      ['commit', one.commit],
      ['published', renderTime(one.publishedAt)],
      ['by', one.principal],
      ['fact', one.fact],
      ['id', one.id],
    ]),
  );
  const signed = attestations.map((one) => `  ${one.predicateType}\n    by ${one.signer}\n    ${one.bundle}`);
  const evidence =
    signed.length > 0 ? ['Signed statements (not verified here; run waybill artifact verify):', ...signed] : [];
  return { document: { items: records, attestations }, text: [...parts, ...evidence].join('\n\n') };
};

/** Into the playground: release repositories are written by the control plane alone, whoever asks. */
export const pushArtifact: Run = async (invocation) => {
  const path = invocation.required('file');
  const { project, name, version } = parseTarget(invocation.required('target'));
  const { size } = await stat(path);
  const repository = invocation.flag('repository') ?? 'playground';
  const record = await withClient(invocation, (client) =>
    client.upload(
      artifactContract.uploadArtifact,
      {
        params: { project, repository: repository as 'playground' },
        query: { name, version, file: invocation.flag('file-name') ?? basename(path) },
      },
      { content: createReadStream(path), size },
    ),
  );
  return {
    document: record,
    text: `Stored ${record.name}@${record.version} in ${record.repository}: ${record.digest}`,
  };
};

function parseTarget(target: string): { project: string; name: string; version: string } {
  const match = /^(([^/@]+)\/[^@]+)@([^@]+)$/.exec(target);
  if (!match?.[1] || !match[2] || !match[3]) {
    throw new UsageError(`"${target}" is not a name and version.`, 'Write it as project/name@version.');
  }
  return { name: match[1], project: match[2], version: match[3] };
}

/** Bytes reach their name only when their digest is right: written beside it, hashed, then renamed. */
export const pullArtifact: Run = async (invocation) => {
  const { record, path, bundle } = await withClient(invocation, async (client) => {
    const found = await requireRecord(client, invocation.required('artifact'), invocation.flag('file'));
    const provenance = invocation.isSet('provenance') ? requireProvenance(found) : undefined;
    const target = resolve(invocation.flag('out') ?? found.file);
    const replace = invocation.isSet('force');
    const progress = startProgress(invocation.terminal, `Fetching ${found.file} (${renderSize(found.size)})`);
    try {
      const { stream } = await client.download(
        artifactContract.downloadArtifact,
        { params: { artifact: found.digest } },
        { digest: parseDigest(found.digest) },
      );
      await writeVerified(target, stream, replace);
    } finally {
      progress.stop();
    }
    const beside = provenance && (await fetchProvenance(client, provenance, `${target}.sigstore.json`, replace));
    return { record: found, path: target, bundle: beside ?? null };
  });
  const next =
    bundle === null ? `waybill artifact verify ${record.digest} --identity NAME` : `waybill verify ${path} …`;
  return {
    document: { path, digest: record.digest, size: record.size, bundle },
    text: [path, bundle ?? [], `Its digest is ${record.digest}, as recorded. Next: ${next}`].flat().join('\n'),
  };
};

/** The digest of the bundle that signs where the artifact came from. */
function requireProvenance({ name, version, provenance }: ArtifactRecord): Digest {
  if (provenance !== null) return parseDigest(provenance);
  throw new Problem({
    code: 'cli.no_provenance',
    kind: 'not_found',
    message: `${name}@${version} has no signed provenance: no build made it.`,
    hint: 'Leave out --provenance, or choose an artifact of a release repository.',
  });
}

async function fetchProvenance(client: Client, digest: Digest, path: string, replace: boolean): Promise<string> {
  const limits = { digest, maxBytes: BUNDLE_BYTES_MAX };
  const { stream } = await client.download(showBundle, { params: { digest } }, limits);
  await writeVerified(path, stream, replace);
  return path;
}

async function writeVerified(path: string, content: NodeJS.ReadableStream, replace: boolean): Promise<void> {
  if (!replace && (await stat(path).catch(() => undefined))) {
    throw new Problem({
      code: 'cli.file_exists',
      kind: 'conflict',
      message: `${path} exists already.`,
      hint: 'Choose another name with --out FILE, or replace it with --force.',
    });
  }
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.part-${process.pid}`;
  const file = await open(draft, 'wx', 0o644);
  try {
    await pipeline(content, file.createWriteStream({ flush: true }));
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close().catch(() => undefined);
  }
}
