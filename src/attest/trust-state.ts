import { toIso } from '#base';
import type { Fact } from '#journal';
import { base64 } from './bundle.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { type TrustEstablished, trustEstablished, type TrustRotated, trustRotated } from './facts.ts';
import { logIdOf, noteKeyId } from './sct.ts';
import { type TrustedRootJson, TRUSTED_ROOT_MEDIA_TYPE } from './trusted-root.ts';

/** Whom this installation tells the world to believe: every authority and log it ever had, each with its time. Pure. */

/** The parts that are rotated one by one. The two logs hold the same signatures in the forms of Rekor v1 and v2. */
export const trustParts = ['ca', 'tsa', 'ct', 'log', 'rekor2'] as const;
export type TrustPart = (typeof trustParts)[number];

interface Generation {
  /** From 1. */
  generation: number;
  start: number;
  /** When the next one took over; what was made until then stays valid. */
  end: number | undefined;
}

export interface SigningAuthority extends Generation {
  root: Certificate;
  intermediate: Certificate;
}

export interface TimestampAuthority extends Generation {
  root: Certificate;
  signer: Certificate;
}

export interface CertificateLog extends Generation {
  hostname: string;
  key: Buffer;
}

export interface SignatureLog extends Generation {
  form: 'rekor1' | 'rekor2';
  /** Names directory and rows: `signatures`, `rekor2`, and from the second on with `-<generation>`. */
  id: string;
  hostname: string;
  origin: string;
  key: Buffer;
  /** Bytes that name the log in entries and in the trusted root. */
  keyId: Buffer;
}

export interface TrustState {
  name: string;
  publicUrl: string;
  ca: readonly SigningAuthority[];
  tsa: readonly TimestampAuthority[];
  ct: readonly CertificateLog[];
  log: readonly SignatureLog[];
  rekor2: readonly SignatureLog[];
}

/** The facts of the stream of trust, in order → what they add up to. */
export function foldTrust(facts: readonly Fact[]): TrustState | undefined {
  const [first, ...rest] = facts;
  if (first?.type !== trustEstablished.type) return undefined;
  const rotations = rest.filter((fact) => fact.type === trustRotated.type) as Fact<TrustRotated>[];
  return rotations.reduce(
    (state, { payload }) => rotate(state, payload),
    established(first.payload as TrustEstablished),
  );
}

const bytes = (text: string) => Buffer.from(text, 'base64');

function established({ name, publicUrl, certificates, ...logs }: TrustEstablished): TrustState {
  const intermediate = parseCertificate(bytes(certificates.intermediate));
  const since = { generation: 1, start: intermediate.notBefore, end: undefined };
  const root = parseCertificate(bytes(certificates.root));
  const timestampRoot = parseCertificate(bytes(certificates.timestampRoot));
  const signer = parseCertificate(bytes(certificates.timestamp));
  return {
    name,
    publicUrl,
    ca: [{ ...since, root, intermediate }],
    tsa: [{ ...since, root: timestampRoot, signer }],
    ct: [{ ...since, hostname: `certificates.${name}`, key: bytes(logs.certificateLogKey) }],
    log: [signatureLog('rekor1', since, logs.logHostname, logs.logOrigin, bytes(logs.logKey))],
    rekor2: [],
  };
}

function signatureLog(
  form: SignatureLog['form'],
  times: Generation,
  hostname: string,
  origin: string,
  key: Buffer,
): SignatureLog {
  const base = form === 'rekor1' ? 'signatures' : 'rekor2';
  const id = times.generation === 1 ? base : `${base}-${times.generation}`;
  return { ...times, form, id, hostname, origin, key, keyId: noteKeyId(hostname, key) };
}

function rotate(state: TrustState, { material, generation, startsAt, previousEndsAt }: TrustRotated): TrustState {
  const times = { generation, start: startsAt, end: undefined };
  switch (material.part) {
    case 'ca': {
      const root = parseCertificate(bytes(material.root));
      const intermediate = parseCertificate(bytes(material.intermediate));
      return { ...state, ca: append(state.ca, { ...times, root, intermediate }, previousEndsAt) };
    }
    case 'tsa': {
      const root = parseCertificate(bytes(material.root));
      const signer = parseCertificate(bytes(material.signer));
      return { ...state, tsa: append(state.tsa, { ...times, root, signer }, previousEndsAt) };
    }
    case 'ct': {
      const next = { ...times, hostname: material.hostname, key: bytes(material.key) };
      return { ...state, ct: append(state.ct, next, previousEndsAt) };
    }
    case 'log':
    case 'rekor2': {
      const form = material.part === 'log' ? 'rekor1' : 'rekor2';
      const next = signatureLog(form, times, material.hostname, material.origin, bytes(material.key));
      return { ...state, [material.part]: append(state[material.part], next, previousEndsAt) };
    }
  }
}

function append<G extends Generation>(before: readonly G[], next: G, previousEndsAt: number | null): G[] {
  const newest = before.at(-1);
  if (!newest) return [next];
  return [...before.slice(0, -1), { ...newest, end: previousEndsAt ?? undefined }, next];
}

/** The one in use. */
export function newest<G extends Generation>(generations: readonly G[]): G {
  const last = generations.at(-1);
  if (!last) throw new TypeError('attest: there is no generation yet');
  return last;
}

/** `trusted_root.json` of everything, oldest first; an old one says until when. */
export function renderTrustedRoot({ name, publicUrl, ca, tsa, ct, log, rekor2 }: TrustState): TrustedRootJson {
  return {
    mediaType: TRUSTED_ROOT_MEDIA_TYPE,
    tlogs: [...log, ...rekor2].map(({ hostname, key, keyId, form, ...times }) =>
      renderLog(hostname, key, keyId, form === 'rekor1' ? P256 : ED25519, times),
    ),
    certificateAuthorities: ca.map(({ root, intermediate, ...times }) => ({
      subject: { organization: name, commonName: `${name} signing root` },
      uri: publicUrl,
      certChain: chainOf(intermediate, root),
      validFor: validFor(times),
    })),
    ctlogs: ct.map(({ hostname, key, ...times }) => renderLog(hostname, key, logIdOf(key), P256, times)),
    timestampAuthorities: tsa.map(({ root, signer, ...times }) => ({
      subject: { organization: name, commonName: `${name} timestamp root` },
      uri: `${publicUrl}/api/v1/timestamp`,
      certChain: chainOf(signer, root),
      validFor: validFor(times),
    })),
  };
}

const P256 = 'PKIX_ECDSA_P256_SHA_256' as const;
const ED25519 = 'PKIX_ED25519' as const;

function renderLog(
  hostname: string,
  key: Buffer,
  keyId: Buffer,
  keyDetails: typeof P256 | typeof ED25519,
  times: Pick<Generation, 'start' | 'end'>,
) {
  return {
    baseUrl: `https://${hostname}`,
    hashAlgorithm: 'SHA2_256' as const,
    publicKey: { rawBytes: base64(key), keyDetails, validFor: validFor(times) },
    logId: { keyId: base64(keyId) },
  };
}

const validFor = ({ start, end }: Pick<Generation, 'start' | 'end'>) => ({
  start: toIso(start),
  ...(end === undefined ? {} : { end: toIso(end) }),
});

const chainOf = (...chain: readonly Certificate[]) => ({
  certificates: chain.map(({ der }) => ({ rawBytes: base64(der) })),
});
