import { type Digest, digestOf, hexOf, Problem } from '#base';
import { type Fact, type Journal, systemActor } from '#journal';
import type { Objects } from '#storage';
import type { Vault } from '#vault';
import { createPublicKey } from 'node:crypto';
import { BUNDLE_BYTES_MAX } from './bundle.ts';
import { preAuthEncoding, renderEnvelope } from './dsse.ts';
import { type SummarySigned, summarySigned } from './facts.ts';
import { parseStatement, type Statement } from './statement.ts';

const SUMMARY_TYPE = 'https://slsa.dev/verification_summary/v1';

/**
 * Verification summaries once more as bare DSSE under one long-lived P-256 key: `slsa-verifier verify-vsa` and shops without a
 * network take a key, not a bundle. Only what the control plane has signed and logged before is signed this way.
 */
export interface SummaryKey {
  /** PEM. */
  publicKey: string;
  /** `attest.not_a_summary` unless the statement is one. One bundle, one envelope. */
  envelopeFor(bundle: Digest, payload: Buffer): Promise<Buffer>;
}

export async function openSummaryKey({
  vault,
  journal,
  objects,
}: {
  vault: Vault;
  journal: Journal;
  objects: Objects;
}): Promise<SummaryKey> {
  await vault.createKey({ name: 'attest.verifier', algorithm: 'p256', purpose: 'verification-summaries' });
  const signer = await vault.signer('attest.verifier');
  const pem = createPublicKey({ key: signer.spki, format: 'der', type: 'spki' }).export({
    format: 'pem',
    type: 'spki',
  });
  return {
    publicKey: pem.toString(),
    async envelopeFor(bundle, payload) {
      const statement: Statement = parseStatement(payload);
      if (statement.predicateType !== SUMMARY_TYPE) throw notASummary(statement.predicateType);
      const stream = `summary/${hexOf(bundle)}`;
      const [before] = (await journal.byStream(stream)) as Fact<SummarySigned>[];
      if (before) return await objects.read(before.payload.envelope as Digest, BUNDLE_BYTES_MAX);
      const envelope = renderEnvelope(
        payload,
        await signer.sign(preAuthEncoding('application/vnd.in-toto+json', payload)),
      );
      // slsa-verifier wants the member, and empty for a key that it is given.
      const keyed = { ...envelope, signatures: envelope.signatures.map((signature) => ({ ...signature, keyid: '' })) };
      const bytes = Buffer.from(`${JSON.stringify(keyed)}\n`);
      const { digest } = await objects.put(bytes);
      try {
        await journal.record({
          fact: summarySigned,
          payload: { bundle, envelope: digest, key: digestOf(signer.spki) },
          stream,
          actor: systemActor('attest'),
          expectSeq: 0,
        });
        return bytes;
      } catch (error) {
        if (!Problem.is(error) || error.code !== 'journal.stream_moved') throw error;
        const [first] = (await journal.byStream(stream)) as Fact<SummarySigned>[];
        return await objects.read(first!.payload.envelope as Digest, BUNDLE_BYTES_MAX);
      }
    },
  };
}

const notASummary = (found: string) =>
  new Problem({
    code: 'attest.not_a_summary',
    kind: 'invalid',
    message: `Only verification summaries are signed as bare envelopes, and this is ${found.slice(0, 200)}.`,
    hint: 'Take the bundle: everything that reads Sigstore bundles verifies it.',
  });
