import type { Caller, Identity } from '#identity';
import { type Trace, traceChain } from './chain.ts';
import { loadChain, type LoadParts } from './load.ts';
import { locate, type TraceQuery } from './locate.ts';

export interface Traces {
  /** `trace.not_found` if nothing here was ever that; otherwise a trace, whole or naming its first broken hop. */
  trace(caller: Caller, query: TraceQuery): Promise<Trace>;
}

export interface TraceOptions extends LoadParts {
  identity: Identity;
}

export function createTraces(options: TraceOptions): Traces {
  const { identity } = options;

  return {
    async trace(caller, query) {
      const known = new Map<string, boolean>();
      const mayRead = async (project: string) => {
        const answer = known.get(project) ?? (await identity.decide(caller, 'artifact:read', { project })).allowed;
        known.set(project, answer);
        return answer;
      };
      const start = await locate(options, query, mayRead);
      return traceChain(await loadChain(options, start));
    },
  };
}
