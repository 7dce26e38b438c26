import { verify } from 'node:crypto';
import { canonicalJson, type Clock, digestOf, Problem } from '#base';
import type { BelievedToken } from '#identity';
import type { Actor, Fact, Journal } from '#journal';
import type { Db } from '#storage';
import { importSpki } from './certificate.ts';
import { type CertifiedIdentity, identityOf } from './claims.ts';
import { provenKeyOfCsr } from './csr.ts';
import { certify } from './draft.ts';
import { type CertificateRequested, certificateRequested, precertificateLogged } from './facts.ts';
import { keyUnproven, keyUnsuitable, tokenReused } from './problems.ts';
import { newestEntry } from './store.ts';
import { checkClock, type Trust } from './trust.ts';

export interface CertificateRequest {
  believed: BelievedToken;
  /** A key with a signature by it over the token's `sub` or `email`, or PKCS #10. DER. */
  proof: { spki: Buffer; signature: Buffer } | { csr: Buffer };
  actor: Actor;
}

export interface IssuedCertificate {
  /** Leaf, intermediate, root; DER. */
  chain: readonly [Buffer, Buffer, Buffer];
  identity: CertifiedIdentity;
}

/** Verify everything, record who asks with which key, make the precertificate known, and only then make the certificate. */
export function createCertificateDesk({
  journal,
  db,
  clock,
  trust,
  publicUrl,
}: {
  journal: Journal;
  db: Db;
  clock: Clock;
  trust: Trust;
  publicUrl: string;
}) {
  return async ({ believed, proof, actor }: CertificateRequest): Promise<IssuedCertificate> => {
    const spki = provenKey(proof, believed);
    const identity = identityOf(believed, publicUrl);
    const request = await recordRequest(believed, identity, spki, actor);
    const { ca } = trust.current();
    checkClock(clock.now(), trust.current(), (await newestEntry(db))?.logged_at);
    const leaf = await certify(
      { ...identity, issuer: believed.issuer, spki },
      trust.current(),
      clock.now(),
      async (precertificate, serial, sctAt) => {
        await journal.record({
          fact: precertificateLogged,
          payload: {
            request,
            serial: serial.toString('hex'),
            san: identity.san,
            issuer: believed.issuer,
            sctAt,
            precertificate: precertificate.toString('base64'),
          },
          stream: `certificate/${serial.toString('hex')}`,
          actor,
          expectSeq: 0,
        });
      },
    );
    return { chain: [leaf, ca.intermediate.der, ca.root.der], identity };
  };

  /** A token is good for the first key it is used with: who copies it on its way cannot use it, and a retry can. */
  async function recordRequest(
    believed: BelievedToken,
    { san }: CertifiedIdentity,
    spki: Buffer,
    actor: Actor,
  ): Promise<string> {
    const stream = `request/${believed.id}`;
    const key = digestOf(spki);
    const before = (await journal.byStream(stream))[0] as Fact<CertificateRequested> | undefined;
    if (before) {
      requireSameKey(before, key);
      return stream;
    }
    const { kind, issuer, subject, claims, rule } = believed;
    const jti = kind !== 'external' && typeof claims['jti'] === 'string' ? claims['jti'] : null;
    const payload = {
      token: believed.id,
      kind,
      issuer,
      subject,
      san,
      jti,
      key,
      rule: rule ?? null,
      claims: digestOf(canonicalJson(claims)),
    };
    try {
      await journal.record({ fact: certificateRequested, payload, stream, actor, expectSeq: 0 });
      return stream;
    } catch (error) {
      const first = (await journal.byStream(stream))[0] as Fact<CertificateRequested> | undefined;
      if (!Problem.is(error) || error.code !== 'journal.stream_moved' || !first) throw error;
      requireSameKey(first, key);
      return stream;
    }
  }
}

function requireSameKey({ payload }: Fact<CertificateRequested>, key: string): void {
  if (payload.key !== key) throw tokenReused();
}

const CHALLENGE_CHARS_MAX = 1024;

function provenKey(proof: CertificateRequest['proof'], believed: BelievedToken): Buffer {
  if ('csr' in proof) {
    const spki = provenKeyOfCsr(proof.csr);
    if (!spki) throw keyUnproven();
    requireP256(spki);
    return spki;
  }
  const key = requireP256(proof.spki);
  const challenges = [believed.subject, believed.claims['email']].filter(
    (text): text is string => typeof text === 'string' && text !== '' && text.length <= CHALLENGE_CHARS_MAX,
  );
  if (!challenges.some((text) => verify('sha256', Buffer.from(text), key, proof.signature))) throw keyUnproven();
  return proof.spki;
}

function requireP256(spki: Buffer) {
  const key = importSpki(spki);
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw keyUnsuitable(key.asymmetricKeyType ?? 'unknown');
  return key;
}
