import { type Artifacts } from '#artifact';
import {
  type Attest,
  listAttestations,
  parseStatement,
  printTrustedRoot,
  receiveBundle,
  showBundle,
  showTrustedRoot,
  subjectDigests,
  withoutCertificateLogs,
} from '#attest';
import { type Digest, parseDigest, parseJson, Problem, toIso } from '#base';
import { type App, bindEndpoint } from '#http';
import { actorOf, type Caller, type Identity } from '#identity';

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
        buildLevel: row.buildLevel,
      })),
      next: null,
    };
  });

  bindEndpoint(app, showBundle, async ({ caller, params, query, reply }) => {
    const digest = parseDigest(params.digest);
    const { bytes } = await attest.requireBundle(digest);
    const visible = await Promise.all(subjectsOf(bytes).map((subject) => mayRead(caller, subject)));
    if (!visible.includes(true)) throw notVisible();
    if (query.format === 'dsse') {
      return void (await reply.type('application/vnd.in-toto+dsse').send(await attest.renderSummary(digest)));
    }
    const shown = query.format === 'rekor2' ? await attest.renderRekor2(digest) : bytes;
    await reply.type('application/vnd.dev.sigstore.bundle.v0.3+json').send(shown);
  });

  bindEndpoint(app, receiveBundle, async ({ caller, body }) => {
    const bytes = Buffer.from(`${JSON.stringify(body.bundle)}\n`);
    const subjects = subjectsOf(bytes);
    await requireToAttest(caller, subjects);
    return await attest.receive(bytes, actorOf(caller));
  });

  bindEndpoint(app, showTrustedRoot, async ({ query, reply }) => {
    const root = attest.trustedRoot();
    const shown = query.ctlogs === 'without' ? withoutCertificateLogs(root) : root;
    await reply.type('application/json; charset=utf-8').send(printTrustedRoot(shown, query.form));
  });

  /** Whoever may put something beside an artifact, in any project that has it. */
  async function requireToAttest(caller: Caller, subjects: readonly Digest[]): Promise<void> {
    for (const digest of subjects) {
      for (const project of await artifacts.projectsWith(digest)) {
        if ((await identity.decide(caller, 'artifact:upload-playground', { project })).allowed) return;
      }
    }
    throw notVisible();
  }

  /** The engine is asked about each project that holds the artifact; one yes is enough. */
  async function mayRead(caller: Caller, digest: Digest): Promise<boolean> {
    for (const project of await artifacts.projectsWith(digest)) {
      if ((await identity.decide(caller, 'artifact:read', { project })).allowed) return true;
    }
    return false;
  }
}

function subjectsOf(bundle: Buffer): Digest[] {
  const json = parseJson(bundle.toString('utf8'), BUNDLE_CHARS_MAX) as { dsseEnvelope?: { payload?: unknown } };
  const payload = json.dsseEnvelope?.payload;
  return subjectDigests(parseStatement(Buffer.from(typeof payload === 'string' ? payload : '', 'base64')));
}

const notVisible = () =>
  new Problem({
    code: 'attest.not_found',
    kind: 'not_found',
    message: 'There is no such evidence, or you may not see what it is about.',
    hint: 'Check the digest, or list the artifacts you can see: waybill artifact list.',
  });
