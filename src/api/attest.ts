import { type Artifacts } from '#artifact';
import {
  type Attest,
  listAttestations,
  parseStatement,
  printTrustedRoot,
  showBundle,
  showTrustedRoot,
  subjectDigests,
} from '#attest';
import { type Digest, parseDigest, parseJson, Problem, toIso } from '#base';
import { type App, bindEndpoint } from '#http';
import type { Caller, Identity } from '#identity';

const BUNDLE_CHARS_MAX = 2_000_000;

/** Signed evidence, for whoever may read an artifact it is about; the trust root for everybody. */
export function bindAttest(
  app: App,
  { identity, attest, artifacts }: { identity: Identity; attest: Attest; artifacts: Artifacts },
): void {
  bindEndpoint(app, listAttestations, async ({ caller, params }) => {
    const digest = parseDigest(params.digest);
    if (!(await mayRead(caller, digest))) throw notVisible();
    const rows = await attest.bundlesFor(digest);
    return {
      items: rows.map((row) => ({
        bundle: row.bundle,
        predicateType: row.predicateType,
        signer: row.san,
        issuer: row.issuer,
        logIndex: row.logIndex,
        madeAt: toIso(row.madeAt),
      })),
      next: null,
    };
  });

  bindEndpoint(app, showBundle, async ({ caller, params, reply }) => {
    const { bytes } = await attest.requireBundle(parseDigest(params.digest));
    const visible = await Promise.all(subjectsOf(bytes).map((digest) => mayRead(caller, digest)));
    if (!visible.includes(true)) throw notVisible();
    await reply.type('application/vnd.dev.sigstore.bundle.v0.3+json').send(bytes);
  });

  bindEndpoint(app, showTrustedRoot, async ({ reply }) => {
    await reply.type('application/json; charset=utf-8').send(printTrustedRoot(attest.trustedRoot()));
  });

  /** The engine is asked about each project that holds the artifact; one yes is enough. */
  async function mayRead(caller: Caller, digest: Digest): Promise<boolean> {
    for (const record of await artifacts.findRecords({ digest, limit: 50 })) {
      if ((await identity.decide(caller, 'artifact:read', { project: record.project })).allowed) return true;
    }
    return false;
  }
}

function subjectsOf(bundle: Buffer): Digest[] {
  const json = parseJson(bundle.toString('utf8'), BUNDLE_CHARS_MAX) as { dsseEnvelope: { payload: string } };
  return subjectDigests(parseStatement(Buffer.from(json.dsseEnvelope.payload, 'base64')));
}

const notVisible = () =>
  new Problem({
    code: 'attest.not_found',
    kind: 'not_found',
    message: 'There is no such evidence, or you may not see what it is about.',
    hint: 'Check the digest, or list the artifacts you can see: waybill artifact list.',
  });
