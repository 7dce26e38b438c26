import { parseDigest } from '#base';
import { type App, bindEndpoint } from '#http';
import { traceContract as contract, type Traces } from '#trace';

/** The chain of evidence of one artifact. */
export function bindTrace(app: App, { traces }: { traces: Traces }): void {
  bindEndpoint(app, contract.showTrace, async ({ caller, query }) => {
    const { digest, ...rest } = query;
    return await traces.trace(caller, { ...rest, ...(digest === undefined ? {} : { digest: parseDigest(digest) }) });
  });
}
