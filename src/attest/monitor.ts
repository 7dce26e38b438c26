import { type Clock, digestOf } from '#base';
import type { Fact, Follower, Journal } from '#journal';
import type { Db } from '#storage';
import { raiseAlert } from './alert.ts';
import type { Attest } from './attest.ts';
import { type Certificate, identityExtensions, parseCertificate, subjectAlternativeName } from './certificate.ts';
import {
  type CertificateRequested,
  certificateRequested,
  type EntryLogged,
  entryLogged,
  type PrecertificateLogged,
  precertificateLogged,
} from './facts.ts';
import { listPrecertificates } from './store.ts';

/** Compares every certificate in the list with what asked for it. One that nobody asked for is on record as an alert. */

interface Finding {
  code: string;
  message: string;
}

export interface MonitorOptions {
  journal: Journal;
  db: Db;
  attest: Pick<Attest, 'controlIssuer'>;
  publicUrl: string;
  clock: Clock;
  onError?: (error: unknown, fact: Fact) => void;
}

export function startCertificateMonitor(options: MonitorOptions): Follower {
  const { journal, onError } = options;
  return journal.follow({
    name: 'attest.monitor',
    types: [precertificateLogged.type],
    async handle(fact) {
      const logged = fact as Fact<PrecertificateLogged>;
      const finding = await judge(logged, options);
      if (!finding) return;
      const { serial, san } = logged.payload;
      await raiseAlert(journal, { ...finding, serial, san, fact: fact.number }, serial);
    },
    ...(onError ? { onError } : {}),
  });
}

async function judge(fact: Fact<PrecertificateLogged>, options: MonitorOptions): Promise<Finding | undefined> {
  const { payload } = fact;
  const certificate = parseCertificate(Buffer.from(payload.precertificate, 'base64'));
  const says = {
    serial: certificate.serial.toString('hex'),
    san: subjectAlternativeName(certificate),
    issuer: identityExtensions(certificate).issuer,
  };
  if (says.serial !== payload.serial || says.san !== payload.san || says.issuer !== payload.issuer) {
    return { code: 'attest.certificate_mislabelled', message: 'A certificate is not what the list says it is.' };
  }
  const isControl = payload.issuer === options.attest.controlIssuer;
  const known = isControl ? payload.request.startsWith('attestation/') : await wasAsked(fact, certificate, options);
  if (known) return undefined;
  const message = `A certificate for ${payload.san} was made that nobody asked for.`;
  return { code: 'attest.certificate_unasked', message };
}

/** Asked before, by a believed token, for this name, by this issuer, with this key; our own tokens are on record themselves. */
async function wasAsked(
  { number, payload }: Fact<PrecertificateLogged>,
  certificate: Certificate,
  { journal, publicUrl }: MonitorOptions,
): Promise<boolean> {
  const asked = (await journal.byStream(payload.request))[0] as Fact<CertificateRequested> | undefined;
  if (asked?.type !== certificateRequested.type || asked.number >= number) return false;
  const { san, issuer, key, kind, jti, subject } = asked.payload;
  if (san !== payload.san || issuer !== payload.issuer || key !== digestOf(certificate.spki)) return false;
  if (kind === 'external') return asked.payload.rule !== null;
  const [issued] = jti === null ? [] : await journal.byStream(`oidc/${jti}`);
  if (!issued || issued.number >= asked.number) return false;
  if (kind === 'job') return issued.type === 'identity.job_token_issued' && issuer === `${publicUrl}/oidc/jobs`;
  const isOwn = issued.type === 'identity.person_token_issued' && issued.actor.principal === subject;
  return isOwn && issuer === `${publicUrl}/oidc/people`;
}

/** Certificates live ten minutes; older than that, one that signed nothing never will. */
const UNUSED_AFTER_MS = 15 * 60_000;
const LOOK_BACK_MS = 7 * 24 * 60 * 60_000;

/**
 * The control plane makes one certificate for one statement. One without an entry in the log was drawn up just before a crash, or
 * by somebody who uses it elsewhere.
 */
export async function findUnusedCertificates({ journal, db, attest, clock }: MonitorOptions): Promise<void> {
  const now = clock.now();
  const rows = await listPrecertificates(db, attest.controlIssuer, now - LOOK_BACK_MS, now - UNUSED_AFTER_MS);
  for (const { serial, san, request, fact } of rows) {
    const facts = await journal.byStream(request);
    const entry = facts.find(({ type }) => type === entryLogged.type) as Fact<EntryLogged> | undefined;
    if (entry && usedSerial(entry.payload) === serial) continue;
    const message = `The certificate made for ${san} as the control plane signed nothing. After a crash at that moment this is expected.`;
    await raiseAlert(journal, { code: 'attest.certificate_unused', message, serial, san, fact }, serial);
  }
}

function usedSerial({ rekor2Body }: EntryLogged): string {
  const { spec } = JSON.parse(rekor2Body) as {
    spec: { hashedRekordV002: { signature: { verifier: { x509Certificate: { rawBytes: string } } } } };
  };
  const { rawBytes } = spec.hashedRekordV002.signature.verifier.x509Certificate;
  return parseCertificate(Buffer.from(rawBytes, 'base64')).serial.toString('hex');
}
