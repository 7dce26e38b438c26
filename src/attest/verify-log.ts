import { createHash, verify } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, parseJson, toIso } from '#base';
import {
  createNoteVerifier,
  hashBase64,
  hashFromBase64,
  leafHash,
  openNote,
  parseCheckpoint,
  verifyInclusion,
  type Hash,
} from '#ledger';
import { type Bundle, base64, type LogEntry } from './bundle.ts';
import { toPem } from './certificate.ts';
import { refuse } from './check.ts';
import { preAuthEncoding } from './dsse.ts';
import { promiseInput } from './rekor.ts';
import { isValidAt, type TrustedLog } from './trusted-root.ts';

const Hashed = z.strictObject({ algorithm: z.literal('sha256'), value: z.string().regex(/^[0-9a-f]{64}$/) });

const DsseBody = z.strictObject({
  apiVersion: z.literal('0.0.1'),
  kind: z.literal('dsse'),
  spec: z.strictObject({
    envelopeHash: Hashed,
    payloadHash: Hashed,
    signatures: z.tuple([z.strictObject({ signature: z.string(), verifier: z.string() })]),
  }),
});

const HashedBody = z.strictObject({
  apiVersion: z.literal('0.0.1'),
  kind: z.literal('hashedrekord'),
  spec: z.strictObject({
    data: z.strictObject({ hash: Hashed }),
    signature: z.strictObject({ content: z.string(), publicKey: z.strictObject({ content: z.string() }) }),
  }),
});

const HashedBody2 = z.strictObject({
  apiVersion: z.literal('0.0.2'),
  kind: z.literal('hashedrekord'),
  spec: z.strictObject({
    hashedRekordV002: z.strictObject({
      data: z.strictObject({ algorithm: z.literal('SHA2_256'), digest: z.string() }),
      signature: z.strictObject({
        content: z.string(),
        verifier: z.strictObject({
          keyDetails: z.literal('PKIX_ECDSA_P256_SHA_256'),
          x509Certificate: z.strictObject({ rawBytes: z.string() }),
        }),
      }),
    }),
  }),
});

const BODY_CHARS_MAX = 64 * 1024;

/** The entry says the same as the bundle: this signature, over this content, by this certificate. */
export function verifyEntryBody(bundle: Bundle, entry: LogEntry): void {
  const { kind, version } = entry.kindVersion;
  const text = entry.canonicalizedBody.toString('utf8');
  const json = parseJson(text, BODY_CHARS_MAX);
  const spec = kind === 'dsse' ? readDsse(json) : version === '0.0.1' ? readHashed(json) : readHashed2(json);
  if (!spec || canonicalJson(json) !== text) {
    refuse('attest.entry_malformed', `a canonical ${kind} ${version} entry`, 'something else');
  }
  const signed = kind === 'dsse' ? payloadDigest(bundle) : signedDigest(bundle);
  if (!signed.equals(spec.digest)) {
    refuse('attest.entry_of_other', `digest ${signed.toString('hex')}`, `digest ${spec.digest.toString('hex')}`);
  }
  const signature = base64(signatureOf(bundle));
  if (spec.signature !== signature) refuse('attest.entry_of_other', `signature ${signature}`, spec.signature);
  const certificate = bundle.verificationMaterial.certificate.rawBytes;
  const expected = version === '0.0.2' ? base64(certificate) : base64(Buffer.from(toPem(certificate), 'latin1'));
  if (spec.certificate !== expected) {
    refuse('attest.entry_of_other', 'the certificate of the bundle', 'another certificate');
  }
}

interface SpokenFor {
  digest: Buffer;
  signature: string;
  certificate: string;
}

function readDsse(json: unknown): SpokenFor | undefined {
  const { data } = DsseBody.safeParse(json);
  if (!data) return undefined;
  const [{ signature, verifier }] = data.spec.signatures;
  return { digest: Buffer.from(data.spec.payloadHash.value, 'hex'), signature, certificate: verifier };
}

function readHashed(json: unknown): SpokenFor | undefined {
  const { data } = HashedBody.safeParse(json);
  if (!data) return undefined;
  const { data: signed, signature } = data.spec;
  const digest = Buffer.from(signed.hash.value, 'hex');
  return { digest, signature: signature.content, certificate: signature.publicKey.content };
}

function readHashed2(json: unknown): SpokenFor | undefined {
  const { data } = HashedBody2.safeParse(json);
  if (!data) return undefined;
  const { data: signed, signature } = data.spec.hashedRekordV002;
  const digest = Buffer.from(signed.digest, 'base64');
  return { digest, signature: signature.content, certificate: signature.verifier.x509Certificate.rawBytes };
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

function payloadDigest({ dsseEnvelope }: Bundle): Buffer {
  if (!dsseEnvelope) refuse('attest.entry_of_other', 'an entry for the signature of a message', 'one for an envelope');
  return sha256(dsseEnvelope.payload);
}

/** What the signature is over: the envelope's encoding, or the message whose digest the bundle gives. */
export function signedDigest({ dsseEnvelope, messageSignature }: Bundle): Buffer {
  if (dsseEnvelope) return sha256(preAuthEncoding(dsseEnvelope.payloadType, dsseEnvelope.payload));
  return messageSignature!.messageDigest.digest;
}

export function signatureOf({ dsseEnvelope, messageSignature }: Bundle): Buffer {
  return dsseEnvelope ? dsseEnvelope.signatures[0]!.sig : messageSignature!.signature;
}

/** The trusted log the entry says it is in, as trusted at all these times. */
export function findLog(entry: LogEntry, logs: readonly TrustedLog[], times: readonly number[]): TrustedLog {
  const log = logs.find(
    ({ logId, validFor }) => logId.equals(entry.logId.keyId) && times.every((at) => isValidAt(validFor, at)),
  );
  if (log && times.length > 0) return log;
  return refuse(
    'attest.log_untrusted',
    `a log of the trusted root, trusted at ${times.map(toIso).join(', ') || 'a trusted time'}`,
    entry.logId.keyId.toString('hex'),
    'Check that the trusted root is that of the server that signed.',
  );
}

export interface ProvenRoot {
  size: number;
  root: Hash;
}

/** The checkpoint is signed by the log, under the log's name, and is about the tree of the proof. */
export function verifyCheckpoint({ inclusionProof }: LogEntry, log: TrustedLog): ProvenRoot {
  const verifier = createNoteVerifier(log.hostname, log.publicKey);
  const { origin, size, root } = parseCheckpoint(openNote(inclusionProof.checkpoint.envelope, [verifier]).text);
  // Rekor v1 writes `host - tree id`, later logs the host alone.
  if (origin !== log.hostname && !isTreeOf(origin, log.hostname))
    refuse('attest.checkpoint_of_other', log.hostname, origin);
  if (size !== inclusionProof.treeSize)
    refuse('attest.checkpoint_of_other', `size ${inclusionProof.treeSize}`, `size ${size}`);
  const expected = base64(inclusionProof.rootHash);
  if (hashBase64(root) !== expected)
    refuse('attest.checkpoint_of_other', `root ${expected}`, `root ${hashBase64(root)}`);
  return { size, root };
}

const isTreeOf = (origin: string, hostname: string) =>
  origin.startsWith(`${hostname} - `) && /^[0-9]+$/.test(origin.slice(hostname.length + 3));

/** RFC 9162 §2.1.3.2, against the root in the bundle; that the log signed this root is `verifyCheckpoint`'s to say. */
export function verifyEntryInclusion(entry: LogEntry): void {
  const { logIndex, treeSize, hashes, rootHash } = entry.inclusionProof;
  const path = hashes.map((hash) => hashFromBase64(base64(hash)));
  const root = hashFromBase64(base64(rootHash));
  const whole = path.filter((hash) => hash !== undefined);
  const included =
    root !== undefined &&
    whole.length === path.length &&
    verifyInclusion({ index: logIndex, size: treeSize, leaf: leafHash(entry.canonicalizedBody), path: whole, root });
  if (!included)
    refuse(
      'attest.not_in_log',
      `leaf ${logIndex} of the tree with root ${base64(rootHash)}`,
      'a proof of something else',
    );
  if (entry.logIndex !== logIndex)
    refuse('attest.not_in_log', `leaf ${entry.logIndex}`, `a proof for leaf ${logIndex}`);
}

/** The log's own promise when it took the entry in; makes the entry's time a trusted time. In milliseconds. */
export function verifyPromise(entry: LogEntry, log: TrustedLog): number {
  const { canonicalizedBody: body, integratedTime, logIndex, logId, inclusionPromise } = entry;
  // The key says which algorithm; a promise by another kind of key than Rekor v1's is none (sigstore-go agrees).
  const isP256 = log.publicKey.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  if (typeof integratedTime !== 'number' || !inclusionPromise || !isP256) {
    refuse('attest.promise_invalid', 'the signature of the log', 'none');
  }
  const input = promiseInput({ body, integratedTime, logId: logId.keyId, logIndex });
  if (!verify('sha256', input, log.publicKey, inclusionPromise.signedEntryTimestamp)) {
    refuse('attest.promise_invalid', 'the signature of the log', 'another');
  }
  return integratedTime * 1000;
}
