import { type Artifacts, parseNameAtVersion, provenanceSan, readRun } from '#artifact';
import { type Clock, type Digest, isDigest, limits, newId, Problem } from '#base';
import { actorOf, type Caller, type Identity } from '#identity';
import type { Draft, Journal } from '#journal';
import type { Environment, Promotion, Releases } from '#release';
import type { Db } from '#storage';
import type { Plan, PlanItem, Report } from './agent/protocol.ts';
import * as facts from './facts.ts';
import * as problems from './problems.ts';
import * as store from './store.ts';

export interface DeploymentQuery {
  project: string;
  environment?: string | undefined;
  digest?: string | undefined;
  path?: string | undefined;
  status?: store.DeploymentStatus | undefined;
  limit: number;
  after?: string | undefined;
}

export interface Deployments {
  createTarget(
    caller: Caller,
    target: { project: string; environment: string; name: string; agent: string },
  ): Promise<store.Target>;
  targets(caller: Caller, project: string, environment: string): Promise<store.Target[]>;
  /** One of the artifacts that were promoted there; whoever may not request deployments, or what was not promoted, is refused. */
  requestDeploy(caller: Caller, request: { project: string; environment: string; artifact: string }): Promise<PlanItem>;
  /** For the target's own agent only. */
  plan(caller: Caller, target: string): Promise<Plan>;
  /** For the target's own agent only. The same report again changes nothing. */
  report(caller: Caller, target: string, report: Report): Promise<{ report: string; fact: number }>;
  deployments(caller: Caller, query: DeploymentQuery): Promise<{ items: store.Deployment[]; next: string | null }>;
  /** For modules after this one: no caller, no question asked. */
  findDeployments(filter: store.DeploymentFilter): Promise<store.Deployment[]>;
  findTarget(id: string): Promise<store.Target | undefined>;
}

export interface DeployOptions {
  db: Db;
  journal: Journal;
  identity: Identity;
  artifacts: Artifacts;
  releases: Releases;
  clock: Clock;
  publicUrl: string;
}

interface Chosen {
  promotion: Promotion;
  /** Number of the fact that chose it. */
  order: number;
}

export function createDeployments(options: DeployOptions): Deployments {
  const { db, journal, identity, artifacts, releases, clock, publicUrl } = options;

  async function requireEnvironment(caller: Caller, slug: string, name: string, permission: string) {
    const project = await identity.requireProject(slug);
    await identity.require(caller, permission, { project: project.id });
    return { project, environment: await releases.environment(caller, slug, name) };
  }

  /** Being an agent is not enough: it must be the one this target names. */
  async function requireOwnTarget(caller: Caller, id: string, permission: string): Promise<store.Target> {
    const target = await store.findTarget(db, id);
    if (!target) throw problems.targetNotFound(id);
    await identity.require(caller, permission, { project: target.project });
    if (target.agent !== caller.principal) throw problems.notYourTarget(id);
    return target;
  }

  /** Promoted last, unless somebody chose another promoted one since. */
  async function desired(environment: string): Promise<Chosen[]> {
    const requests = await store.newestRequests(db, environment);
    const chosen: Chosen[] = [];
    for (const promotion of await releases.desired(environment)) {
      const request = requests.get(promotion.name);
      const decided = promotion.decidedFact ?? 0;
      if (!request || request.fact < decided) {
        chosen.push({ promotion, order: decided });
        continue;
      }
      const wanted = await releases.findPromotion(request.promotion);
      if (wanted?.status === 'promoted') chosen.push({ promotion: wanted, order: request.fact });
    }
    return chosen;
  }

  async function planItem({ promotion, order }: Chosen): Promise<PlanItem | undefined> {
    const record = await artifacts.findRecord(promotion.artifact);
    if (!record?.run || !record.provenance || !promotion.summary) return undefined;
    const published = await journal.find(record.fact);
    const signedFact = (published?.payload as { provenanceFact?: number } | undefined)?.provenanceFact ?? 0;
    const run = readRun(await journal.byStream(`run/${record.run}`), signedFact);
    if (!run) return undefined;
    return {
      order,
      promotion: promotion.id,
      artifact: record.id,
      digest: record.digest,
      size: record.size,
      name: record.name,
      version: record.version,
      file: record.file,
      provenance: record.provenance,
      provenanceSan: provenanceSan(publicUrl, run),
      summary: promotion.summary,
    };
  }

  async function requirePromoted(project: string, environment: Environment, artifact: string): Promise<Promotion> {
    const wanted = isDigest(artifact) ? { digest: artifact } : parseNameAtVersion(artifact);
    const filter = { project, environment: environment.id, status: 'promoted' as const, limit: limits.pageItems };
    const promotions = await releases.findPromotions({
      ...filter,
      ...('digest' in wanted ? { digest: wanted.digest } : {}),
    });
    const found = promotions.find(
      (promotion) => 'digest' in wanted || (promotion.name === wanted.name && promotion.version === wanted.version),
    );
    if (!found) throw problems.notPromoted(artifact, environment.name);
    return found;
  }

  async function draftOf(caller: Caller, target: store.Target, report: Report): Promise<Draft> {
    const { project, environment, id } = target;
    const common = { report: report.report, target: id, project, environment, seenAt: report.seenAt };
    const draft = { stream: `target/${id}`, actor: actorOf(caller), subject: report.digest as Digest };
    if (report.kind === 'verified') {
      await requirePlanned(target, report);
      const { kind: _kind, seenAt: _seenAt, report: _report, ...rest } = report;
      return { ...draft, fact: facts.verified, payload: { ...common, ...rest } };
    }
    if (report.kind === 'refused') {
      const { promotion, digest, name, version, checks } = report;
      return { ...draft, fact: facts.refused, payload: { ...common, promotion, digest, name, version, checks } };
    }
    await requireDeployment(target, report);
    const { deployment, digest } = report;
    if (report.kind === 'drifted') {
      const { drift: kind, path, expected, found } = report;
      return { ...draft, fact: facts.drifted, payload: { ...common, deployment, digest, kind, path, expected, found } };
    }
    const { reason, detail } = report;
    return { ...draft, fact: facts.stopped, payload: { ...common, deployment, digest, reason, detail } };
  }

  /** An agent cannot report as deployed what was never let into its environment. */
  async function requirePlanned(
    target: store.Target,
    report: { promotion: string; digest: string; artifact: string; name: string },
  ): Promise<void> {
    const promotion = await releases.findPromotion(report.promotion);
    const agrees =
      promotion?.environment === target.environment &&
      promotion.status === 'promoted' &&
      promotion.digest === report.digest &&
      promotion.artifact === report.artifact &&
      promotion.name === report.name;
    if (!agrees) throw problems.notPromoted(report.digest, target.environmentName);
  }

  async function requireDeployment(
    target: store.Target,
    report: { deployment: string; digest: string },
  ): Promise<void> {
    const deployment = await store.findDeployment(db, report.deployment);
    if (deployment?.target !== target.id || deployment.digest !== report.digest) {
      throw problems.deploymentNotFound(report.deployment);
    }
  }

  return {
    async createTarget(caller, { project: slug, environment: environmentName, name, agent }) {
      const { project, environment } = await requireEnvironment(caller, slug, environmentName, 'environment:admin');
      const principal = (await identity.findPrincipal(agent)) ?? (await identity.findPrincipalByName(agent));
      if (principal?.kind !== 'machine') throw problems.agentNotFound(agent);
      if ((await store.selectTargets(db, { environment: environment.id })).some((target) => target.name === name)) {
        throw problems.targetExists(name);
      }
      const target = newId('tgt');
      await journal.record({
        fact: facts.targetCreated,
        stream: `target/${target}`,
        actor: actorOf(caller),
        payload: {
          target,
          project: project.id,
          environment: environment.id,
          environmentName: environment.name,
          name,
          agent: principal.id,
        },
      });
      return (await store.findTarget(db, target))!;
    },
    async targets(caller, slug, environmentName) {
      const { environment } = await requireEnvironment(caller, slug, environmentName, 'deploy:read');
      return await store.selectTargets(db, { environment: environment.id });
    },
    async requestDeploy(caller, { project: slug, environment: environmentName, artifact }) {
      const { project, environment } = await requireEnvironment(caller, slug, environmentName, 'deploy:request');
      const promotion = await requirePromoted(project.id, environment, artifact);
      const { number } = await journal.record({
        fact: facts.requested,
        stream: `deploy/${environment.id}`,
        subject: promotion.digest,
        actor: actorOf(caller),
        payload: {
          project: project.id,
          environment: environment.id,
          environmentName: environment.name,
          promotion: promotion.id,
          artifact: promotion.artifact,
          digest: promotion.digest,
          name: promotion.name,
          version: promotion.version,
        },
      });
      const item = await planItem({ promotion, order: number });
      if (!item) throw problems.notPromoted(artifact, environment.name);
      return item;
    },
    async plan(caller, id) {
      const target = await requireOwnTarget(caller, id, 'deploy:read');
      await store.noteSeen(db, target.id, clock.now());
      const project = await identity.findProjectById(target.project);
      const items = await Promise.all((await desired(target.environment)).map(planItem));
      return {
        target: target.id,
        project: project?.slug ?? '',
        environment: target.environmentName,
        items: items.filter((item) => item !== undefined),
      };
    },
    async report(caller, id, report) {
      const target = await requireOwnTarget(caller, id, 'deploy:report');
      const known = await store.findReport(db, report.report);
      if (known) return known.target === target.id ? { report: known.id, fact: known.fact } : repeated();
      const fact = await journal.record({
        ...(await draftOf(caller, target, report)),
        guard: async (tx) => {
          if (await store.findReport(tx, report.report)) repeated();
        },
      });
      return { report: report.report, fact: fact.number };
    },
    async deployments(caller, { project: slug, environment: name, after, limit, ...filter }) {
      const project = await identity.requireProject(slug);
      await identity.require(caller, 'deploy:read', { project: project.id });
      const environment = name === undefined ? undefined : (await releases.environment(caller, slug, name)).id;
      const before = after === undefined ? undefined : Number(after) || 0;
      const query = { ...filter, project: project.id, environment, before, limit: limit + 1 };
      const page = await store.selectDeployments(db, query);
      return { items: page.slice(0, limit), next: page.length > limit ? String(page[limit - 1]!.fact) : null };
    },
    findDeployments: (filter) => store.selectDeployments(db, filter),
    findTarget: (id) => store.findTarget(db, id),
  };
}

function repeated(): never {
  throw new Problem({
    code: 'deploy.report_repeated',
    kind: 'conflict',
    message: 'This report is on record already.',
    hint: 'Go on with the next one.',
  });
}
