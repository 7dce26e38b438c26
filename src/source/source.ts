import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { newId, parseWith, Problem, Slug, type Verdict, verdictOf } from '#base';
import { createDetector, type Detector } from '#detect';
import { actorOf, type Caller, type Identity } from '#identity';
import type { Journal } from '#journal';
import { type Db, ensureDirectory, type Objects } from '#storage';
import { checkDiskRefs } from './check-refs.ts';
import { createOnDisk, dropObjects, listKept, repositoryDirectory, sweep, writeConfig } from './disk.ts';
import { ProtectedPathList, PushCertificates, repositoryCreated, settingsChanged } from './facts.ts';
import { installHooks, openGateSocket } from './gate-socket.ts';
import { exitOf, type GitPlace, spawnGit, statObjects } from './git.ts';
import { defaultProtectedPaths } from './path.ts';
import { allControls, defaultGateLimits, type GateLimits, type SourceControls } from './policy.ts';
import { createPushes, type GitAnswer } from './push.ts';
import {
  type LogEntry,
  listTree,
  openBundle,
  peelToCommit,
  readFileAt,
  readCommit,
  readLog,
  type TreeFile,
} from './reading.ts';
import * as store from './store.ts';

export type GitService = 'git-upload-pack' | 'git-receive-pack';

export interface GateExplanation {
  readonly repository: string;
  readonly controls: readonly { readonly name: string; readonly on: boolean; readonly rule: string }[];
  readonly protectedPaths: readonly string[];
  readonly pushCertificates: store.PushCertificatePolicy;
  readonly limits: GateLimits;
}

export interface Source {
  createRepository(
    caller: Caller,
    request: {
      project: string;
      name: string;
      protectedPaths?: readonly string[];
      pushCertificates?: store.PushCertificatePolicy;
    },
  ): Promise<store.Repository>;
  changeSettings(
    caller: Caller,
    name: string,
    settings: { protectedPaths?: readonly string[]; pushCertificates?: store.PushCertificatePolicy },
  ): Promise<store.Repository>;
  listRepositories(caller: Caller, project: string): Promise<store.Repository[]>;
  showRepository(caller: Caller, name: string): Promise<store.Repository>;
  listPushes(
    caller: Caller,
    query: { project: string; repository?: string; limit: number; before?: number },
  ): Promise<store.Push[]>;
  showPush(caller: Caller, id: string): Promise<store.Push>;
  explainGate(caller: Caller, name: string): Promise<GateExplanation>;

  /** For other modules: these do not ask the engine. */
  requireRepository(name: string): Promise<store.Repository>;
  requireRepositoryById(id: string): Promise<store.Repository>;
  requirePush(id: string): Promise<store.Push>;
  refs(repository: string): Promise<store.Ref[]>;
  /** Who signed a commit, by which push it came. */
  findCommit(repository: string, commit: string): Promise<store.CommitRecord | undefined>;
  /** Do the refs on the disk equal those the facts say? */
  verifyRefs(repository: string): Promise<Verdict>;
  /** The recorded push that put `ref` at `commit`; refuses a commit no accepted push brought, and tampered refs. */
  requireCommit(
    repository: string,
    commit: string,
    ref: string,
  ): Promise<{ push: string; signer: string | null; key: string | null }>;
  /** The commit that a pushed object is or, for an annotated tag, points at. */
  commitOf(repository: string, object: string): Promise<string | undefined>;
  /** A git bundle of the whole history of a commit that an accepted push brought. */
  openBundle(repository: string, commit: string, ref?: string): Promise<Readable>;
  readFile(repository: string, commit: string, path: string, maxBytes?: number): Promise<Buffer | undefined>;
  listFiles(repository: string, commit: string): Promise<TreeFile[]>;
  log(
    repository: string,
    start: string,
    limit: number,
  ): Promise<(LogEntry & { signer: string | null; key: string | null })[]>;

  /** The bytes of a commit, whose hash is its id; undefined if the repository has no such commit. */
  commitObject(repository: string, commit: string): Promise<Buffer | undefined>;

  /** Smart HTTP: the advertisement and the two services. */
  advertise(caller: Caller, name: string, service: GitService, protocol?: string): Promise<GitAnswer>;
  uploadPack(caller: Caller, name: string, request: { body: Readable; protocol?: string }): Promise<GitAnswer>;
  receivePack(caller: Caller, name: string, request: { body: Readable; protocol?: string }): Promise<GitAnswer>;
  /** Waits for the pushes under way and closes the socket of the hooks. */
  close(): Promise<void>;
}

export interface SourceOptions {
  /** `DATA/git`. */
  readonly dir: string;
  readonly publicUrl: string;
  /** 32 random bytes, kept: nonces of push certificates and fingerprints of found values are made with it. */
  readonly secret: Uint8Array;
  readonly journal: Journal;
  readonly db: Db;
  readonly objects: Objects;
  readonly identity: Identity;
  readonly controls?: Partial<SourceControls>;
  readonly limits?: Partial<GateLimits>;
  readonly detector?: Detector;
}

/** Opens the repositories; finishes or undoes what a crash interrupted before anything is served. */
export async function createSource(options: SourceOptions): Promise<Source> {
  const { dir: root, identity, journal, db } = options;
  const controls: SourceControls = { ...allControls, ...options.controls };
  const limits: GateLimits = { ...defaultGateLimits, ...options.limits };
  const hooks = join(root, 'hooks');
  const derive = (purpose: string) => createHmac('sha256', options.secret).update(purpose).digest();
  const detector = options.detector ?? createDetector({ fingerprintKey: derive('fingerprints') });
  const pushes = createPushes({
    root,
    hooks,
    publicUrl: options.publicUrl,
    journal,
    db,
    objects: options.objects,
    directory: identity,
    detector,
    controls,
    limits,
    nonceSeed: (repository) => derive(`nonces ${repository}`).toString('hex'),
  });
  await ensureDirectory(root);
  await installHooks(hooks, { lock: controls.refLock });
  const socket = await openGateSocket(root, (question) => pushes.answerHook(question));
  pushes.useSocket(socket);
  for (const repository of await store.listRepositories(db)) await reconcile(repository);

  const placeOf = (repository: string): GitPlace => ({ dir: repositoryDirectory(root, repository) });

  /** After a crash: a push with a fact is completed, the objects of one without are removed. */
  async function reconcile(repository: store.Repository): Promise<void> {
    const place = repositoryDirectory(root, repository.id);
    await writeConfig(place, hooks);
    await sweep(place);
    for (const kept of await listKept(place)) {
      const push = await store.findPush(db, kept.push);
      if (push?.state !== 'accepted') await dropObjects(place, kept);
      else await pushes.settle(repository, { push: push.id, updates: push.updates });
    }
  }

  async function requireRepository(name: string): Promise<store.Repository> {
    const found = await store.findRepository(db, { name });
    if (found === undefined) throw noRepository(name);
    return found;
  }

  async function requireRepositoryById(id: string): Promise<store.Repository> {
    const found = await store.findRepository(db, { id });
    if (found === undefined) throw noRepository(id);
    return found;
  }

  /** Who may not read the project is told no more than who asks for a repository that does not exist. */
  async function requireReadable(caller: Caller, name: string): Promise<store.Repository> {
    const found = await store.findRepository(db, { name });
    if (caller.kind === 'anonymous' || found === undefined) {
      if (caller.kind === 'anonymous') await identity.require(caller, 'source:read');
      throw noRepository(name);
    }
    if (!(await identity.decide(caller, 'source:read', { project: found.project })).allowed) throw noRepository(name);
    return found;
  }

  async function verifyRefs(repository: string): Promise<Verdict> {
    return verdictOf(
      await checkDiskRefs(placeOf(repository), await store.refsOf(db, repository), pushes.moving(repository)),
    );
  }

  async function requireUntampered(repository: store.Repository): Promise<void> {
    if (!controls.diskRefs) return;
    const verdict = await verifyRefs(repository.id);
    if (!verdict.ok) throw tampered(repository.name, verdict);
  }

  async function requireRecorded(repository: string, commit: string): Promise<store.CommitRecord> {
    const record = (await store.findCommits(db, repository, [commit])).get(commit);
    if (record === undefined) throw notRecorded(commit);
    return record;
  }

  function serve(
    place: GitPlace,
    args: readonly string[],
    configuration: Record<string, string>,
    request: { body?: Readable; protocol?: string },
  ): GitAnswer {
    const env = request.protocol === undefined ? {} : { GIT_PROTOCOL: request.protocol };
    const child = spawnGit({ ...place, env }, [...args, '.'], configuration);
    const stop = () => {
      child.stdout.destroy();
      child.kill();
    };
    const timer = setTimeout(stop, limits.pushMs);
    const status = exitOf(child)
      .catch(() => -1)
      .finally(() => clearTimeout(timer));
    child.stderr.resume();
    if (request.body === undefined) child.stdin.end();
    else {
      request.body.on('error', stop);
      request.body.pipe(child.stdin);
    }
    return {
      output: child.stdout,
      status,
      stop,
    };
  }

  return {
    async createRepository(caller, request) {
      const project = await identity.requireProject(request.project);
      await identity.require(caller, 'project:admin', { project: project.id });
      const name = `${project.slug}/${parseWith(Slug, request.name, 'source.name_invalid')}`;
      const protectedPaths = parseWith(
        ProtectedPathList,
        request.protectedPaths ?? [...defaultProtectedPaths],
        'source.settings_invalid',
      );
      if (await store.findRepository(db, { name })) throw taken(name);
      const id = newId('rep');
      await createOnDisk(root, id, hooks);
      await journal.record({
        fact: repositoryCreated,
        stream: `repository/${id}`,
        actor: actorOf(caller),
        expectSeq: 0,
        payload: {
          repository: id,
          project: project.id,
          name,
          protectedPaths,
          pushCertificates: request.pushCertificates ?? 'ask',
        },
      });
      return await requireRepositoryById(id);
    },
    async changeSettings(caller, name, settings) {
      const repository = await requireReadable(caller, name);
      await identity.require(caller, 'project:admin', { project: repository.project });
      const protectedPaths = parseWith(
        ProtectedPathList,
        settings.protectedPaths ?? repository.protectedPaths,
        'source.settings_invalid',
      );
      const pushCertificates = parseWith(
        PushCertificates,
        settings.pushCertificates ?? repository.pushCertificates,
        'source.settings_invalid',
      );
      await journal.record({
        fact: settingsChanged,
        stream: `repository/${repository.id}`,
        actor: actorOf(caller),
        payload: { repository: repository.id, protectedPaths, pushCertificates },
      });
      return await requireRepositoryById(repository.id);
    },
    async listRepositories(caller, slug) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'source:read', { project: project.id });
      return await store.listRepositories(db, project.id);
    },
    showRepository: requireReadable,
    async listPushes(caller, query) {
      const project = await identity.requireProject(query.project);
      await identity.require(caller, 'source:read', { project: project.id });
      const repositories = await store.listRepositories(db, project.id);
      const wanted = repositories.filter(
        ({ name }) => query.repository === undefined || name === `${project.slug}/${query.repository}`,
      );
      return await store.listPushes(db, { ...query, repositories: wanted.map(({ id }) => id) });
    },
    async showPush(caller, id) {
      const push = await store.findPush(db, id);
      const repository = push && (await store.findRepository(db, { id: push.repository }));
      if (push === undefined || repository === undefined) throw noPush(id);
      if (!(await identity.decide(caller, 'source:read', { project: repository.project })).allowed) throw noPush(id);
      return push;
    },
    async explainGate(caller, name) {
      const repository = await requireReadable(caller, name);
      return {
        repository: repository.name,
        controls: Object.entries(controlRules).map(([control, rule]) => ({
          name: control,
          on: controls[control as keyof SourceControls],
          rule,
        })),
        protectedPaths: repository.protectedPaths,
        pushCertificates: repository.pushCertificates,
        limits,
      };
    },
    requireRepository,
    requireRepositoryById,
    async requirePush(id) {
      const push = await store.findPush(db, id);
      if (push === undefined) throw noPush(id);
      return push;
    },
    refs: (repository) => store.refsOf(db, repository),
    findCommit: async (repository, commit) => (await store.findCommits(db, repository, [commit])).get(commit),
    verifyRefs,
    async requireCommit(repositoryId, commit, ref) {
      const repository = await requireRepositoryById(repositoryId);
      await requireUntampered(repository);
      const push = await store.findUpdate(db, repositoryId, ref, commit);
      if (push === undefined) throw notRecorded(commit);
      const record = await requireRecorded(repositoryId, commit);
      const [found] = await statObjects(placeOf(repositoryId), [commit]);
      if (found?.type !== 'commit') throw notRecorded(commit);
      return { push, signer: record.signer, key: record.key };
    },
    commitOf: (repository, object) => peelToCommit(placeOf(repository), object),
    async openBundle(repository, commit, ref = 'refs/heads/build') {
      await requireRecorded(repository, commit);
      return await openBundle(placeOf(repository), commit, ref);
    },
    readFile: (repository, commit, path, maxBytes) => readFileAt(placeOf(repository), commit, path, maxBytes),
    listFiles: (repository, commit) => listTree(placeOf(repository), commit),
    commitObject: (repository, commit) => readCommit(placeOf(repository), commit),
    async log(repository, start, limit) {
      const entries = await readLog(placeOf(repository), start, limit);
      const records = await store.findCommits(
        db,
        repository,
        entries.map(({ id }) => id),
      );
      return entries.map((entry) => ({
        ...entry,
        signer: records.get(entry.id)?.signer ?? null,
        key: records.get(entry.id)?.key ?? null,
      }));
    },
    async advertise(caller, name, service, protocol) {
      const repository = await requireReadable(caller, name);
      const push = service === 'git-receive-pack';
      if (push) await identity.require(caller, 'source:push', { project: repository.project });
      await requireUntampered(repository);
      const configuration = push ? pushes.configuration(repository) : fetchConfiguration;
      const args = [service.slice('git-'.length), '--stateless-rpc', '--http-backend-info-refs'];
      return serve(placeOf(repository.id), args, configuration, protocol === undefined ? {} : { protocol });
    },
    async uploadPack(caller, name, request) {
      const repository = await requireReadable(caller, name);
      await requireUntampered(repository);
      return serve(placeOf(repository.id), ['upload-pack', '--stateless-rpc'], fetchConfiguration, request);
    },
    async receivePack(caller, name, request) {
      const repository = await requireReadable(caller, name);
      await identity.require(caller, 'source:push', { project: repository.project });
      return await pushes.receive(caller, repository, request);
    },
    async close() {
      await pushes.idle();
      await socket.close();
    },
  };
}

const fetchConfiguration: Record<string, string> = {
  'uploadpack.allowFilter': 'true',
  'uploadpack.allowAnySHA1InWant': 'false',
  'transfer.hideRefs': 'refs/waybill',
  'pack.threads': '1',
};

/** What each control means, for people. */
const controlRules: Readonly<Record<keyof SourceControls, string>> = {
  diskRefs: 'The refs on the server’s disk are the recorded ones; otherwise nobody pushes, fetches or builds.',
  refNames: 'Only branches, tags and notes, and no two whose names differ in case alone.',
  appendOnly: 'Nothing is deleted, no branch is rewritten, no tag moves.',
  sizes: 'What is too large to be looked into does not come in.',
  smuggling: 'Only objects that the pushed refs lead to.',
  signatures: 'Every new commit and tag is signed by an enrolled, active SSH key of somebody who may push here.',
  authors: 'Author, committer and tagger are registered e-mail addresses of the signer.',
  protectedPaths: 'What a build trusts is changed, signed and pushed only by people who hold source:push-protected.',
  secrets: 'No secret in any new file, link, name or message, in whatever encoding.',
  certificates: 'A signed push certificate, where one is sent or required, is good, meant for this server, and new.',
  refLock: 'git itself moves no ref that the gate did not approve.',
};

const noRepository = (name: string) =>
  new Problem({
    code: 'source.repository_not_found',
    kind: 'not_found',
    message: `There is no repository ${name.slice(0, 90)}, or you may not see it.`,
    hint: 'Check the spelling, or ask for a role on its project.',
  });

const noPush = (id: string) =>
  new Problem({
    code: 'source.push_not_found',
    kind: 'not_found',
    message: `There is no push ${id.slice(0, 60)}, or you may not see it.`,
    hint: 'List the pushes of the repository.',
  });

const taken = (name: string) =>
  new Problem({
    code: 'source.name_taken',
    kind: 'conflict',
    message: `The repository ${name} exists already.`,
    hint: 'Choose another name, or push to the one that exists.',
  });

const notRecorded = (commit: string) =>
  new Problem({
    code: 'source.commit_not_recorded',
    kind: 'rejected',
    message: `No accepted push brought the commit ${commit.slice(0, 12)}.`,
    hint: 'Push it; only what went through the gate is built.',
  });

const tampered = (name: string, verdict: Verdict) =>
  new Problem({
    code: 'source.refs_tampered',
    kind: 'rejected',
    message:
      `The refs of ${name} on the server’s disk are not the recorded ones: ${verdict.checks.map((check) => `${check.expected}, found ${check.found}`).join('; ')}.`.slice(
        0,
        500,
      ),
    hint: 'Something other than a push moved them. An administrator restores them and finds out what it was.',
    details: { checks: verdict.checks },
  });
