import type { Published } from '#artifact';
import { Problem } from '#base';
import type { Caller, Identity } from '#identity';
import { type Trace, traceChain } from './chain.ts';
import { loadChain, type LoadParts } from './load.ts';
import { locate, type Start, type TraceQuery } from './locate.ts';

export interface Traces {
  /** `trace.not_found` if nothing here was ever that; otherwise a trace, whole or naming its first broken hop. */
  trace(caller: Caller, query: TraceQuery): Promise<Trace>;
}

export interface TraceOptions extends LoadParts {
  identity: Identity;
}

export function createTraces(options: TraceOptions): Traces {
  const { identity, journal } = options;

  /** The project stands in whatever fact the trace begins with. */
  async function projectOf({ digest, publication, verified }: Start): Promise<string | undefined> {
    if (publication) return publication.payload.project;
    if (verified) return verified.payload.project;
    const [upload] = await journal.byStream(`artifact/${digest}`);
    return (upload?.payload as Published | undefined)?.project;
  }

  return {
    async trace(caller, query) {
      const start = await locate(options, query);
      const project = await projectOf(start);
      if (project === undefined || !(await identity.decide(caller, 'artifact:read', { project })).allowed) {
        throw new Problem({
          code: 'trace.not_found',
          kind: 'not_found',
          message: 'Nothing here was ever called or hashed to that, or you may not see it.',
          hint: 'Check the spelling, or ask an owner for a role that includes artifact:read.',
        });
      }
      return traceChain(await loadChain(options, start));
    },
  };
}
