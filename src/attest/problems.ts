import { type Digest, Problem } from '#base';

export const clockWrong = (found: string) =>
  new Problem({
    code: 'attest.clock_wrong',
    kind: 'unavailable',
    message: `Nothing is signed, because the clock of this machine cannot be right: ${found}.`,
    hint: 'Set the clock (NTP), then repeat. A signature with a wrong time could never be taken back.',
  });

export const authorityExpired = (which: string, at: string) =>
  new Problem({
    code: 'attest.authority_expired',
    kind: 'unavailable',
    message: `Nothing is signed, because the certificate of the ${which} ends at ${at}.`,
    hint: 'Renew the authority. What was signed before stays valid.',
  });

export const nameChanged = (recorded: string, given: string) =>
  new Problem({
    code: 'attest.name_changed',
    kind: 'conflict',
    message: `This installation signs as ${recorded}, not as ${given}.`,
    hint: `Start it with the name ${recorded}: it stands in every certificate and in the log.`,
  });

export const nameInvalid = (name: string) =>
  new Problem({
    code: 'attest.name_invalid',
    kind: 'invalid',
    message: `An installation cannot sign as '${name}'.`,
    hint: 'Give it a host name in lower case, such as waybill.example.com; an IP address cannot be one.',
  });

export const keyReused = (attestation: string) =>
  new Problem({
    code: 'attest.key_reused',
    kind: 'conflict',
    message: 'Something else was signed under this idempotency key.',
    hint: 'Use one key for one claim about one set of subjects.',
    details: { attestation },
  });

export const entryAltered = (logIndex: number | undefined) =>
  new Problem({
    code: 'attest.entry_altered',
    kind: 'unavailable',
    message: `The database does not have entry ${logIndex ?? '?'} of the signatures log as its fact gives it.`,
    hint: 'Run waybill server rebuild --verify to see which rows were edited.',
  });

export const selfCheckFailed = (reason: string) =>
  new Problem({
    code: 'attest.self_check_failed',
    kind: 'unavailable',
    message: `The bundle that was just made does not verify: ${reason}.`,
    hint: 'Nothing was handed out. Check the clock, then run waybill ledger verify.',
  });

export const bundleNotFound = (bundle: Digest) =>
  new Problem({
    code: 'attest.bundle_not_found',
    kind: 'not_found',
    message: `There is no bundle ${bundle}.`,
    hint: 'List the bundles of an artifact with GET /api/v1/attestations/<digest>.',
    details: { bundle },
  });

export const tooManyBundles = (subject: string, limit: number) =>
  new Problem({
    code: 'attest.too_many_bundles',
    kind: 'limited',
    message: `More than ${limit} bundles name ${subject}.`,
    hint: 'Find out what signs so often about one artifact.',
    details: { subject },
  });

export const nameUnsuitable = (found: string) =>
  new Problem({
    code: 'attest.name_unsuitable',
    kind: 'invalid',
    message: `No certificate can be made for this token: ${found.slice(0, 200)} cannot be a name in it.`,
    hint: 'The token must name its job as its kind of issuer does: GitHub by job_workflow_ref, GitLab by ci_config_ref_uri.',
  });

export const keyUnproven = () =>
  new Problem({
    code: 'attest.key_unproven',
    kind: 'invalid',
    message: 'The proof of possession is not a signature of the key that is to be certified.',
    hint: 'Sign the sub (or email) of the token with the private key, or send a certificate request signed with it.',
  });

export const keyUnsuitable = (found: string) =>
  new Problem({
    code: 'attest.key_unsuitable',
    kind: 'invalid',
    message: `Only ECDSA keys on P-256 are certified, and this one is another (${found}).`,
    hint: 'Make a P-256 key. Every Sigstore client does so unless it is told otherwise.',
  });

export const tokenReused = () =>
  new Problem({
    code: 'attest.token_reused',
    kind: 'conflict',
    message: 'This identity token was used with another key before.',
    hint: 'Have a new token issued. If you did not use it, somebody else holds a copy: look at the certificates of its subject.',
  });

export const submissionRefused = (reason: string) =>
  new Problem({
    code: 'attest.submission_refused',
    kind: 'invalid',
    message: `This signature is not logged: ${reason}.`,
    hint: 'Sign with a certificate of this installation within its ten minutes, and send exactly what was signed.',
  });

export const reserved = () =>
  new Problem({
    code: 'attest.control_reserved',
    kind: 'forbidden',
    message: 'Only the control plane itself logs what it signs.',
    hint: 'Nothing to do: its signatures are in the log already.',
  });

export const entryNotFound = () =>
  new Problem({
    code: 'attest.entry_not_found',
    kind: 'not_found',
    message: 'The log has no such entry.',
    hint: 'Give the uuid as the log answered it.',
  });

export const timestampRefused = (reason: string) =>
  new Problem({
    code: 'attest.timestamp_refused',
    kind: 'invalid',
    message: `This cannot be timestamped: ${reason}.`,
    hint: 'Send the SHA-256 of what is to be stamped, without a policy and without extensions (RFC 3161).',
  });

export const bundleRefused = (reason: string) =>
  new Problem({
    code: 'attest.bundle_refused',
    kind: 'rejected',
    message: `This bundle is not kept: ${reason}.`,
    hint: 'Sign with a certificate of this installation, for example with waybill attest create.',
  });
