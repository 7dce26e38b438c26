import type { Readable } from 'node:stream';
import { type Digest, isDigest, limits, newId, Problem } from '#base';
import { actorOf, type Caller, type Identity, type Project } from '#identity';
import type { Journal } from '#journal';
import type { Db, Objects } from '#storage';
import * as facts from './facts.ts';
import { type ArtifactPath, parseArtifactPath, pathKey, repositoryKinds, type RepositoryKind } from './path.ts';
import { notFound, rangeInvalid, releaseIsClosed, versionIsImmutable } from './problems.ts';
import * as store from './store.ts';

export interface UploadRequest {
  repository: string;
  name: string;
  version: string;
  file: string;
  mediaType?: string | undefined;
  /** What the sender says the bytes hash to; other bytes are refused. */
  digest?: Digest | undefined;
  body: AsyncIterable<Uint8Array>;
}

export interface Repository {
  name: string;
  kind: RepositoryKind;
}

export interface ListQuery {
  project?: string | undefined;
  repository?: string | undefined;
  kind?: RepositoryKind | undefined;
  name?: string | undefined;
  version?: string | undefined;
  digest?: string | undefined;
  run?: string | undefined;
  search?: string | undefined;
  limit: number;
  after?: string | undefined;
}

export interface Download {
  record: store.ArtifactRecord;
  size: number;
  range: { start: number; end: number } | null;
  stream: Readable;
}

/** Switches that exist for drills: each turns one control off so that its drill can show what the control is for. */
export interface ArtifactControls {
  /** Only the control plane writes to release repositories. */
  releaseClosed: boolean;
}

export interface Artifacts {
  repositories(caller: Caller, project: string): Promise<Repository[]>;
  list(caller: Caller, query: ListQuery): Promise<{ items: store.ArtifactRecord[]; next: string | null }>;
  /** Every record of a digest, or the one with that id; newest first. `artifact.not_found`. */
  show(caller: Caller, idOrDigest: string): Promise<store.ArtifactRecord[]>;
  /** `artifact.not_found`. */
  locate(caller: Caller, path: ArtifactPath): Promise<store.ArtifactRecord>;
  refusals(caller: Caller, project: string): Promise<store.Refusal[]>;
  /** To a playground. To a release repository: refused for everybody, and the attempt is recorded. */
  upload(caller: Caller, request: UploadRequest): Promise<{ record: store.ArtifactRecord; created: boolean }>;
  /** The bytes were re-hashed and the download is recorded, durably, before this resolves. */
  download(caller: Caller, id: string, range?: { start: number; end?: number }): Promise<Download>;
  /** For modules after this one: no caller, no question asked. */
  findRecord(id: string): Promise<store.ArtifactRecord | undefined>;
  findRecords(filter: store.RecordFilter): Promise<store.ArtifactRecord[]>;
  projectsWith(digest: Digest): Promise<string[]>;
}

export function createArtifacts({
  db,
  journal,
  objects,
  identity,
  controls = { releaseClosed: true },
}: {
  db: Db;
  journal: Journal;
  objects: Objects;
  identity: Identity;
  controls?: ArtifactControls;
}): Artifacts {
  const mayRead = async (caller: Caller, project: string) =>
    (await identity.decide(caller, 'artifact:read', { project })).allowed;

  async function readable(caller: Caller, records: store.ArtifactRecord[]): Promise<store.ArtifactRecord[]> {
    const allowed = new Map<string, boolean>();
    for (const { project } of records) {
      if (!allowed.has(project)) allowed.set(project, await mayRead(caller, project));
    }
    return records.filter(({ project }) => allowed.get(project));
  }

  async function requireReadable(caller: Caller, id: string): Promise<store.ArtifactRecord> {
    const record = await store.findRecord(db, id);
    if (!record || !(await mayRead(caller, record.project))) throw notFound(id);
    return record;
  }

  async function refuseUpload(caller: Caller, project: Project, path: ArtifactPath, digest?: Digest): Promise<Problem> {
    const problem = releaseIsClosed();
    const { repository, name, version, file } = path;
    await journal.record({
      fact: facts.uploadRefused,
      stream: `upload/${project.id}`,
      actor: actorOf(caller),
      ...(digest ? { subject: digest } : {}),
      payload: {
        refusal: newId('ref'),
        project: project.id,
        repository,
        name,
        version,
        file,
        announcedDigest: digest ?? null,
        code: problem.code,
        credential: caller.credential.id,
      },
    });
    return problem;
  }

  async function storeUpload(
    caller: Caller,
    project: Project,
    path: ArtifactPath,
    request: UploadRequest,
  ): Promise<{ record: store.ArtifactRecord; created: boolean }> {
    const { digest, size } = await objects.put(request.body, {
      maxBytes: limits.artifactBytes,
      ...(request.digest ? { expect: request.digest } : {}),
    });
    const existing = await store.recordAtPath(db, pathKey(path));
    if (existing) return { record: sameOrConflict(existing, path, digest), created: false };
    const artifact = newId('art');
    const { repository, name, version, file } = path;
    await journal.record({
      fact: facts.uploaded,
      stream: `artifact/${digest}`,
      subject: digest,
      actor: actorOf(caller),
      payload: {
        artifact,
        project: project.id,
        repository,
        name,
        version,
        file,
        digest,
        size,
        mediaType: request.mediaType ?? 'application/octet-stream',
        label: 'playground',
      },
      guard: async (tx) => {
        if (await store.recordAtPath(tx, pathKey(path))) throw versionIsImmutable(path);
      },
    });
    return { record: (await store.findRecord(db, artifact))!, created: true };
  }

  return {
    async repositories(caller, slug) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'artifact:read', { project: project.id });
      return repositoryKinds.map((kind) => ({ name: `${slug}/${kind}`, kind }));
    },
    async list(caller, query) {
      const { project: slug, after, limit, ...filter } = query;
      let projects: string[];
      if (slug === undefined) {
        projects = (await identity.listProjects(caller)).map(({ id }) => id);
      } else {
        const project = await identity.requireProject(slug);
        await identity.require(caller, 'artifact:read', { project: project.id });
        projects = [project.id];
      }
      if (projects.length === 0) return { items: [], next: null };
      const before = after === undefined ? undefined : parseAfter(after);
      const page = await store.selectRecords(db, { ...filter, projects, before, limit: limit + 1 });
      const items = await readable(caller, page.slice(0, limit));
      return { items, next: page.length > limit ? String(page[limit - 1]!.fact) : null };
    },
    async show(caller, idOrDigest) {
      if (!isDigest(idOrDigest)) return [await requireReadable(caller, idOrDigest)];
      // Asked of the projects first: however often others keep the same bytes, they hide nobody's.
      const projects: string[] = [];
      for (const project of await store.projectsWith(db, idOrDigest)) {
        if (await mayRead(caller, project)) projects.push(project);
      }
      if (projects.length === 0) throw notFound(idOrDigest);
      return await store.selectRecords(db, { digest: idOrDigest, projects, limit: limits.pageItems });
    },
    async locate(caller, path) {
      const project = await identity.requireProject(path.project);
      await identity.require(caller, 'artifact:read', { project: project.id });
      const record = await store.recordAtPath(db, pathKey(path));
      // The key folds case, the name does not: a twin of the name is another name, and there is nothing there.
      if (!record || record.name !== path.name || record.version !== path.version || record.file !== path.file) {
        throw notFound(`${path.name}@${path.version}`);
      }
      return record;
    },
    async refusals(caller, slug) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'artifact:read', { project: project.id });
      return await store.selectRefusals(db, project.id, limits.pageItems);
    },
    async upload(caller, request) {
      const path = parseArtifactPath(request);
      const project = await identity.requireProject(path.project);
      await identity.require(caller, 'artifact:read', { project: project.id });
      if (path.kind === 'release' && controls.releaseClosed) {
        throw await refuseUpload(caller, project, path, request.digest);
      }
      await identity.require(caller, 'artifact:upload-playground', { project: project.id });
      return await storeUpload(caller, project, path, request);
    },
    async download(caller, id, range) {
      const record = await requireReadable(caller, id);
      const opened = await objects.open(record.digest);
      try {
        const part = range === undefined ? null : clip(range, opened.size);
        await journal.record({
          fact: facts.downloaded,
          stream: `download/${record.id}`,
          subject: record.digest,
          actor: actorOf(caller),
          payload: { artifact: record.id, digest: record.digest, range: part, credential: caller.credential.id },
        });
        return { record, size: opened.size, range: part, stream: opened.stream(part ?? undefined) };
      } catch (error) {
        await opened.close();
        throw error;
      }
    },
    findRecord: (id) => store.findRecord(db, id),
    findRecords: (filter) => store.selectRecords(db, filter),
    projectsWith: (digest) => store.projectsWith(db, digest),
  };
}

/** The same bytes at the same place are the same upload again; other bytes never replace them. */
function sameOrConflict(existing: store.ArtifactRecord, path: ArtifactPath, digest: Digest): store.ArtifactRecord {
  const same = existing.name === path.name && existing.version === path.version && existing.file === path.file;
  if (same && existing.digest === digest) return existing;
  throw versionIsImmutable(path);
}

function clip({ start, end }: { start: number; end?: number }, size: number): { start: number; end: number } {
  const last = Math.min(end ?? size - 1, size - 1);
  if (start > last || start < 0) throw rangeInvalid(size);
  return { start, end: last };
}

function parseAfter(after: string): number {
  const number = Number(after);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Problem({
    code: 'artifact.page_invalid',
    kind: 'invalid',
    message: 'The value of after is not one that a list gave.',
    hint: 'Pass the value of next, unchanged.',
  });
}
