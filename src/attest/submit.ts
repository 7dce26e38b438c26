import { createHash } from 'node:crypto';
import { type Clock, Problem } from '#base';
import type { Actor, Fact, Journal } from '#journal';
import { hashHex, leafHash } from '#ledger';
import type { Db } from '#storage';
import { raiseAlert } from './alert.ts';
import type { ProvenEntry } from './bundle.ts';
import { type Certificate, identityExtensions, parseCertificate } from './certificate.ts';
import { Refused } from './check.ts';
import { preAuthEncoding } from './dsse.ts';
import { type EntryLogged, entrySubmitted } from './facts.ts';
import type { SignatureLogs } from './logs.ts';
import { entryNotFound, reserved, submissionRefused } from './problems.ts';
import { type DigestAlgorithm, verifyDigest } from './prehash.ts';
import { renderEntry, renderEntry2 } from './rekor.ts';
import { type EntryRow, findLeaf, findPrecertificate, listEntries } from './store.ts';
import { parseTrustedRoot } from './trusted-root.ts';
import type { SignatureLog } from './trust-state.ts';
import { treeIdOf, type Trust } from './trust.ts';
import {
  requireName,
  verifyChain,
  verifyIssuerPurpose,
  verifyPurpose,
  verifyScts,
  verifyValidity,
} from './verify-certificate.ts';

/** What was signed: an envelope around a statement, or anything, by its digest. */
export type SubmittedContent =
  | { kind: 'dsse'; payloadType: string; payload: Buffer; signature: Buffer }
  | { kind: 'hashedrekord'; algorithm: DigestAlgorithm; digest: Buffer; signature: Buffer };

export interface Submission {
  form: SignatureLog['form'];
  content: SubmittedContent;
  /** DER. Only certificates of this installation are taken. */
  certificate: Buffer;
  actor: Actor;
}

export interface LoggedEntry {
  /** Rekor v1: 16 digits of the tree, 64 of the leaf. */
  uuid: string;
  log: SignatureLog;
  entry: ProvenEntry;
}

export interface EntryDesk {
  submit(submission: Submission): Promise<LoggedEntry>;
  find(uuid: string): Promise<LoggedEntry>;
  at(logIndex: number): Promise<LoggedEntry>;
}

const BODY_CHARS_MAX = 32 * 1024;
const KEY_DETAILS = 'PKIX_ECDSA_P256_SHA_256';

/** Takes in signatures of others. Nothing gets into a log that was not verified here, from chain to signature, just before. */
export function createEntryDesk({
  journal,
  db,
  clock,
  trust,
  logs,
  controlIssuer,
}: {
  journal: Journal;
  db: Db;
  clock: Clock;
  trust: Trust;
  logs: SignatureLogs;
  controlIssuer: string;
}): EntryDesk {
  async function submit({ form, content, certificate, actor }: Submission): Promise<LoggedEntry> {
    const { leaf, san, issuer } = judge(() => verifySubmission(content, certificate, trust, clock.now()));
    const body = render(form, content, leaf.der);
    if (body.length > BODY_CHARS_MAX) throw submissionRefused('it is too large for an entry');
    const log = logs.active(form);
    const hash = hashHex(leafHash(Buffer.from(body)));
    const known = await findLeaf(db, log.id, hash);
    if (known) return await prove(log, known);
    const serial = leaf.serial.toString('hex');
    await requireKnownCertificate(serial, san, actor);
    if (issuer === controlIssuer) await refuseControl(serial, san, content, actor);
    try {
      await journal.record({
        fact: entrySubmitted,
        payload: { log: log.id, body, serial, san, issuer },
        stream: `entry/${log.id}:${hash}`,
        actor,
        expectSeq: 0,
      });
    } catch (error) {
      // The same one, sent twice at once: the first has it.
      if (!Problem.is(error) || error.code !== 'journal.stream_moved') throw error;
    }
    return await prove(log, await requireLeaf(log, hash));
  }

  /** Every certificate is in the list before it exists. One that is not was made with a stolen key, or the list was cut off. */
  async function requireKnownCertificate(serial: string, san: string, actor: Actor): Promise<void> {
    if (await findPrecertificate(db, serial)) return;
    const message = 'A signature came with a certificate of ours that is not in the list of certificates.';
    await alert('attest.certificate_unlisted', message, serial, san, actor);
    throw submissionRefused('its certificate was never given out here');
  }

  /** The control plane logs its own signatures itself; its keys live for one signature. */
  async function refuseControl(serial: string, san: string, content: SubmittedContent, actor: Actor): Promise<never> {
    const row = await findPrecertificate(db, serial);
    const facts = await journal.byStream(row?.request ?? 'attestation/none');
    const own = facts.find((fact) => fact.type === 'attest.entry_logged') as Fact<EntryLogged> | undefined;
    // What we signed, sent by somebody who has the bundle (a signature can be written in two ways), is only refused.
    if (!own?.payload.rekor2Body.includes(`"digest":"${signedDigestOf(content).toString('base64')}"`)) {
      const message = 'Something was signed as the control plane that the control plane did not sign.';
      await alert('attest.control_misused', message, serial, san, actor);
    }
    throw reserved();
  }

  async function alert(code: string, message: string, serial: string, san: string, actor: Actor): Promise<void> {
    await raiseAlert(journal, { code, message, serial, san, fact: null }, serial, actor);
  }

  async function requireLeaf(log: SignatureLog, hash: string): Promise<EntryRow> {
    const row = await findLeaf(db, log.id, hash);
    if (!row) throw entryNotFound();
    return row;
  }

  async function prove(log: SignatureLog, row: EntryRow): Promise<LoggedEntry> {
    const tree = treeIdOf(log).toString(16).padStart(16, '0');
    return { uuid: `${tree}${row.leaf}`, log, entry: await logs.prove(log, row) };
  }

  return {
    submit,
    async find(uuid) {
      const match = /^(?:([0-9a-f]{16}))?([0-9a-f]{64})$/.exec(uuid);
      if (!match) throw entryNotFound();
      const [, tree, hash] = match;
      const candidates = logs.all().filter((log) => log.form === 'rekor1');
      for (const log of candidates) {
        if (tree !== undefined && BigInt(`0x${tree}`) !== treeIdOf(log)) continue;
        const row = await findLeaf(db, log.id, hash!);
        if (row) return await prove(log, row);
      }
      throw entryNotFound();
    },
    async at(logIndex) {
      const log = logs.active('rekor1');
      const [row] = await listEntries(db, log.id, logIndex, 1);
      if (!row) throw entryNotFound();
      return await prove(log, row);
    },
  };
}

function verifySubmission(content: SubmittedContent, der: Buffer, trust: Trust, now: number) {
  const leaf = parseCertificate(der);
  const { root } = parseTrustedRoot(trust.trustedRoot());
  const authority = verifyChain(leaf, root.authorities);
  verifyPurpose(leaf, 'codeSigning');
  verifyIssuerPurpose(authority.chain, 'codeSigning');
  verifyValidity(leaf, authority, [now]);
  verifyScts(leaf, authority, root.certificateLogs);
  const san = requireName(leaf);
  const { issuer } = identityExtensions(leaf);
  if (issuer === undefined) throw submissionRefused('its certificate does not say who vouches for its name');
  requireSignature(content, leaf);
  return { leaf, san, issuer };
}

function requireSignature(content: SubmittedContent, leaf: Certificate): void {
  const algorithm = content.kind === 'dsse' ? 'sha256' : content.algorithm;
  if (!verifyDigest(leaf.publicKey, algorithm, signedDigestOf(content), content.signature)) {
    throw submissionRefused('the signature is not that of the certified key over this content');
  }
}

function signedDigestOf(content: SubmittedContent): Buffer {
  if (content.kind === 'hashedrekord') return content.digest;
  return createHash('sha256').update(preAuthEncoding(content.payloadType, content.payload)).digest();
}

function render(form: SignatureLog['form'], content: SubmittedContent, certificate: Buffer): string {
  const { signature } = content;
  if (form === 'rekor2') {
    const algorithm = content.kind === 'dsse' ? 'sha256' : content.algorithm;
    return renderEntry2({ algorithm, digest: signedDigestOf(content), signature }, certificate, KEY_DETAILS);
  }
  return renderEntry(content, certificate);
}

/** A check's refusal as a problem: whoever submits is told what was expected. */
function judge<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { expected, found } = error.refusal;
    throw submissionRefused(`expected ${expected}, found ${found}`);
  }
}
