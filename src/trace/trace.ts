import type { Caller, Identity } from '#identity';
import type { Fact } from '#journal';
import type { Capsule } from './capsule.ts';
import { type Trace, traceChain } from './chain.ts';
import { exportCapsule } from './export-capsule.ts';
import { gatherChain } from './gather.ts';
import { type LoadParts, serverSources } from './load.ts';
import { locate, type Start, type TraceQuery } from './locate.ts';

export interface Traces {
  /** `trace.not_found` if nothing here was ever that; otherwise a trace, whole or naming its first broken hop. */
  trace(caller: Caller, query: TraceQuery): Promise<Trace>;
  /**
   * The same chain as one file that proves itself offline. Payloads the caller may not see are left out and named, and then it
   * does not verify: `audit:read` sees all that is not erased. Also `trace.capsule_too_large`, `trace.capsule_unsettled`.
   */
  capsule(caller: Caller, query: TraceQuery): Promise<Capsule>;
}

export interface TraceOptions extends LoadParts {
  identity: Identity;
}

export function createTraces(options: TraceOptions): Traces {
  const { identity } = options;

  async function find(caller: Caller, query: TraceQuery): Promise<Start> {
    const known = new Map<string, boolean>();
    const mayRead = async (project: string) => {
      const answer = known.get(project) ?? (await identity.decide(caller, 'artifact:read', { project })).allowed;
      known.set(project, answer);
      return answer;
    };
    return await locate(options, query, mayRead);
  }

  /**
   * A payload comes with the address it was sent from, because both are one commitment. So a person's or a machine's fact is for
   * auditors and for whoever made it; what our own workers recorded is for everybody who may read that part of the project.
   */
  function maySee(caller: Caller, { project }: Start): (fact: Fact) => Promise<boolean> {
    const may = async (permission: string, scope: { project?: string }) =>
      (await identity.decide(caller, permission, scope)).allowed;
    return async ({ type, actor }) => {
      const module = type.split('.')[0]!;
      const isOwn = actor.principal === caller.principal;
      if (isOwn || (await may('audit:read', module === 'identity' ? {} : { project }))) return true;
      const permission = readPermissions.get(module);
      return actor.origin.kind === 'worker' && permission !== undefined && (await may(permission, { project }));
    };
  }

  return {
    async trace(caller, query) {
      return traceChain(await gatherChain(serverSources(options), await find(caller, query)));
    },
    async capsule(caller, query) {
      const start = await find(caller, query);
      return await exportCapsule(options, start, maySee(caller, start));
    },
  };
}

const readPermissions: ReadonlyMap<string, string> = new Map([
  ['source', 'source:read'],
  ['build', 'build:read'],
  ['artifact', 'artifact:read'],
  ['release', 'project:read'],
  ['deploy', 'deploy:read'],
  ['ledger', 'ledger:read'],
]);
