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
