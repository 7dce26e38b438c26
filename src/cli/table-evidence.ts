import type { Command, Flag } from './command.ts';

const identity: Flag = {
  name: 'identity',
  value: 'NAME',
  summary: 'Who is expected to have signed; compared letter by letter.',
  required: true,
};
const issuer: Flag = {
  name: 'issuer',
  value: 'URL',
  summary: 'Who is expected to have vouched for that name.',
  required: true,
};
const trustedRoot: Flag = {
  name: 'trusted-root',
  value: 'FILE',
  summary: 'trusted_root.json, from a place you trust.',
  required: true,
};
const predicateType: Flag = { name: 'predicate-type', value: 'URI', summary: 'The kind of claim that is expected.' };
const fact = { name: 'fact', summary: 'The number of a fact; pages and --json show it.' };

/** What can be checked: files, attestations, the ledger, the chain of an artifact. */
export const evidenceCommands: readonly Command[] = [
  {
    noun: 'trace',
    summary: 'Walk an artifact back to the signed commit, verifying every hop.',
    description:
      'A file on this machine is hashed here first. Exit status 3: the chain is broken, and the first broken hop is named with what was expected and found.',
    args: [{ name: 'target', summary: 'A running file, a digest, or name@version.' }],
    flags: [
      { name: 'checks', summary: 'Show every check, not only those that did not pass.' },
      {
        name: 'no-ledger',
        summary: 'Do not compare the ledger with what was seen here before; for who may not read it.',
      },
    ],
    examples: [
      { does: 'What runs on this host', line: 'waybill trace /srv/waybill/hello' },
      { does: 'By name', line: 'waybill trace acme/hello/program@1-6789b258 --checks' },
    ],
    load: async () => (await import('./trace.ts')).traceArtifact,
  },
  {
    noun: 'trace',
    verb: 'export',
    summary: 'Pack the chain of an artifact into one file that verifies offline.',
    description:
      'The file holds every fact with its proof, every bundle, the policies and the commit. Payloads you may not see are left out and named; then it does not verify. Exported by somebody with audit:read, it is whole.',
    args: [{ name: 'target', summary: 'A running file, a digest, or name@version.' }],
    flags: [{ name: 'out', value: 'FILE', summary: 'Where to write it; stdout unless said.' }],
    examples: [
      { does: 'For an auditor', line: 'waybill trace export acme/hello/program@1-6789b258 --out program.capsule.json' },
    ],
    load: async () => (await import('./capsule.ts')).exportTrace,
  },
  {
    noun: 'trace',
    verb: 'verify',
    summary: 'Verify an exported chain offline, against the keys you pinned.',
    description:
      'Needs no server and no network. What is missing is not checked, and what is not checked is a no: exit status 3. The single file waybill-verify.mjs does the same without Waybill.',
    args: [{ name: 'file', summary: 'What `waybill trace export` wrote.' }],
    flags: [
      { name: 'trusted-root', value: 'FILE', summary: 'trusted_root.json, from a place you trust.' },
      { name: 'vkey', value: 'VKEY', summary: 'The key of the ledger, as you pinned it.' },
      { name: 'policy', value: 'FILE', summary: 'Instead of --vkey: a policy that also demands witnesses.' },
      { name: 'artifact', value: 'FILE', summary: 'The artifact that it must be about.' },
      { name: 'digest', value: 'DIGEST', summary: 'Instead of --artifact: the digest you found it to have.' },
      { name: 'unpinned', summary: 'Believe the keys in the file where you gave none. The verdict says so.' },
    ],
    offline: true,
    examples: [
      {
        does: 'On a machine that has nothing else',
        line: 'waybill trace verify program.capsule.json --trusted-root trusted_root.json --vkey events.waybill.example+1f2e3d4c+AbCd… --artifact ./program',
      },
    ],
    load: async () => (await import('./capsule.ts')).checkCapsule,
  },
  {
    noun: 'verify',
    summary: 'Verify a file offline, against a bundle, a trusted root and an expected signer.',
    description:
      'Needs no server and no network. A valid signature is not enough: the signer must be the one you name. The verdict no is exit status 3.',
    args: [{ name: 'file', summary: 'The file.' }],
    flags: [
      {
        name: 'bundle',
        value: 'FILE',
        summary: 'The Sigstore bundle; FILE.sigstore.json beside the file unless said.',
      },
      trustedRoot,
      identity,
      issuer,
      predicateType,
    ],
    offline: true,
    examples: [
      {
        does: 'A program that a workflow of acme/hello is expected to have built',
        line: 'waybill verify ./program --trusted-root trusted_root.json --issuer https://waybill.example/oidc/control --identity https://waybill.example/acme/hello/.github/workflows/build.yml@refs/heads/main',
      },
    ],
    load: async () => (await import('./verify.ts')).verifyFile,
  },
  {
    noun: 'attest',
    verb: 'show',
    summary: 'Show what is signed about a digest, without judging it.',
    args: [{ name: 'digest', summary: 'sha256:…' }],
    examples: [{ does: 'With the whole statements', line: 'waybill attest show sha256:… --json' }],
    load: async () => (await import('./verify.ts')).showAttestations,
  },
  {
    noun: 'attest',
    verb: 'verify',
    summary: 'Verify a bundle offline, with or without the artifact that it is about.',
    args: [{ name: 'bundle', summary: 'The Sigstore bundle.' }],
    flags: [
      { name: 'digest', value: 'DIGEST', summary: 'The artifact that it must be about.' },
      trustedRoot,
      identity,
      issuer,
      predicateType,
    ],
    offline: true,
    examples: [
      {
        does: 'A bundle from elsewhere',
        line: 'waybill attest verify program.sigstore.json --trusted-root trusted_root.json --issuer https://waybill.example/oidc/control --identity https://waybill.example/verifier/v1',
      },
    ],
    load: async () => (await import('./verify.ts')).verifyAttestation,
  },
  {
    noun: 'ledger',
    verb: 'status',
    summary: 'Show the newest checkpoint, after proof that it continues the last one seen here.',
    description:
      'A server that takes back or rewrites what it signed before is refused with exit status 3, and both checkpoints are the evidence.',
    examples: [{ does: 'Size and root', line: 'waybill ledger status' }],
    load: async () => (await import('./ledger.ts')).showStatus,
  },
  {
    noun: 'ledger',
    verb: 'entry',
    summary: 'Show the entry of a fact and verify here that the log contains it.',
    args: [fact],
    examples: [{ does: 'The first fact', line: 'waybill ledger entry 1' }],
    load: async () => (await import('./ledger.ts')).showEntry,
  },
  {
    noun: 'ledger',
    verb: 'prove',
    summary: 'Write the proof that the log contains a fact, as a file that anybody can check.',
    args: [fact],
    flags: [{ name: 'out', value: 'FILE', summary: 'Where to write it; stdout unless said.' }],
    examples: [{ does: 'For an auditor', line: 'waybill ledger prove 42 --out fact-42.tlog-proof' }],
    load: async () => (await import('./ledger.ts')).proveEntry,
  },
  {
    noun: 'ledger',
    verb: 'verify',
    summary: 'Have the server read its whole journal and log again and name what was altered.',
    examples: [{ does: 'After a restore', line: 'waybill ledger verify' }],
    load: async () => (await import('./ledger.ts')).verifyLedger,
  },
];
