import { type Check, failed, passed } from '#base';
import type { ChainEvidence } from './evidence.ts';
import { agrees, holds, type Hop, makeHop, missingHop, streamCheck } from './hop.ts';

export function runHop({ run, publication, push }: ChainEvidence, title: string): Hop {
  const published = publication?.fact.payload;
  if (!run?.queued || !run.finished) return missingHop('run', published?.run ?? '', title, 'a queued and finished run');
  const { queued, started, finishedJobs, finished, stream, rows } = run;
  const { payload } = queued.fact;
  const outputs = finished.fact.payload.outputs;
  const failedJobs = finishedJobs.filter(({ fact }) => !['success', 'skipped'].includes(fact.payload.result));
  const makers = finishedJobs.filter(({ fact }) =>
    fact.payload.outputs.some(({ name, digest }) => name === published?.output && digest === published.digest),
  );
  const output = outputs.find(({ name }) => name === published?.output);
  return makeHop({
    kind: 'run',
    id: payload.run,
    title: `${title}: run ${payload.number} of ${payload.name}, ${payload.workflow.path}`,
    proven: [finished, ...finishedJobs, ...started, queued],
    links: { commit: payload.commit, push: payload.push, ref: payload.ref },
    checks: [
      streamCheck(stream),
      ...rows,
      holds('every job succeeded', finishedJobs.length > 0 && failedJobs.length === 0, {
        expected: 'finished jobs, all with success',
        found: failedJobs.map(({ fact }) => `${fact.payload.job} ${fact.payload.result}`).join(', ') || 'no job',
      }),
      holds('a job put out these bytes', makers.length > 0, {
        expected: `${published?.output} ${published?.digest}`,
        found: finishedJobs
          .flatMap(({ fact }) => fact.payload.outputs.map(({ name, digest }) => `${name} ${digest}`))
          .join(', '),
      }),
      agrees('result', 'success', finished.fact.payload.result),
      agrees('run', published?.run, payload.run),
      agrees('commit', published?.commit, payload.commit),
      agrees('output', published?.digest, output?.digest),
      agrees('size', published?.size, output?.size),
      agrees('push', push?.fact.payload.push, payload.push),
      agrees('push fact', push?.fact.number, payload.pushFact),
      agrees('repository', push?.fact.payload.repository, payload.repository),
    ],
  });
}

export function pushHop({ push, pushRows, run }: ChainEvidence, title: string): Hop {
  const queued = run?.queued?.fact.payload;
  if (!push) return missingHop('push', queued?.push ?? '', title, 'the accepted push of the run');
  const { payload } = push.fact;
  const refused = payload.checks.find(({ status }) => status === 'failed');
  const isOurs = ({ ref }: { ref: string }) => ref === queued?.ref;
  const commit = payload.tagged.find(isOurs)?.commit ?? payload.updates.find(isOurs)?.new;
  return makeHop({
    kind: 'push',
    id: payload.push,
    title: `${title}: ${payload.updates.map(({ ref }) => ref).join(', ')} of ${payload.name}`,
    proven: [push],
    links: { commit: commit ?? 'none', pusher: payload.pusher },
    checks: [
      ...pushRows,
      refused
        ? failed('gate said yes', { code: 'trace.link_broken', expected: 'every check passed', found: refused.name })
        : passed('gate said yes', `${payload.checks.length} checks`),
      agrees('commit', queued?.commit, commit),
      agrees('push', queued?.push, payload.push),
    ],
  });
}

export function commitHop({ commit, origin, run }: ChainEvidence, title: string): Hop {
  const id = run?.queued?.fact.payload.commit ?? '';
  const brought = origin?.fact.payload.commits.find((entry) => entry.id === id);
  if (!origin || !brought || !commit) return missingHop('commit', id, title, 'the push that brought the commit');
  const { enrolled, revoked, person, rows, repository } = commit;
  const { signer, key } = brought;
  const name = person?.fact.payload.name;
  return makeHop({
    kind: 'commit',
    id,
    title: `${title}: ${name ?? signer ?? 'nobody known'}`,
    proven: [origin, enrolled, revoked, person],
    links: { signer: signer ?? 'none', key: key ?? 'none' },
    checks: [
      ...rows,
      repository,
      agrees('key', enrolled?.fact.payload.fingerprint, key),
      agrees('signer', enrolled?.fact.payload.principal, signer),
      agrees('person', person?.fact.payload.principal, signer),
      checkKeyWasGood(origin.fact.number, enrolled?.fact.number, revoked?.fact.number),
    ],
  });
}

/** Facts are in order, so "at that time" needs no clock. */
function checkKeyWasGood(pushed: number, enrolled: number | undefined, revoked: number | undefined): Check {
  return holds(
    'key was enrolled and not revoked when the commit came',
    enrolled !== undefined && enrolled < pushed && (revoked === undefined || revoked > pushed),
    {
      expected: `enrolled before fact ${pushed} and not revoked before it`,
      found: `enrolled ${enrolled ?? 'never'}, revoked ${revoked ?? 'never'}`,
    },
  );
}
