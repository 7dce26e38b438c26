import type { Command, Flag } from './command.ts';

const identityToken: Flag = {
  name: 'identity-token',
  value: 'FILE',
  summary: 'An OpenID token of a trusted issuer, for CI; without it you sign as the person logged in.',
};
const out: Flag = { name: 'out', value: 'FILE', summary: 'Where to write the bundle; FILE.sigstore.json unless said.' };
const format: Flag = {
  name: 'format',
  value: 'FORM',
  summary: 'The form of the log entry: rekor1 (the default, which every verifier knows) or rekor2.',
  choices: ['rekor1', 'rekor2'],
};

/** Signing as a person or from another CI, and whom this installation believes. */
export const trustCommands: readonly Command[] = [
  {
    noun: 'sign',
    summary: 'Sign a file in your name and write a Sigstore bundle beside it.',
    description:
      'The key lives for this one signature. The file itself is not sent: the server sees its digest. The bundle is verified before it is written.',
    args: [{ name: 'file', summary: 'The file.' }],
    flags: [identityToken, out, format],
    examples: [
      { does: 'As the person logged in', line: 'waybill sign notes.pdf' },
      {
        does: 'From a job of another CI',
        line: 'waybill sign app.tar.gz --server https://waybill.example --ca ca.pem --identity-token token',
      },
    ],
    load: async () => (await import('./sign.ts')).signFile,
  },
  {
    noun: 'attest',
    verb: 'create',
    summary: 'Sign a claim about an artifact and write a Sigstore bundle.',
    description:
      'For what the platform does not say itself: results of an outside test, provenance of a build in another CI. It carries the name of the signer, and provenance signed this way is level 1 or 2, never 3.',
    flags: [
      { name: 'predicate', value: 'FILE', summary: 'The claim, as a JSON object.', required: true },
      { name: 'type', value: 'URI', summary: 'The kind of claim.', required: true },
      { name: 'subject', value: 'FILE|DIGEST', summary: 'What it is about.', required: true, many: true },
      identityToken,
      { name: 'out', value: 'FILE', summary: 'Where to write the bundle; stdout unless said.' },
      format,
      { name: 'upload', summary: 'Keep it on the server beside the artifact as well; for who is logged in.' },
    ],
    examples: [
      {
        does: 'Results of a test run elsewhere',
        line: 'waybill attest create --predicate results.json --type https://in-toto.io/attestation/test-result/v0.1 --subject app.tar.gz --out app.test.sigstore.json',
      },
    ],
    load: async () => (await import('./sign.ts')).createAttestation,
  },
  {
    noun: 'trust',
    verb: 'show',
    summary: 'Show every authority and log this installation ever had, and what was found amiss.',
    examples: [{ does: 'For a program', line: 'waybill trust show --json' }],
    load: async () => (await import('./authority.ts')).showParts,
  },
  {
    noun: 'trust',
    verb: 'rotate',
    summary: 'Make the next generation of an authority or a log.',
    description:
      'What the one before signed stays valid: the trusted root keeps it with the time at which it ended. --compromised ends it at once, with the certificates that are still alive.',
    args: [{ name: 'part', summary: 'ca, tsa, ct, log or rekor2.' }],
    flags: [
      { name: 'reason', value: 'TEXT', summary: 'Why; it is on record.', required: true },
      { name: 'compromised', summary: 'The key was or may have been stolen.' },
    ],
    examples: [{ does: 'Once a year', line: 'waybill trust rotate ca --reason "yearly rotation"' }],
    load: async () => (await import('./authority.ts')).rotatePart,
  },
  {
    noun: 'trust',
    verb: 'issuer',
    summary: 'List, add or drop outside issuers of identity tokens.',
    description: 'Trusting an issuer lets nobody in: trust rules say which of its tokens are believed.',
    args: [
      { name: 'action', summary: 'list, add or drop.' },
      { name: 'issuer', summary: 'Its address, exactly as in its tokens.', optional: true },
    ],
    flags: [
      { name: 'kind', value: 'KIND', summary: 'What it is.', choices: ['github', 'gitlab', 'kubernetes', 'generic'] },
      { name: 'keys', value: 'FILE', summary: 'Its key set, for an issuer that cannot be reached from the server.' },
      { name: 'keys-url', value: 'URL', summary: 'Where its key set is; found by discovery unless said.' },
      { name: 'issuer-ca', value: 'FILE', summary: 'PEM of the only authority that its server may be certified by.' },
      { name: 'max-age', value: 'SECONDS', summary: 'Tokens older than this are refused; 900 unless said.' },
    ],
    examples: [
      {
        does: 'GitHub Actions',
        line: 'waybill trust issuer add https://token.actions.githubusercontent.com --kind github',
      },
    ],
    load: async () => (await import('./authority.ts')).manageIssuers,
  },
  {
    noun: 'trust',
    verb: 'rule',
    summary: 'List, set, drop or try out the rules that say which tokens are believed.',
    description: 'A rule is written as a whole. Rules that would believe too much are refused, with the reason.',
    args: [
      { name: 'action', summary: 'list, set, drop or check.' },
      { name: 'name', summary: 'The rule.', optional: true },
    ],
    flags: [
      { name: 'file', value: 'FILE', summary: 'For set: the rule as JSON (issuer, audience, when).' },
      { name: 'identity-token', value: 'FILE', summary: 'For check: a token.' },
    ],
    examples: [
      { does: 'Write one', line: 'waybill trust rule set gh-release --file rule.json' },
      { does: 'Why is my token refused?', line: 'waybill trust rule check --identity-token token' },
    ],
    load: async () => (await import('./authority.ts')).manageRules,
  },
  {
    noun: 'trust',
    verb: 'tuf',
    summary: 'Show the TUF repository, or move its root key out of this server and sign with it.',
    description:
      'key makes a key pair in a file (do it on the machine where the key stays). export writes root or targets metadata, with --new-key a root that hands over to that key; sign adds a signature, without a server; import takes it back.',
    args: [
      { name: 'action', summary: 'status, key, export, sign or import.' },
      {
        name: 'file',
        summary: 'For sign and import: the metadata. For key: where to write the private key.',
        optional: true,
      },
    ],
    flags: [
      { name: 'role', value: 'ROLE', summary: 'For export: root or targets.', choices: ['root', 'targets'] },
      { name: 'new-key', value: 'HEX', summary: 'For export of a root: the public key that takes over.' },
      { name: 'key', value: 'FILE', summary: 'For sign: the private key.' },
      { name: 'out', value: 'FILE', summary: 'Where to write; stdout unless said.' },
    ],
    examples: [
      { does: 'How long is it good for?', line: 'waybill trust tuf status' },
      {
        does: 'On the machine in the safe',
        line: 'waybill trust tuf sign root.json --key tuf-root.key --out root.signed.json',
      },
    ],
    load: async () => (await import('./authority.ts')).manageTuf,
  },
];
