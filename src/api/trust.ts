import {
  type Attest,
  certifyKey,
  clientTrust,
  exportTuf,
  importTuf,
  renderLogEntry,
  rotateTrust,
  showClientTrust,
  showSigningConfig,
  showTrust,
  showTuf,
  signingConfig,
  type SubmittedContent,
  witnessSignature,
} from '#attest';
import { createHash } from 'node:crypto';
import { type Clock, type Digest, hexOf, parseDigest, toIso } from '#base';
import { createRateLimit } from '#wire';
import { type App, bindEndpoint } from '#http';
import { actorOf, type Identity, identityContract as contract, type Issuers } from '#identity';

const SIGNATURES_PER_MINUTE = 240;
const bytesOf = (digest: Digest) => Buffer.from(hexOf(digest), 'hex');

/** Whom this installation believes (issuers and rules), and whom others believe when they believe it (authorities and logs). */
export function bindTrust(
  app: App,
  { identity, issuers, attest, clock }: { identity: Identity; issuers: Issuers; attest: Attest; clock: Clock },
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

  const limit = createRateLimit(SIGNATURES_PER_MINUTE, () => clock.now());
  bindEndpoint(app, certifyKey, async ({ body, request }) => {
    limit(request);
    const believed = await issuers.believe(body.token);
    const proof = { spki: Buffer.from(body.publicKey, 'base64'), signature: Buffer.from(body.proof, 'base64') };
    const principal = believed.kind === 'person' ? believed.subject : 'anonymous';
    const actor = { principal, origin: request.origin };
    const { chain, identity: named } = await attest.issueCertificate({ believed, proof, actor });
    return { certificates: chain.map((der) => der.toString('base64')), san: named.san, issuer: believed.issuer };
  });
  bindEndpoint(app, witnessSignature, async ({ body, caller, request }) => {
    limit(request);
    const signature = Buffer.from(body.signature, 'base64');
    const content: SubmittedContent =
      'digest' in body.content
        ? { kind: 'hashedrekord', algorithm: 'sha256', digest: bytesOf(parseDigest(body.content.digest)), signature }
        : {
            kind: 'dsse',
            payloadType: body.content.payloadType,
            payload: Buffer.from(body.content.payload, 'base64'),
            signature,
          };
    const certificate = Buffer.from(body.certificate, 'base64');
    const { entry } = await attest.submitEntry({
      form: body.format ?? 'rekor1',
      content,
      certificate,
      actor: { principal: caller.principal, origin: request.origin },
    });
    const imprint = createHash('sha256').update(signature).digest();
    const stamp = await attest.stamp({ algorithm: 'sha256', imprint, withCertificate: true });
    return { timestamp: stamp.toString('base64'), entry: renderLogEntry(entry) };
  });

  bindEndpoint(app, showTuf, async ({ caller }) => {
    await identity.require(caller, 'ledger:read');
    const { roles, ...status } = await attest.tuf.status();
    const shown = Object.entries(roles).map(([role, { version, expiresAt }]) => [
      role,
      { version, expiresAt: toIso(expiresAt) },
    ]);
    return { ...status, roles: Object.fromEntries(shown) as never };
  });
  bindEndpoint(app, exportTuf, async ({ caller, body }) => {
    await identity.require(caller, 'instance:admin');
    return { metadata: await attest.tuf.exportUnsigned(body.role, body.newKey) };
  });
  bindEndpoint(app, importTuf, async ({ caller, body }) => {
    await identity.require(caller, 'instance:admin');
    await attest.tuf.importSigned(body.metadata, actorOf(caller));
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
