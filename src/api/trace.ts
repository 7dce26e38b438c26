import type { z } from 'zod';
import { parseDigest } from '#base';
import { type App, bindEndpoint } from '#http';
import { traceContract as contract, type TraceQuery, type Traces } from '#trace';

/** The chain of evidence of one artifact. */
export function bindTrace(app: App, { traces }: { traces: Traces }): void {
  bindEndpoint(app, contract.showTrace, ({ caller, query }) => traces.trace(caller, queryOf(query)));
  bindEndpoint(app, contract.showCapsule, ({ caller, query }) => traces.capsule(caller, queryOf(query)));
}

const queryOf = ({ digest, ...rest }: z.output<typeof contract.showTrace.query & object>): TraceQuery => ({
  ...rest,
  ...(digest === undefined ? {} : { digest: parseDigest(digest) }),
});
