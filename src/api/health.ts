import { z } from 'zod';
import { defineEndpoint, Problem } from '#base';
import { type App, bindEndpoint } from '#http';
import type { Ledger } from '#ledger';
import type { Journal } from '#journal';

const alive = defineEndpoint({
  name: 'health.alive',
  method: 'GET',
  path: '/healthz',
  summary: 'Is the process up?',
  auth: 'public',
  response: z.object({ alive: z.literal(true) }),
});

const ready = defineEndpoint({
  name: 'health.ready',
  method: 'GET',
  path: '/readyz',
  summary: 'Can it record facts and put them into the ledger? Anything else answers 503.',
  auth: 'public',
  response: z.object({ ready: z.literal(true) }),
});

export function bindHealth(app: App, { journal, ledger }: { journal: Journal; ledger: Ledger }): void {
  bindEndpoint(app, alive, async () => ({ alive: true as const }));
  bindEndpoint(app, ready, async () => {
    if (ledger.refusal) throw ledger.refusal;
    await journal.head();
    const stuck = journal.followers().find((follower) => isStuck(follower.stuckOn()));
    if (stuck) throw workerStuck(stuck.name, stuck.stuckOn()?.fact ?? 0);
    return { ready: true as const };
  });
}

/** A worker that tries for longer than this will not get past the fact by itself. */
const STUCK_MS = 60_000;

const isStuck = (on: { since: number } | undefined) => on !== undefined && Date.now() - on.since > STUCK_MS;

const workerStuck = (worker: string, fact: number) =>
  new Problem({
    code: 'server.worker_stuck',
    kind: 'unavailable',
    message: `The worker ${worker} cannot get past fact ${fact}.`,
    hint: 'The server log says why each time it tries; it goes on by itself as soon as the cause is gone.',
    details: { worker, fact },
  });
