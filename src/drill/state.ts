import { createHash } from 'node:crypto';
import { canonicalJson, limits } from '#base';
import { type House, PROJECT } from './house.ts';

/** What an attack that is refused must leave as it was. */
export interface ProtectedState {
  /** Release artifacts, refs, promotions that were granted. */
  records: string;
  objects: ReadonlySet<string>;
}

export async function readState(house: House): Promise<ProtectedState> {
  const { platform } = house.server;
  const { artifacts, source, releases, identity, objects } = platform;
  const project = await identity.requireProject(PROJECT);
  const repository = await source.requireRepository(`${PROJECT}/hello`);
  const all = { projects: [project.id], limit: limits.pageItems };
  const released = (await artifacts.findRecords(all)).filter(({ kind }) => kind === 'release');
  const promoted = await releases.findPromotions({ project: project.id, status: 'promoted', limit: limits.pageItems });
  const records = {
    released: released.map(({ id, name, version, digest }) => ({ id, name, version, digest })),
    refs: await source.refs(repository.id),
    promoted: promoted.map(({ id, digest, environment }) => ({ id, digest, environment })),
  };
  const digests = new Set<string>();
  for await (const digest of objects.list()) digests.add(digest);
  const text = canonicalJson(JSON.parse(JSON.stringify(records)));
  return { records: createHash('sha256').update(text).digest('hex'), objects: digests };
}

/** Evidence of the refusal may have been added; what was there is still there. */
export function isUnchanged(before: ProtectedState, after: ProtectedState): boolean {
  return before.records === after.records && [...before.objects].every((digest) => after.objects.has(digest));
}
