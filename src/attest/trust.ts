import { type Clock, toIso } from '#base';
import { type Fact, type Journal, systemActor } from '#journal';
import type { KeyAlgorithm, Signer, Vault } from '#vault';
import { createAuthorities, LEAF_LIFETIME_MS, wholeSeconds } from './ca.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { type TrustEstablished, trustEstablished } from './facts.ts';
import { authorityExpired, clockWrong, nameChanged, nameInvalid } from './problems.ts';
import { renderTrustedRoot, type TrustedRootJson } from './trusted-root.ts';

/** The keys and certificates of this installation: made on first start, recorded as one fact, never silently made again. */

const KEYS = {
  root: ['attest.root', 'p384', 'certificate-authority'],
  intermediate: ['attest.intermediate', 'p384', 'certificate-authority'],
  timestampRoot: ['attest.timestamp-root', 'p384', 'timestamp-authority'],
  timestamp: ['attest.timestamp', 'p256', 'timestamp'],
  certificateLog: ['attest.certificate-log', 'p256', 'certificate-log'],
  log: ['attest.signatures-log', 'p256', 'signatures-log'],
} as const satisfies Record<string, readonly [string, KeyAlgorithm, string]>;

/** Marks the log as Rekor v1 for sigstore-go: a tree id after the hostname. */
const TREE_ID = '4242424242424242';

export interface Trust {
  name: string;
  logHostname: string;
  logOrigin: string;
  intermediate: Certificate;
  timestamp: Certificate;
  signers: Record<keyof typeof KEYS, Signer>;
  trustedRoot: TrustedRootJson;
}

export async function openTrust(options: {
  journal: Journal;
  vault: Vault;
  clock: Clock;
  name: string;
  publicUrl: string;
}): Promise<Trust> {
  const { journal, vault, name } = options;
  const signers = await openSigners(vault);
  const recorded = (await journal.byStream(STREAM))[0] as Fact<TrustEstablished> | undefined;
  const fact = recorded ?? (await establish(options, signers));
  if (fact.payload.name !== name) throw nameChanged(fact.payload.name, name);
  return trustOf(fact, signers);
}

const STREAM = 'trust/attest';

async function openSigners(vault: Vault): Promise<Trust['signers']> {
  const opened: [string, Signer][] = [];
  for (const [use, [name, algorithm, purpose]] of Object.entries(KEYS)) {
    await vault.createKey({ name, algorithm, purpose });
    opened.push([use, await vault.signer(name)]);
  }
  return Object.fromEntries(opened) as Trust['signers'];
}

/** A crash before the fact loses only certificates nobody has seen; the keys are found again. */
async function establish(
  { journal, clock, name, publicUrl }: { journal: Journal; clock: Clock; name: string; publicUrl: string },
  signers: Trust['signers'],
): Promise<Fact<TrustEstablished>> {
  if (!isHostname(name)) throw nameInvalid(name);
  const certificates = await createAuthorities(name, signers, clock.now());
  const base64 = (bytes: Buffer) => bytes.toString('base64');
  return await journal.record({
    fact: trustEstablished,
    payload: {
      name,
      publicUrl,
      logHostname: `signatures.${name}`,
      logOrigin: `signatures.${name} - ${TREE_ID}`,
      logKey: base64(signers.log.spki),
      certificateLogKey: base64(signers.certificateLog.spki),
      certificates: {
        root: base64(certificates.root),
        intermediate: base64(certificates.intermediate),
        timestampRoot: base64(certificates.timestampRoot),
        timestamp: base64(certificates.timestamp),
      },
    },
    stream: STREAM,
    actor: systemActor('attest'),
    expectSeq: 0,
  });
}

/** It becomes part of URLs and certificates; an IP address cannot, since nothing can stand in front of one. */
function isHostname(name: string): boolean {
  const hostname = `signatures.${name}`;
  if (name === '' || name.startsWith('.') || name.length > 200 || !URL.canParse(`https://${hostname}`)) return false;
  return new URL(`https://${hostname}`).hostname === hostname;
}

function trustOf({ payload }: Fact<TrustEstablished>, signers: Trust['signers']): Trust {
  const bytes = (text: string) => Buffer.from(text, 'base64');
  const { certificates } = payload;
  const intermediate = parseCertificate(bytes(certificates.intermediate));
  const timestamp = parseCertificate(bytes(certificates.timestamp));
  const pairs: [Buffer, Buffer][] = [
    [intermediate.spki, signers.intermediate.spki],
    [timestamp.spki, signers.timestamp.spki],
    [bytes(payload.logKey), signers.log.spki],
    [bytes(payload.certificateLogKey), signers.certificateLog.spki],
  ];
  if (pairs.some(([recorded, held]) => !recorded.equals(held))) {
    throw new TypeError('attest: the keys in the vault are not those the recorded certificates were made for');
  }
  return {
    name: payload.name,
    logHostname: payload.logHostname,
    logOrigin: payload.logOrigin,
    intermediate,
    timestamp,
    signers,
    trustedRoot: renderTrustedRoot({
      name: payload.name,
      publicUrl: payload.publicUrl,
      since: wholeSeconds(intermediate.notBefore),
      logHostname: payload.logHostname,
      logKey: bytes(payload.logKey),
      certificateLogKey: bytes(payload.certificateLogKey),
      certificates: {
        root: bytes(certificates.root),
        intermediate: intermediate.der,
        timestampRoot: bytes(certificates.timestampRoot),
        timestamp: timestamp.der,
      },
    }),
  };
}

/** Clocks may be set back by this much without harm: times in signatures are whole seconds. */
const BACKWARDS_MS_MAX = 2000;

/**
 * All times in a bundle come from this machine's clock, so a clock that is visibly wrong signs nothing.
 * `newestAt`: when the newest entry of the signatures log was made.
 */
export function checkClock(
  now: number,
  trust: Pick<Trust, 'intermediate' | 'timestamp'>,
  newestAt: number | undefined,
): void {
  const since = Math.max(trust.intermediate.notBefore, trust.timestamp.notBefore);
  if (now < since) throw clockWrong(`it shows ${toIso(now)}, but the authority was made at ${toIso(since)}`);
  if (newestAt !== undefined && now < newestAt - BACKWARDS_MS_MAX) {
    throw clockWrong(`it shows ${toIso(now)}, but the newest signature is from ${toIso(newestAt)}`);
  }
  for (const [which, { notAfter }] of [
    ['certificate authority', trust.intermediate],
    ['timestamp authority', trust.timestamp],
  ] as const) {
    if (now + LEAF_LIFETIME_MS > notAfter) throw authorityExpired(which, toIso(notAfter));
  }
}
