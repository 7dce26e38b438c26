import { certificateAuthority, parseCertificate, subjectAlternativeName } from './certificate.ts';
import {
  type CertificateFields,
  type CertificateSigner,
  type Extension,
  extension,
  issueCertificate,
  keyIdentifier,
  newSerial,
  renderName,
  renderTbs,
} from './issue.ts';
import { fulcioExtensions, type IdentityExtensions, oids } from './oid.ts';
import { renderSctList, type Sct } from './sct.ts';

/** The certificate authorities: signing (root, intermediate, ten-minute leaves) and timestamping (root, one signer). */

const DAY_MS = 24 * 60 * 60_000;
const ROOT_LIFETIME_MS = 3650 * DAY_MS;
/** Of the intermediate and the timestamp signer. */
const ISSUER_LIFETIME_MS = 1095 * DAY_MS;
export const LEAF_LIFETIME_MS = 10 * 60_000;

export interface AuthoritySigners {
  root: CertificateSigner;
  intermediate: CertificateSigner;
  timestampRoot: CertificateSigner;
  timestamp: CertificateSigner;
}

export interface AuthorityCertificates {
  root: Buffer;
  intermediate: Buffer;
  timestampRoot: Buffer;
  timestamp: Buffer;
}

/** The certificates of an installation's two authorities, made once. */
export async function createAuthorities(
  organization: string,
  signers: AuthoritySigners,
  now: number,
): Promise<AuthorityCertificates> {
  return {
    ...(await createSigningAuthority(organization, signers, now, 1)),
    ...(await createTimestampAuthority(organization, signers, now, 1)),
  };
}

/** Root and intermediate share their `O`: gh demands it. A later generation has other names, so that chains are told apart. */
export async function createSigningAuthority(
  organization: string,
  signers: Pick<AuthoritySigners, 'root' | 'intermediate'>,
  now: number,
  generation: number,
): Promise<Pick<AuthorityCertificates, 'root' | 'intermediate'>> {
  const names = namesOf(organization, generation);
  const root = { name: names('signing root'), signer: signers.root };
  const intermediate = { name: names('signing'), signer: signers.intermediate };
  return {
    root: await certifyAuthority(root, root, now, ROOT_LIFETIME_MS, rootExtensions()),
    intermediate: await certifyAuthority(intermediate, root, now, ISSUER_LIFETIME_MS, [
      extension.keyUsage('certificateSigning'),
      extension.extendedKeyUsage('codeSigning'),
      extension.basicConstraints({ pathLength: 0 }),
    ]),
  };
}

export async function createTimestampAuthority(
  organization: string,
  signers: Pick<AuthoritySigners, 'timestampRoot' | 'timestamp'>,
  now: number,
  generation: number,
): Promise<Pick<AuthorityCertificates, 'timestampRoot' | 'timestamp'>> {
  const names = namesOf(organization, generation);
  const root = { name: names('timestamp root'), signer: signers.timestampRoot };
  const leaf = { name: names('timestamps'), signer: signers.timestamp };
  return {
    timestampRoot: await certifyAuthority(root, root, now, ROOT_LIFETIME_MS, rootExtensions()),
    timestamp: await certifyAuthority(leaf, root, now, ISSUER_LIFETIME_MS, [
      extension.keyUsage('digitalSignature'),
      extension.extendedKeyUsage('timeStamping', true),
    ]),
  };
}

const namesOf = (organization: string, generation: number) => (what: string) =>
  renderName({ organization, commonName: `${organization} ${what}${generation === 1 ? '' : ` ${generation}`}` });

const rootExtensions = () => [extension.keyUsage('certificateSigning'), extension.basicConstraints({})];

interface Party {
  name: Buffer;
  signer: CertificateSigner;
}

async function certifyAuthority(
  subject: Party,
  issuer: Party,
  now: number,
  lifetimeMs: number,
  extensions: readonly Extension[],
): Promise<Buffer> {
  const notBefore = wholeSeconds(now);
  const fields = {
    serial: newSerial(),
    issuer: issuer.name,
    subject: subject.name,
    notBefore,
    notAfter: notBefore + lifetimeMs,
    spki: subject.signer.spki,
    extensions: [
      ...extensions,
      extension.subjectKeyId(keyIdentifier(subject.signer.spki)),
      ...(subject === issuer ? [] : [extension.authorityKeyId(keyIdentifier(issuer.signer.spki))]),
    ],
  };
  return await issueCertificate(fields, issuer.signer);
}

export interface LeafRequest {
  /** The one name in the certificate; printable ASCII. */
  san: string;
  /** Who vouches for the name. */
  issuer: string;
  extensions: IdentityExtensions;
  /** The ephemeral key. */
  spki: Buffer;
  now: number;
}

/** A leaf before the certificate log has seen it. */
export interface LeafDraft {
  fields: CertificateFields;
  /** What is submitted to the certificate log: the same certificate with a critical extension no client accepts. */
  precertificate: Buffer;
  /** What the log signs. */
  tbs: Buffer;
}

const PRINTABLE = /^[\x21-\x7e]{1,2048}$/;

export async function draftLeaf(
  request: LeafRequest,
  intermediate: Buffer,
  signer: CertificateSigner,
): Promise<LeafDraft> {
  if (!PRINTABLE.test(request.san))
    throw new TypeError('attest: a certificate name is 1 to 2048 printable ASCII characters');
  const notBefore = wholeSeconds(request.now);
  const fields: CertificateFields = {
    serial: newSerial(),
    issuer: parseCertificate(intermediate).subject,
    subject: renderName({}),
    notBefore,
    notAfter: notBefore + LEAF_LIFETIME_MS,
    spki: request.spki,
    extensions: leafExtensions(request, signer.spki),
  };
  const poisoned = { ...fields, extensions: [...fields.extensions, extension.poison()] };
  return { fields, precertificate: await issueCertificate(poisoned, signer), tbs: renderTbs(fields, signer.algorithm) };
}

function leafExtensions({ san, issuer, extensions, spki }: LeafRequest, issuerSpki: Buffer): Extension[] {
  const texts = Object.entries({ issuer, ...extensions }) as [keyof typeof fulcioExtensions, string | undefined][];
  return [
    extension.keyUsage('digitalSignature'),
    extension.extendedKeyUsage('codeSigning'),
    extension.subjectKeyId(keyIdentifier(spki)),
    extension.authorityKeyId(keyIdentifier(issuerSpki)),
    extension.uriName(san),
    extension.rawText(oids.issuerLegacy, issuer),
    ...texts.flatMap(([name, text]) => (text === undefined ? [] : [extension.text(fulcioExtensions[name], text)])),
  ];
}

/** The SCT comes last: everything before it stays byte for byte what the log has signed. */
export async function finishLeaf(draft: LeafDraft, sct: Sct, signer: CertificateSigner): Promise<Buffer> {
  const extensions = [...draft.fields.extensions, extension.sctList(renderSctList([sct]))];
  const certificate = await issueCertificate({ ...draft.fields, extensions }, signer);
  const read = parseCertificate(certificate);
  if (certificateAuthority(read) || subjectAlternativeName(read) === undefined) {
    throw new TypeError('attest: a leaf certificate is not a CA and has exactly one name');
  }
  return certificate;
}

export const wholeSeconds = (ms: number) => Math.floor(ms / 1000) * 1000;
