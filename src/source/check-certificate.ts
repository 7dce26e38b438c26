/** Push certificates (`git push --signed`): who moved which ref from where to where, in the pusher's own hand. */
import { type Check, failed, notChecked, passed } from '#base';
import type { RefUpdate } from './ref.ts';
import type { PushCertificatePolicy } from './store.ts';
import { verifySshSignature } from './sshsig.ts';
import type { SignerDirectory } from './check-signatures.ts';
import { cut } from './check-refs.ts';

export interface PushCertificate {
  readonly text: string;
  readonly nonce: string;
  /** git's own word on the nonce; only `OK` counts. */
  readonly nonceStatus: string;
}

const NAME = 'push certificate';
const HOW_TO_SIGN = 'git config gpg.format ssh; git config push.gpgSign if-asked';

export async function checkCertificate(input: {
  policy: PushCertificatePolicy;
  certificate: PushCertificate | null;
  updates: readonly RefUpdate[];
  pusher: string;
  cloneUrl: string;
  directory: SignerDirectory;
  isNonceUsed(nonce: string): Promise<boolean>;
}): Promise<Check[]> {
  const { certificate, policy } = input;
  if (certificate === null) {
    if (policy === 'require')
      return [
        failed(NAME, {
          code: 'source.certificate_missing',
          expected: 'a signed push',
          found: 'an unsigned one',
          fix: HOW_TO_SIGN,
        }),
      ];
    return [
      notChecked(
        NAME,
        policy === 'ask'
          ? 'the client sent none; this repository does not require one'
          : 'this repository does not ask for one',
      ),
    ];
  }
  const refuse = (code: string, expected: string, found: string) => [
    failed(NAME, { code, expected, found, fix: 'push again; the client then signs afresh' }),
  ];
  const start = certificate.text.indexOf('-----BEGIN ');
  const payload = certificate.text.slice(0, start);
  const result =
    start === -1
      ? { ok: false as const, reason: 'it carries no signature' }
      : verifySshSignature(certificate.text.slice(start), Buffer.from(payload), 'git');
  if (!result.ok) return refuse('source.certificate_invalid', 'a good signature', result.reason);
  const key = await input.directory.signingKey(result.signature.fingerprint);
  if (key === undefined || key.revokedAt !== null || key.principal !== input.pusher) {
    return refuse('source.certificate_signer', 'the pusher’s own enrolled key', result.signature.fingerprint);
  }
  const fields = readCertificate(payload);
  if (!sameUpdates(fields.updates, input.updates))
    return refuse('source.certificate_mismatch', 'the refs that are pushed', 'other refs');
  if (!sameUrl(fields.pushee, input.cloneUrl))
    return refuse('source.certificate_mismatch', `a push to ${input.cloneUrl}`, cut(fields.pushee));
  if (certificate.nonceStatus !== 'OK' || fields.nonce !== certificate.nonce)
    return refuse('source.certificate_nonce', 'the nonce this server gave out', certificate.nonceStatus);
  if (await input.isNonceUsed(certificate.nonce))
    return refuse('source.certificate_replayed', 'a certificate never used before', 'one that was');
  return [passed(NAME, result.signature.fingerprint)];
}

function readCertificate(payload: string): { pushee: string; nonce: string; updates: string[] } {
  const split = payload.indexOf('\n\n');
  const headers = payload.slice(0, split).split('\n');
  const field = (name: string) => headers.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? '';
  return {
    pushee: field('pushee'),
    nonce: field('nonce'),
    updates: payload
      .slice(split + 2)
      .split('\n')
      .filter((line) => line !== ''),
  };
}

function sameUpdates(certified: readonly string[], updates: readonly RefUpdate[]): boolean {
  const asked = updates.map((update) => `${update.old} ${update.new} ${update.ref}`);
  return asked.length === certified.length && asked.toSorted().join('\n') === certified.toSorted().join('\n');
}

function sameUrl(a: string, b: string): boolean {
  const plain = (url: string) =>
    url
      .replace(/\/+$/, '')
      .replace(/\.git$/, '')
      .replace(/^https:\/\/[^/@]*@/, 'https://');
  return plain(a) === plain(b);
}
