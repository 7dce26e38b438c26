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
import { createNoteSigner, hashBytes, type LeafSource, openTileLog, type TileLog } from '#ledger';
import type { Db, Objects } from '#storage';
import type { Vault } from '#vault';
import { BUNDLE_BYTES_MAX, parseBundle, renderBundle } from './bundle.ts';
import { Draft, signDraft } from './draft.ts';
import { type BundleMade, bundleMade, type EntryLogged, entryLogged, precertificateLogged } from './facts.ts';
import type { IdentityExtensions } from './oid.ts';
import { bundleNotFound, entryAltered, keyReused, selfCheckFailed, tooManyBundles } from './problems.ts';
import { promiseInput, renderEntry } from './rekor.ts';
import { logIdOf } from './sct.ts';
import { parseStatement, Statement, STATEMENT_TYPE } from './statement.ts';
import {
  type BundleTableRow,
  findBundle,
  findEntry,
  listBundles,
  listEntries,
  newestEntry,
  nextLogIndexOf,
} from './store.ts';
import { checkClock, openTrust, type Trust } from './trust.ts';
import type { TrustedRootJson } from './trusted-root.ts';
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
}

export interface Attest {
  /** Who vouches for what the control plane signs. Tokens of jobs have another issuer, so no job can ask for this one. */
  readonly controlIssuer: string;
  readonly signaturesLog: TileLog;
  /**
   * Signs a statement in the name of the control plane. Refuses with `attest.clock_wrong`, `attest.authority_expired`,
   * `attest.key_reused`; anything else it needs (vault, log, storage) failing refuses as well. Nothing half-made is handed out.
   */
  sign(request: SignRequest): Promise<SignedAttestation>;
  /** All bundles with this artifact (or `gitCommit:…`) among their subjects, oldest first. `attest.too_many_bundles`. */
  bundlesFor(subject: Digest | `${string}:${string}`): Promise<BundleRow[]>;
  /** The bundle's bytes, re-hashed. `attest.bundle_not_found`, `storage.object_damaged`. */
  requireBundle(bundle: Digest): Promise<BundleRow & { bytes: Buffer }>;
  trustedRoot(): TrustedRootJson;
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

/** Opens the authority: makes keys and certificates on first start, and the signatures log from its facts. */
export async function createAttest(options: AttestOptions): Promise<Attest> {
  const { journal, db, objects, clock, publicUrl, dir } = options;
  const trust = await openTrust(options);
  const controlIssuer = `${publicUrl}/oidc/control`;
  const log = await openTileLog({
    dir,
    origin: trust.logOrigin,
    signer: createNoteSigner(trust.logHostname, trust.signers.log),
    source: entrySource(db),
    clock,
  });
  // Entries that a crash kept from being published.
  log.poke();
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
    const entry = logged ?? (await logEntry(attestation, request));
    faultPoint('attest.after_entry');
    return await makeBundle(entry, request);
  }

  /** Signs, keeps what it signed as an object, and records the log entry. */
  async function logEntry(attestation: string, request: SignRequest): Promise<Fact<EntryLogged>> {
    checkClock(clock.now(), trust, (await newestEntry(db))?.logged_at);
    const { predicateType, predicate, subjects, identity, actor } = request;
    const statement = { _type: STATEMENT_TYPE, subject: subjects, predicateType, predicate };
    parseWith(Statement, statement, 'attest.statement_invalid');
    const { san, extensions = {} } = identity;
    const payload = Buffer.from(canonicalJson(statement));
    const draft = await signDraft(
      { payload, san, issuer: controlIssuer, extensions },
      trust,
      clock,
      async (precertificate, serial, sctAt) => {
        await journal.record({
          fact: precertificateLogged,
          payload: {
            attestation,
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
    const body = renderEntry({ envelope: draft.envelope, certificate: Buffer.from(draft.certificate, 'base64') });
    return await journal.record({
      fact: entryLogged,
      payload: { attestation, request: requestDigest(request), body, draft: stored.digest },
      stream: streamOf(attestation),
      actor,
      expectSeq: 0,
    });
  }

  /** Waits until a signed checkpoint covers the entry, puts everything together, and verifies it as a stranger would. */
  async function makeBundle(
    entry: Fact<EntryLogged>,
    { actor, identity, predicateType, subjects }: SignRequest,
  ): Promise<SignedAttestation> {
    const { attestation, draft: draftDigest, body } = entry.payload;
    const row = await findEntry(db, entry.number);
    if (!row || row.body !== body || row.logged_at !== entry.at) throw entryAltered(row?.log_index);
    const draft = parseDraft(await objects.read(draftDigest as Digest, BUNDLE_BYTES_MAX));
    const bytes = await renderProven(draft, row.log_index, entry, trust, log);
    const verdict = verifyBundle({
      bundle: bytes,
      trustedRoot: trust.trustedRoot,
      expect: { issuer: controlIssuer, san: identity.san, predicateType },
    });
    if (!verdict.ok || !verdict.statement) throw selfCheckFailed(describeRefusal(verdict));
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
        logIndex: row.log_index,
      },
      stream: streamOf(attestation),
      actor,
      ...(artifact ? { subject: artifact } : {}),
      expectSeq: 1,
    });
    return { bundle: digest, statement: verdict.statement, logIndex: row.log_index, attestation };
  }

  async function readMade({ bundle, logIndex, attestation }: BundleMade): Promise<SignedAttestation> {
    const digest = bundle as Digest;
    const read = parseBundle(await objects.read(digest, BUNDLE_BYTES_MAX));
    return { bundle: digest, statement: parseStatement(read.bundle.dsseEnvelope.payload), logIndex, attestation };
  }

  return {
    controlIssuer,
    signaturesLog: log,
    sign,
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
    trustedRoot: () => trust.trustedRoot,
    close: () => log.close(),
  };
}

const streamOf = (attestation: string) => `attestation/${attestation}`;

/** What an idempotency key stands for. The predicate is left out: a retry may bring a later time in it, and the first one stands. */
function requestDigest({ predicateType, subjects, identity }: SignRequest): Digest {
  return digestOf(canonicalJson({ predicateType, subjects, san: identity.san }));
}

/** The log is made from the rows that the facts give; a row changed after it was logged is found by the log's own check. */
function entrySource(db: Db): LeafSource {
  return {
    size: async () => await nextLogIndexOf(db),
    async read(from, count) {
      const rows = await listEntries(db, from, count);
      if (rows.length !== count) throw entryAltered(from + rows.length);
      return rows.map((row) => Buffer.from(row.body));
    },
  };
}

async function renderProven(
  draft: Draft,
  logIndex: number,
  entry: Fact<EntryLogged>,
  trust: Trust,
  log: TileLog,
): Promise<Buffer> {
  log.poke();
  const checkpoint = await log.waitFor(logIndex);
  const proof = await log.inclusionProof(logIndex, checkpoint.size);
  const body = Buffer.from(entry.payload.body);
  const logId = logIdOf(trust.signers.log.spki);
  const integratedTime = Math.floor(entry.at / 1000);
  const promise = await trust.signers.log.sign(promiseInput({ body, integratedTime, logId, logIndex }));
  const bundle = renderBundle({
    certificate: Buffer.from(draft.certificate, 'base64'),
    envelope: draft.envelope,
    timestamp: Buffer.from(draft.timestamp, 'base64'),
    entry: {
      logIndex,
      logId,
      integratedTime,
      promise,
      body,
      proof: {
        rootHash: hashBytes(checkpoint.root),
        treeSize: checkpoint.size,
        hashes: proof.path.map(hashBytes),
        checkpoint: checkpoint.note,
      },
    },
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
  };
}
