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
import { ENTRY_KIND, ENTRY_VERSION, promiseInput } from './rekor.ts';
import { isValidAt, type TrustedLog } from './trusted-root.ts';

const Hashed = z.strictObject({ algorithm: z.literal('sha256'), value: z.string().regex(/^[0-9a-f]{64}$/) });
const Body = z.strictObject({
  apiVersion: z.literal(ENTRY_VERSION),
  kind: z.literal(ENTRY_KIND),
  spec: z.strictObject({
    envelopeHash: Hashed,
    payloadHash: Hashed,
    signatures: z.tuple([z.strictObject({ signature: z.string(), verifier: z.string() })]),
  }),
});
const BODY_CHARS_MAX = 64 * 1024;

/** The entry says the same as the bundle: this signature, over this payload, by this certificate. */
export function verifyEntryBody({ verificationMaterial, dsseEnvelope }: Bundle, entry: LogEntry): void {
  const text = entry.canonicalizedBody.toString('utf8');
  const json = parseJson(text, BODY_CHARS_MAX);
  const body = Body.safeParse(json);
  if (!body.success || canonicalJson(json) !== text) {
    refuse('attest.entry_malformed', 'a canonical dsse 0.0.1 entry', 'something else');
  }
  const { payloadHash, signatures } = body.data.spec;
  const payload = createHash('sha256').update(dsseEnvelope.payload).digest('hex');
  if (payloadHash.value !== payload)
    refuse('attest.entry_of_other', `payload ${payload}`, `payload ${payloadHash.value}`);
  const signature = base64(dsseEnvelope.signatures[0]!.sig);
  if (signatures[0].signature !== signature)
    refuse('attest.entry_of_other', `signature ${signature}`, signatures[0].signature);
  const pem = toPem(verificationMaterial.certificate.rawBytes);
  if (Buffer.from(signatures[0].verifier, 'base64').toString('latin1') !== pem) {
    refuse('attest.entry_of_other', 'the certificate of the bundle', 'another certificate');
  }
}

/** The trusted log the entry says it is in, as trusted when it was taken in. */
export function findLog(entry: LogEntry, logs: readonly TrustedLog[]): TrustedLog {
  const at = entry.integratedTime * 1000;
  const log = logs.find(({ logId, validFor }) => logId.equals(entry.logId.keyId) && isValidAt(validFor, at));
  if (log) return log;
  return refuse(
    'attest.log_untrusted',
    `a log of the trusted root, trusted at ${toIso(at)}`,
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
  const input = promiseInput({ body, integratedTime, logId: logId.keyId, logIndex });
  if (!verify('sha256', input, log.publicKey, inclusionPromise.signedEntryTimestamp)) {
    refuse('attest.promise_invalid', 'the signature of the log', 'another');
  }
  return integratedTime * 1000;
}
