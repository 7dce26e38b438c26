import { type Digest, firstRefusal, idFrom, isDigest } from '#base';
import type { Actor, Journal } from '#journal';
import type { Db, Objects } from '#storage';
import { createHash } from 'node:crypto';
import { BUNDLE_BYTES_MAX, parseBundle } from './bundle.ts';
import { identityExtensions, parseCertificate, subjectAlternativeName } from './certificate.ts';
import { buildLevelOf } from './claims.ts';
import { bundleReceived } from './facts.ts';
import { checkPredicate } from './predicate.ts';
import { bundleRefused } from './problems.ts';
import { findBundle, listBundles } from './store.ts';
import type { Trust } from './trust.ts';
import { verifyBundle } from './verify.ts';

/** Of one artifact; the control plane's own are not counted, so nobody can crowd them out. */
const RECEIVED_MAX = 200;

export interface ReceivedBundle {
  bundle: Digest;
  signer: string;
  issuer: string;
  /** The highest SLSA build level that provenance by this signer can have. */
  buildLevel: 1 | 2 | 3;
}

/** Keeps a bundle that somebody else signed with a certificate of ours: a team's own CI, a person. Verified first. */
export function createReception({
  journal,
  db,
  objects,
  trust,
  publicUrl,
  controlIssuer,
}: {
  journal: Journal;
  db: Db;
  objects: Objects;
  trust: Trust;
  publicUrl: string;
  controlIssuer: string;
}) {
  return async (untrusted: Buffer, actor: Actor): Promise<ReceivedBundle> => {
    if (untrusted.length > BUNDLE_BYTES_MAX) throw bundleRefused('it is too large');
    const { bundle } = parseBundle(untrusted);
    const leaf = parseCertificate(bundle.verificationMaterial.certificate.rawBytes);
    const san = subjectAlternativeName(leaf) ?? '';
    const issuer = identityExtensions(leaf).issuer ?? '';
    if (issuer === controlIssuer) throw bundleRefused('the control plane keeps its own bundles');
    const verdict = verifyBundle({ bundle: untrusted, trustedRoot: trust.trustedRoot(), expect: { issuer, san } });
    const { statement, signer, entry } = verdict;
    if (!verdict.ok || !statement || !signer || !entry) {
      const refusal = firstRefusal(verdict);
      throw bundleRefused(`${refusal?.name ?? 'it'}: ${refusal?.found ?? 'not verified'}`);
    }
    checkPredicate(statement.predicateType, statement.predicate);
    const subjects = statement.subject.map(({ name = '', digest }) => ({ name, digest }));
    const artifact = subjects.map(({ digest }) => `sha256:${digest['sha256']}`).find(isDigest);
    if (artifact === undefined) throw bundleRefused('it names no artifact by SHA-256');
    const { digest } = await objects.put(untrusted);
    const buildLevel = buildLevelOf(signer, publicUrl);
    const received = { bundle: digest, signer: san, issuer, buildLevel };
    if (await findBundle(db, digest)) return received;
    const others = (await listBundles(db, artifact, RECEIVED_MAX * 20)).filter((row) => row.issuer !== controlIssuer);
    if (others.length >= RECEIVED_MAX)
      throw bundleRefused(`${RECEIVED_MAX} bundles of others name this artifact already`);
    const attestation = idFrom('rcv', createHash('sha256').update(digest).digest());
    const { predicateType } = statement;
    await journal.record({
      fact: bundleReceived,
      payload: {
        attestation,
        bundle: digest,
        predicateType,
        san,
        issuer,
        subjects,
        logIndex: entry.logIndex,
        buildLevel,
      },
      stream: `attestation/${attestation}`,
      actor,
      subject: artifact,
      expectSeq: 0,
    });
    return received;
  };
}
