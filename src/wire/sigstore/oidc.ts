import type { App } from '#http';
import type { Issuers, OwnIssuer } from '#identity';

/** Who our issuers are, for whoever checks their tokens. The control plane has no tokens, so nothing is published for it. */
export function registerOidc(app: App, { issuers }: { issuers: Issuers }): void {
  for (const which of ['people', 'jobs'] as const satisfies readonly OwnIssuer[]) {
    const path = new URL(issuers.url(which)).pathname;
    app.get(`${path}/.well-known/openid-configuration`, async (_request, reply) => {
      return await reply.header('cache-control', 'max-age=900').send(issuers.discovery(which));
    });
    app.get(`${path}/jwks`, async (_request, reply) => {
      const body = JSON.stringify(issuers.keySet(which));
      return await reply.header('cache-control', 'max-age=900').type('application/jwk-set+json').send(body);
    });
  }
}
