import { isDigest, Problem } from '#base';
import { artifactContract } from '#artifact';
import type { Client } from '#client';

export type ArtifactRecord = Awaited<ReturnType<typeof findRecords>>[number];

/** `sha256:…`, an artifact id, or `project/name@version` → its records, newest first. */
export async function findRecords(client: Client, target: string) {
  const at = target.lastIndexOf('@');
  if (isDigest(target) || at < 0) {
    return (await client.call(artifactContract.showArtifact, { params: { artifact: target } })).items;
  }
  const query = { name: target.slice(0, at), version: target.slice(at + 1), limit: 200 };
  const { items } = await client.call(artifactContract.listArtifacts, { query });
  if (items.length > 0) return items;
  throw new Problem({
    code: 'cli.artifact_unknown',
    kind: 'not_found',
    message: `There is no artifact ${target} that you may read.`,
    hint: 'See `waybill artifact list` for names and versions.',
  });
}

/** The one record meant; several files of a version must be told apart by `file`. */
export async function requireRecord(client: Client, target: string, file?: string): Promise<ArtifactRecord> {
  const records = (await findRecords(client, target)).filter((one) => file === undefined || one.file === file);
  const [first] = records;
  if (first && new Set(records.map((one) => one.digest)).size === 1) return first;
  throw new Problem({
    code: first ? 'cli.artifact_ambiguous' : 'cli.artifact_unknown',
    kind: first ? 'conflict' : 'not_found',
    message: first ? `${target} has ${records.length} files.` : `${target} has no file ${file ?? ''}.`,
    hint: `Choose one with --file NAME: ${records.map((one) => one.file).join(', ') || 'see waybill artifact show'}.`,
  });
}
