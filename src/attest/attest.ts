import { createHash } from 'node:crypto';
import {
  canonicalJson,
  type Clock,
  type Digest,
  digestOf,
  faultPoint,
  firstRefusal,
  idFrom,
  isDigest,
  newId,
  parseWith,
} from '#base';
import type { Actor, Fact, Journal } from '#journal';
import type { TileLog } from '#ledger';
import type { Db, Objects } from '#storage';
import type { Vault } from '#vault';
import { BUNDLE_BYTES_MAX, parseBundle, type ProvenEntry, renderBundle } from './bundle.ts';
import { type CertificateRequest, createCertificateDesk, type IssuedCertificate } from './certificate-request.ts';
import { Draft, signDraft } from './draft.ts';
import { preAuthEncoding } from './dsse.ts';
import {
  type AlertRaised,
  type BundleMade,
  bundleMade,
  type EntryLogged,
  entryLogged,
  precertificateLogged,
} from './facts.ts';
import { openSignatureLogs } from './logs.ts';
import type { IdentityExtensions } from './oid.ts';
import { bundleNotFound, entryAltered, keyReused, selfCheckFailed, tooManyBundles } from './problems.ts';
import { createReception, type ReceivedBundle } from './receive.ts';
import { renderEntry, renderEntry2 } from './rekor.ts';
import { parseStatement, Statement, STATEMENT_TYPE } from './statement.ts';
import { type BundleTableRow, findBundle, findEntry, listAlerts, listBundles, newestEntry } from './store.ts';
import { openSummaryKey } from './summary.ts';
import { createEntryDesk, type LoggedEntry, type Submission } from './submit.ts';
import type { TrustedRootJson } from './trusted-root.ts';
import type { SignatureLog, TrustPart, TrustState } from './trust-state.ts';
import { checkClock, openTrust } from './trust.ts';
import { openTufRepository, type TufRepository } from './tuf-repository.ts';
import { signTimestamp } from './tsa.ts';
import type { StampRequest } from './tsq.ts';
import { verifyBundle } from './verify.ts';

export interface SignRequest {
  predicateType: string;
  predicate: Record<string, unknown>;
  /** Digests in hexadecimal by algorithm: `{ sha256: '…' }`, `{ gitCommit: '…' }`. */
  subjects: readonly { name: string; digest: Readonly<Record<string, string>> }[];
  /** Whose word it is; the name must lie under the public URL of this installation. */
  identity: { san: string; extensions?: IdentityExtensions };
  actor: Actor;
  /** One key, one bundle: a worker that is killed and starts over gets the bundle it began. */
  idempotencyKey?: string;
}

export interface SignedAttestation {
  /** Digest of the bundle, which is an object. */
  bundle: Digest;
  statement: Statement;
  /** Number of the entry in the signatures log. */
  logIndex: number;
  attestation: string;
}

export interface BundleRow {
  bundle: Digest;
  predicateType: string;
  san: string;
  issuer: string;
  logIndex: number;
  madeAt: number;
  /** For what others signed: the highest SLSA build level that provenance by this signer can have. Null for the control plane. */
  buildLevel: number | null;
}

/** Something that must not be was found. */
export interface Alert {
  code: string;
  message: string;
  serial: string | null;
  san: string | null;
  at: number;
}

export interface Attest {
  /** Who vouches for what the control plane signs. Tokens of jobs have another issuer, so no job can ask for this one. */
  readonly controlIssuer: string;
  /** Takes in entries in the form of Rekor v1; the other logs by `logs`. */
  readonly signaturesLog: TileLog;
  /** Every generation of both logs, oldest first. */
  logs(): readonly (SignatureLog & { tiles: TileLog })[];
  activeLog(form: SignatureLog['form']): SignatureLog & { tiles: TileLog };
  /**
   * Signs a statement in the name of the control plane. Refuses with `attest.clock_wrong`, `attest.authority_expired`,
   * `attest.key_reused`; anything else it needs (vault, log, storage) failing refuses as well. Nothing half-made is handed out.
   */
  sign(request: SignRequest): Promise<SignedAttestation>;
  /** The certificate for a believed token and a proven key; `attest.token_reused | key_unproven | key_unsuitable | name_unsuitable`. */
  issueCertificate(request: CertificateRequest): Promise<IssuedCertificate>;
  /** Verifies a signature with a certificate of ours and logs it; the same one again gives the entry there is. */
  submitEntry(submission: Submission): Promise<LoggedEntry>;
  /** By uuid of Rekor v1 (the tree's id before the leaf's hash, or the hash alone). `attest.entry_not_found`. */
  findEntry(uuid: string): Promise<LoggedEntry>;
  entryAt(logIndex: number): Promise<LoggedEntry>;
  /** Keeps a bundle that somebody else signed with a certificate of ours, verified. `attest.bundle_refused`. */
  receive(bundle: Buffer, actor: Actor): Promise<ReceivedBundle>;
  /** RFC 3161: the time at which these bytes were seen here. */
  stamp(request: StampRequest): Promise<Buffer>;
  /** All bundles with this artifact (or `gitCommit:…`) among their subjects, oldest first. `attest.too_many_bundles`. */
  bundlesFor(subject: Digest | `${string}:${string}`): Promise<BundleRow[]>;
  /** The bundle's bytes, re-hashed. `attest.bundle_not_found`, `storage.object_damaged`. */
  requireBundle(bundle: Digest): Promise<BundleRow & { bytes: Buffer }>;
  /** The same signature with its entry in the form of Rekor v2, verified. Never both entries in one bundle: clients refuse that. */
  renderRekor2(bundle: Digest): Promise<Buffer>;
  /** A verification summary of the control plane as a bare DSSE envelope under the long-lived key. `attest.not_a_summary`. */
  renderSummary(bundle: Digest): Promise<Buffer>;
  /** PEM of that key. */
  readonly summaryKey: string;
  trustedRoot(): TrustedRootJson;
  trust(): TrustState;
  readonly tuf: TufRepository;
  /** The newest first. */
  alerts(): Promise<Alert[]>;
  /** The next generation of a part; what the one before signed stays valid. `compromised` ends that at once. */
  rotate(part: TrustPart, options: { actor: Actor; reason: string; compromised?: boolean }): Promise<TrustState>;
  close(): Promise<void>;
}

export interface AttestOptions {
  journal: Journal;
  db: Db;
  vault: Vault;
  objects: Objects;
  clock: Clock;
  /** `https://host:port` without a slash at its end. */
  publicUrl: string;
  /** Host name that stands in certificates and in the name of the log; kept for ever. */
  name: string;
  /** Directory of the signatures log. */
  dir: string;
}

const BUNDLES_MAX = 2000;
const ALERTS_MAX = 200;

/** Opens the authority: makes keys and certificates on first start, and the logs from their facts. */
export async function createAttest(options: AttestOptions): Promise<Attest> {
  const { journal, db, objects, clock, publicUrl, dir } = options;
  const trust = await openTrust(options);
  const controlIssuer = `${publicUrl}/oidc/control`;
  const logs = await openSignatureLogs({ dir, trust, db, clock });
  const summaries = await openSummaryKey(options);
  const tuf = await openTufRepository({ ...options, trust });
  const certificates = createCertificateDesk({ journal, db, clock, trust, publicUrl });
  const entries = createEntryDesk({ journal, db, clock, trust, logs, controlIssuer });
  const running = new Map<string, Promise<unknown>>();

  async function sign(request: SignRequest): Promise<SignedAttestation> {
    const { san } = request.identity;
    if (!san.startsWith(`${publicUrl}/`)) throw new TypeError(`attest: ${san} is not a name under ${publicUrl}`);
    const key = request.idempotencyKey;
    const attestation = key === undefined ? newId('att') : idFrom('att', createHash('sha256').update(key).digest());
    // Two calls with one key at once: the second finds what the first has made.
    const before = running.get(attestation) ?? Promise.resolve();
    const work = before.then(
      () => signOnce(attestation, request),
      () => signOnce(attestation, request),
    );
    running.set(attestation, work);
    try {
      return await work;
    } finally {
      if (running.get(attestation) === work) running.delete(attestation);
    }
  }

  async function signOnce(attestation: string, request: SignRequest): Promise<SignedAttestation> {
    const facts = await journal.byStream(streamOf(attestation));
    const logged = facts.find((fact) => fact.type === entryLogged.type) as Fact<EntryLogged> | undefined;
    if (logged && logged.payload.request !== requestDigest(request)) throw keyReused(attestation);
    const made = facts.find((fact) => fact.type === bundleMade.type) as Fact<BundleMade> | undefined;
    if (made) return await readMade(made.payload);
    const entry = logged ?? (await trust.gate.pass(() => logEntry(attestation, request)));
    faultPoint('attest.after_entry');
    return await makeBundle(entry, request);
  }

  /** Signs, keeps what it signed as an object, and records the entry of both logs. */
  async function logEntry(attestation: string, request: SignRequest): Promise<Fact<EntryLogged>> {
    checkClock(clock.now(), trust.current(), (await newestEntry(db))?.logged_at);
    const { predicateType, predicate, subjects, identity, actor } = request;
    const statement = { _type: STATEMENT_TYPE, subject: subjects, predicateType, predicate };
    parseWith(Statement, statement, 'attest.statement_invalid');
    const { san, extensions = {} } = identity;
    const payload = Buffer.from(canonicalJson(statement));
    const draft = await signDraft(
      { payload, san, issuer: controlIssuer, extensions },
      trust.current(),
      clock,
      async (precertificate, serial, sctAt) => {
        await journal.record({
          fact: precertificateLogged,
          payload: {
            request: streamOf(attestation),
            serial: serial.toString('hex'),
            san,
            issuer: controlIssuer,
            sctAt,
            precertificate: precertificate.toString('base64'),
          },
          stream: `certificate/${serial.toString('hex')}`,
          actor,
          expectSeq: 0,
        });
        faultPoint('attest.after_precertificate');
      },
    );
    const stored = await objects.put(Buffer.from(canonicalJson(draft)));
    const logged = await journal.record({
      fact: entryLogged,
      payload: { attestation, request: requestDigest(request), draft: stored.digest, ...renderEntries(draft) },
      stream: streamOf(attestation),
      actor,
      expectSeq: 0,
    });
    logs.tiles(logs.find(logged.payload.rekor2Log)).poke();
    return logged;
  }

  /** One signature, an entry in each log. */
  function renderEntries({ envelope, certificate }: Draft) {
    const { payloadType } = envelope;
    const payload = Buffer.from(envelope.payload, 'base64');
    const signature = Buffer.from(envelope.signatures[0].sig, 'base64');
    const leaf = Buffer.from(certificate, 'base64');
    const digest = createHash('sha256').update(preAuthEncoding(payloadType, payload)).digest();
    return {
      log: logs.active('rekor1').id,
      body: renderEntry({ kind: 'dsse', payloadType, payload, signature }, leaf),
      rekor2Log: logs.active('rekor2').id,
      rekor2Body: renderEntry2({ algorithm: 'sha256', digest, signature }, leaf, 'PKIX_ECDSA_P256_SHA_256'),
    };
  }

  /** Waits until a signed checkpoint covers the entry, puts everything together, and verifies it as a stranger would. */
  async function makeBundle(entry: Fact<EntryLogged>, request: SignRequest): Promise<SignedAttestation> {
    const { actor, identity, predicateType, subjects } = request;
    const { attestation } = entry.payload;
    const { bytes, statement, logIndex } = await renderVerified(entry, 'rekor1', identity.san, predicateType);
    const { digest } = await objects.put(bytes);
    faultPoint('attest.after_bundle');
    const artifact = subjects.map((subject) => `sha256:${subject.digest['sha256']}`).find(isDigest);
    await journal.record({
      fact: bundleMade,
      payload: {
        attestation,
        bundle: digest,
        predicateType,
        san: identity.san,
        issuer: controlIssuer,
        subjects: subjects.map(({ name, digest: digests }) => ({ name, digest: { ...digests } })),
        logIndex,
      },
      stream: streamOf(attestation),
      actor,
      ...(artifact ? { subject: artifact } : {}),
      expectSeq: 1,
    });
    return { bundle: digest, statement, logIndex, attestation };
  }

  async function renderVerified(
    entry: Fact<EntryLogged>,
    form: SignatureLog['form'],
    san: string,
    predicateType: string,
  ): Promise<{ bytes: Buffer; statement: Statement; logIndex: number }> {
    const { payload } = entry;
    const [id, body] = form === 'rekor1' ? [payload.log, payload.body] : [payload.rekor2Log, payload.rekor2Body];
    const row = await findEntry(db, id, entry.number);
    if (!row || row.body !== body || row.logged_at !== entry.at) throw entryAltered(row?.log_index);
    const draft = parseDraft(await objects.read(payload.draft as Digest, BUNDLE_BYTES_MAX));
    const bytes = renderDraft(draft, await logs.prove(logs.find(id), row));
    const expect = { issuer: controlIssuer, san, predicateType };
    const verdict = verifyBundle({ bundle: bytes, trustedRoot: trust.trustedRoot(), expect });
    if (!verdict.ok || !verdict.statement) throw selfCheckFailed(describeRefusal(verdict));
    return { bytes, statement: verdict.statement, logIndex: row.log_index };
  }

  async function readMade({ bundle, logIndex, attestation }: BundleMade): Promise<SignedAttestation> {
    const digest = bundle as Digest;
    const read = parseBundle(await objects.read(digest, BUNDLE_BYTES_MAX));
    return { bundle: digest, statement: parseStatement(read.bundle.dsseEnvelope!.payload), logIndex, attestation };
  }

  const withTiles = (log: SignatureLog) => ({ ...log, tiles: logs.tiles(log) });

  return {
    controlIssuer,
    get signaturesLog() {
      return logs.tiles(logs.active('rekor1'));
    },
    logs: () => logs.all().map(withTiles),
    activeLog: (form) => withTiles(logs.active(form)),
    sign,
    issueCertificate: (request) => trust.gate.pass(() => certificates(request)),
    submitEntry: (submission) => trust.gate.pass(() => entries.submit(submission)),
    receive: createReception({ ...options, trust, controlIssuer }),
    findEntry: (uuid) => entries.find(uuid),
    entryAt: (logIndex) => entries.at(logIndex),
    stamp: (request) =>
      trust.gate.pass(async () => {
        const now = clock.now();
        const { tsa, signers } = trust.current();
        checkClock(now, trust.current(), (await newestEntry(db))?.logged_at);
        return await signTimestamp({ ...request, now }, tsa.signer.der, signers.timestamp);
      }),
    async bundlesFor(subject) {
      const rows = await listBundles(db, subject, BUNDLES_MAX + 1);
      // A shortened list would hide evidence.
      if (rows.length > BUNDLES_MAX) throw tooManyBundles(subject, BUNDLES_MAX);
      return rows.map(toBundleRow);
    },
    async requireBundle(bundle) {
      const row = await findBundle(db, bundle);
      if (!row) throw bundleNotFound(bundle);
      return { ...toBundleRow(row), bytes: await objects.read(bundle, BUNDLE_BYTES_MAX) };
    },
    async renderRekor2(bundle) {
      const row = await findBundle(db, bundle);
      const facts = row ? await journal.byStream(streamOf(row.attestation)) : [];
      const entry = facts.find((fact) => fact.type === entryLogged.type) as Fact<EntryLogged> | undefined;
      if (!row || !entry) throw bundleNotFound(bundle);
      return (await renderVerified(entry, 'rekor2', row.san, row.predicate_type)).bytes;
    },
    async renderSummary(bundle) {
      const row = await findBundle(db, bundle);
      if (!row || row.issuer !== controlIssuer) throw bundleNotFound(bundle);
      const read = parseBundle(await objects.read(bundle, BUNDLE_BYTES_MAX));
      return await summaries.envelopeFor(bundle, read.bundle.dsseEnvelope!.payload);
    },
    summaryKey: summaries.publicKey,
    trustedRoot: () => trust.trustedRoot(),
    trust: () => trust.state(),
    tuf,
    alerts: async () =>
      (await listAlerts(db, ALERTS_MAX)).map(({ at, document }) => ({ ...(JSON.parse(document) as AlertRaised), at })),
    async rotate(part, how) {
      const state = await trust.rotate(part, how);
      await tuf.refresh();
      return state;
    },
    close: () => logs.close(),
  };
}

const streamOf = (attestation: string) => `attestation/${attestation}`;

/** What an idempotency key stands for. The predicate is left out: a retry may bring a later time in it, and the first one stands. */
function requestDigest({ predicateType, subjects, identity }: SignRequest): Digest {
  return digestOf(canonicalJson({ predicateType, subjects, san: identity.san }));
}

function renderDraft({ certificate, envelope, timestamp }: Draft, entry: ProvenEntry): Buffer {
  const bundle = renderBundle({
    certificate: Buffer.from(certificate, 'base64'),
    content: { envelope },
    timestamp: Buffer.from(timestamp, 'base64'),
    entry,
  });
  return Buffer.from(`${JSON.stringify(bundle)}\n`);
}

const parseDraft = (bytes: Buffer): Draft => Draft.parse(JSON.parse(bytes.toString('utf8')));

function describeRefusal(verdict: Parameters<typeof firstRefusal>[0]): string {
  const refusal = firstRefusal(verdict);
  return refusal ? `${refusal.name}: ${refusal.found ?? refusal.detail ?? refusal.status}` : 'no check was made';
}

function toBundleRow(row: BundleTableRow): BundleRow {
  return {
    bundle: row.bundle as Digest,
    predicateType: row.predicate_type,
    san: row.san,
    issuer: row.issuer,
    logIndex: row.log_index,
    madeAt: row.made_at,
    buildLevel: row.build_level,
  };
}
