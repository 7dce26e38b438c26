import { type ArtifactRecord, type Artifacts, parseNameAtVersion } from '#artifact';
import { type Digest, isDigest, newId, Problem } from '#base';
import { actorOf, type Caller, type Identity, type Project } from '#identity';
import type { Journal } from '#journal';
import { parsePolicy, type PolicyDocument, policyDigest } from '#policy';
import type { Db } from '#storage';
import { authorOf, requireRun } from './evidence.ts';
import * as facts from './facts.ts';
import * as problems from './problems.ts';
import * as store from './store.ts';

export interface PromotionQuery {
  project: string;
  environment?: string | undefined;
  digest?: string | undefined;
  status?: store.PromotionStatus | undefined;
  limit: number;
  after?: string | undefined;
}

export interface Releases {
  environments(caller: Caller, project: string): Promise<store.Environment[]>;
  environment(caller: Caller, project: string, name: string): Promise<store.Environment>;
  /** `environment:admin`. From the next decision on; summaries made under the old one no longer open the next environment. */
  setPolicy(caller: Caller, project: string, name: string, policy: unknown): Promise<store.Environment>;
  /** `artifact` is a digest or `name@version`. The decision follows by itself as soon as there is all it needs. */
  requestPromotion(
    caller: Caller,
    request: { project: string; artifact: string; to: string; comment?: string | undefined },
  ): Promise<store.Promotion>;
  approve(caller: Caller, promotion: string, comment?: string): Promise<store.Promotion>;
  promotions(caller: Caller, query: PromotionQuery): Promise<{ items: store.Promotion[]; next: string | null }>;
  promotion(caller: Caller, id: string): Promise<store.Promotion>;
  /** For modules after this one: no caller, no question asked. */
  findEnvironment(id: string): Promise<store.Environment | undefined>;
  findPromotion(id: string): Promise<store.Promotion | undefined>;
  findPromotions(filter: store.PromotionFilter): Promise<store.Promotion[]>;
  /** What an environment is to run: of each name the artifact that was promoted last. */
  desired(environment: string): Promise<store.Promotion[]>;
}

export interface ReleaseOptions {
  db: Db;
  journal: Journal;
  identity: Identity;
  artifacts: Artifacts;
  /** A drill switches it off to show what it is for: then a request for what lies in the playground is taken. */
  controls?: { releaseOnly: boolean };
}

export function createReleases({ db, journal, identity, artifacts, controls }: ReleaseOptions): Releases {
  async function requireEnvironment(project: Project, name: string): Promise<store.Environment> {
    const found = (await store.selectEnvironments(db, project.id)).find((environment) => environment.name === name);
    if (!found) throw problems.environmentNotFound(project.slug, name);
    return found;
  }

  async function requirePromotion(caller: Caller, id: string): Promise<store.Promotion> {
    const promotion = await store.findPromotion(db, id);
    if (!promotion) throw problems.promotionNotFound(id);
    const { allowed } = await identity.decide(caller, 'project:read', { project: promotion.project });
    if (!allowed) throw problems.promotionNotFound(id);
    return promotion;
  }

  /** Only records of the release repository count; a digest that lies in both is promoted as what CI published. */
  async function requirePromotable(
    caller: Caller,
    project: Project,
    environment: store.Environment,
    artifact: string,
  ): Promise<ArtifactRecord> {
    const filter = isDigest(artifact) ? { digest: artifact } : parseNameAtVersion(artifact);
    const here = { ...filter, projects: [project.id], limit: 1 };
    const [release] = await artifacts.findRecords({ ...here, kind: 'release' });
    if (release) return release;
    const records = await artifacts.findRecords(here);
    if (records[0] && controls?.releaseOnly === false) return records[0];
    if (records[0]) throw await refuseRequest(caller, project, environment, artifact, records[0].digest);
    throw new Problem({
      code: 'artifact.not_found',
      kind: 'not_found',
      message: `${project.slug} has no artifact ${artifact.slice(0, 120)}.`,
      hint: 'List what there is: waybill artifact list.',
    });
  }

  async function refuseRequest(
    caller: Caller,
    project: Project,
    environment: store.Environment,
    artifact: string,
    digest: Digest,
  ): Promise<Problem> {
    const problem = problems.notPromotable(artifact);
    await journal.record({
      fact: facts.requestRefused,
      stream: `refusal/${project.id}`,
      subject: digest,
      actor: actorOf(caller),
      payload: {
        project: project.id,
        environment: environment.id,
        environmentName: environment.name,
        artifact,
        digest,
        code: problem.code,
      },
    });
    return problem;
  }

  return {
    async environments(caller, slug) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'project:read', { project: project.id });
      return await store.selectEnvironments(db, project.id);
    },
    async environment(caller, slug, name) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'project:read', { project: project.id });
      return await requireEnvironment(project, name);
    },
    async setPolicy(caller, slug, name, untrusted) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'environment:admin', { project: project.id });
      const environment = await requireEnvironment(project, name);
      const policy: PolicyDocument = parsePolicy(untrusted);
      if (policy.name !== environment.policy.name) {
        throw problems.policyFromElsewhere(environment.policy.name, policy.name);
      }
      await journal.record({
        fact: facts.policyChanged,
        stream: `environment/${environment.id}`,
        expectSeq: environment.policyVersion,
        actor: actorOf(caller),
        payload: {
          environment: environment.id,
          project: project.id,
          policy,
          policyDigest: policyDigest(policy),
          policyVersion: environment.policyVersion + 1,
          previousDigest: environment.policyDigest,
        },
      });
      return await requireEnvironment(project, name);
    },
    async requestPromotion(caller, { project: slug, artifact, to, comment = '' }) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'release:request', { project: project.id });
      const environment = await requireEnvironment(project, to);
      const record = await requirePromotable(caller, project, environment, artifact);
      const open = { environment: environment.id, digest: record.digest, status: 'waiting' as const, limit: 20 };
      const waiting = (await store.selectPromotions(db, open)).find((entry) => entry.artifact === record.id);
      if (waiting) return waiting;
      const promotion = newId('pmt');
      await journal.record({
        fact: facts.promotionRequested,
        stream: `promotion/${promotion}`,
        subject: record.digest,
        actor: actorOf(caller),
        payload: {
          promotion,
          project: project.id,
          environment: environment.id,
          environmentName: environment.name,
          artifact: record.id,
          digest: record.digest,
          name: record.name,
          version: record.version,
          comment,
        },
      });
      return (await store.findPromotion(db, promotion))!;
    },
    async approve(caller, id, comment = '') {
      const promotion = await requirePromotion(caller, id);
      await identity.require(caller, 'release:approve', { project: promotion.project });
      if (caller.kind !== 'person') throw problems.approverIsNoPerson();
      if (promotion.status !== 'waiting') throw problems.alreadyDecided(id, promotion.status);
      if (promotion.requester === caller.principal) throw problems.approverIsRequester();
      await refuseAuthor(caller, promotion);
      if (promotion.approvals.some(({ principal }) => principal === caller.principal)) return promotion;
      await journal.record({
        fact: facts.promotionApproved,
        stream: `promotion/${id}`,
        subject: promotion.digest,
        actor: actorOf(caller),
        payload: { promotion: id, digest: promotion.digest, approverKind: 'person', comment },
        guard: async (tx) => {
          const status = await store.statusOf(tx, id);
          if (status !== 'waiting') throw problems.alreadyDecided(id, status ?? 'gone');
        },
      });
      return (await store.findPromotion(db, id))!;
    },
    async promotions(caller, { project: slug, environment: name, after, limit, ...filter }) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'project:read', { project: project.id });
      const environment = name === undefined ? undefined : (await requireEnvironment(project, name)).id;
      const before = after === undefined ? undefined : Number(after) || 0;
      const query = { ...filter, project: project.id, environment, before, limit: limit + 1 };
      const page = await store.selectPromotions(db, query);
      return { items: page.slice(0, limit), next: page.length > limit ? String(page[limit - 1]!.fact) : null };
    },
    promotion: requirePromotion,
    findEnvironment: (id) => store.findEnvironment(db, id),
    findPromotion: (id) => store.findPromotion(db, id),
    findPromotions: (filter) => store.selectPromotions(db, filter),
    desired: (environment) => store.selectDesired(db, environment),
  };

  /** The policy counts it out anyway; saying so at once is kinder, and keeps it from looking like an approval. */
  async function refuseAuthor(caller: Caller, promotion: store.Promotion): Promise<void> {
    const environment = await store.findEnvironment(db, promotion.environment);
    const excluded = environment?.policy.rules.some((rule) => rule.kind === 'approvals' && rule.notAuthor);
    if (excluded === false) return;
    const run = await requireRun(journal, promotion.digest, promotion.artifact);
    if (run && (await authorOf(journal, run)) === caller.principal) throw problems.approverIsAuthor();
  }
}
