import {
  type Attest,
  clientTrust,
  rotateTrust,
  showClientTrust,
  showSigningConfig,
  showTrust,
  signingConfig,
} from '#attest';
import { toIso } from '#base';
import { type App, bindEndpoint } from '#http';
import { actorOf, type Identity, identityContract as contract, type Issuers } from '#identity';

/** Whom this installation believes (issuers and rules), and whom others believe when they believe it (authorities and logs). */
export function bindTrust(
  app: App,
  { identity, issuers, attest }: { identity: Identity; issuers: Issuers; attest: Attest },
): void {
  const done = { done: true } as const;

  bindEndpoint(app, contract.issueIdentityToken, async ({ caller }) => {
    const { token, expiresAt } = await issuers.issuePersonToken(caller);
    return { token, expiresAt: toIso(expiresAt) };
  });
  bindEndpoint(app, contract.trustIssuer, async ({ caller, body: { maxAgeSeconds, ...issuer } }) => {
    await issuers.trustIssuer(caller, { ...issuer, ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }) });
    return done;
  });
  bindEndpoint(app, contract.listIssuers, async ({ caller }) => ({
    items: await issuers.listIssuers(caller),
    next: null,
  }));
  bindEndpoint(app, contract.dropIssuer, async ({ caller, body }) => {
    await issuers.dropIssuer(caller, body.issuer);
    return done;
  });
  bindEndpoint(app, contract.explainToken, ({ caller, body }) => issuers.explain(caller, body.token));
  bindEndpoint(app, contract.setRule, async ({ caller, params: { name }, body }) => ({
    name,
    generation: await issuers.setRule(caller, { ...body, name }),
  }));
  bindEndpoint(app, contract.listRules, async ({ caller }) => ({ items: await issuers.listRules(caller), next: null }));
  bindEndpoint(app, contract.dropRule, async ({ caller, params }) => {
    await issuers.dropRule(caller, params.name);
    return done;
  });

  bindEndpoint(app, showSigningConfig, async ({ query, reply }) => {
    const config = signingConfig(attest.trust(), query.rekor === '2' ? 2 : 1);
    await reply.type('application/json; charset=utf-8').send(`${JSON.stringify(config)}\n`);
  });
  bindEndpoint(app, showClientTrust, async ({ reply }) => {
    const both = clientTrust(attest.trustedRoot(), signingConfig(attest.trust()));
    await reply.type('application/json; charset=utf-8').send(`${JSON.stringify(both)}\n`);
  });
  bindEndpoint(app, showTrust, async ({ caller }) => {
    await identity.require(caller, 'ledger:read');
    const { name, ca, tsa, ct, log, rekor2 } = attest.trust();
    const parts = (generations: readonly { generation: number; start: number; end: number | undefined }[]) =>
      generations.map(({ generation, start, end }) => ({
        generation,
        startsAt: toIso(start),
        endsAt: end === undefined ? null : toIso(end),
      }));
    const alerts = (await attest.alerts()).map(({ code, message, san, at }) => ({ code, message, san, at: toIso(at) }));
    return {
      name,
      parts: { ca: parts(ca), tsa: parts(tsa), ct: parts(ct), log: parts(log), rekor2: parts(rekor2) },
      alerts,
    };
  });
  bindEndpoint(app, rotateTrust, async ({ caller, body: { part, reason, compromised = false } }) => {
    await identity.require(caller, 'instance:admin');
    const state = await attest.rotate(part, { actor: actorOf(caller), reason, compromised });
    const { generation, start } = state[part].at(-1)!;
    return { part, generation, startsAt: toIso(start) };
  });
}
