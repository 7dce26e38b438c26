import { z } from 'zod';
import { defineEndpoint } from '#base';
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
    return { ready: true as const };
  });
}
