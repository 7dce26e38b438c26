import type { Command } from './command.ts';

const out = { name: 'out', value: 'FILE', summary: 'Where to write it; stdout unless said.' };

/** Witnesses, whole streams, exports and erasure; the other commands of the ledger stand in table-evidence.ts. */
export const ledgerCommands: readonly Command[] = [
  {
    noun: 'ledger',
    verb: 'witness',
    summary: 'List witnesses and forks, pair two servers, or set the witness policy.',
    description:
      'ACTION is list, pair, policy, fork or distrust. `pair` makes this server and the one at --with witness each other: it asks both for their keys and configures both, so it needs an owner on each. `fork` writes a file of evidence.',
    args: [{ name: 'action', summary: 'list (the default), pair, policy, fork or distrust.', optional: true }],
    flags: [
      { name: 'with', value: 'URL', summary: 'pair: the other server.' },
      { name: 'with-ca', value: 'FILE', summary: 'pair: certificate authority (PEM) of the other server.' },
      { name: 'with-token-file', value: 'FILE', summary: 'pair: a token of an owner of the other server.' },
      { name: 'quorum', value: 'K', summary: 'pair: how many witnesses must cosign: any, all or a number.' },
      {
        name: 'fail',
        value: 'open|closed',
        choices: ['open', 'closed'],
        summary: 'Without its witnesses the ledger goes on and says so (open), or gives no proof (closed).',
      },
      { name: 'set', value: 'FILE', summary: 'policy: a C2SP tlog-policy file.' },
      { name: 'log', value: 'ORIGIN', summary: 'distrust: the log of another server that is cosigned no more.' },
      { name: 'reason', value: 'TEXT', summary: 'distrust: why; it is recorded.' },
      { name: 'evidence', value: 'DIGEST', summary: 'fork: which evidence.' },
      out,
    ],
    examples: [
      { does: 'Who witnesses this server', line: 'waybill ledger witness' },
      {
        does: 'Two servers witness each other',
        line: 'waybill ledger witness pair --with https://b.example:8443 --with-ca b-ca.pem --with-token-file b-token',
      },
      { does: 'Demand witnesses', line: 'waybill ledger witness policy --set policy.txt --fail closed' },
    ],
    load: async () => (await import('./ledger-witness.ts')).witness,
  },
  {
    noun: 'ledger',
    verb: 'export',
    summary: 'Write one fact, or a whole stream, as a file that proves itself offline.',
    description:
      'A fact comes with its payload, the proof that it is logged, and the policy. A stream (such as artifact/sha256:…) comes with proof that nothing of it was left out.',
    args: [{ name: 'what', summary: 'The number of a fact, or the name of a stream.' }],
    flags: [out],
    examples: [
      { does: 'One fact', line: 'waybill ledger export 42 --out fact-42.json' },
      { does: 'Everything about one thing', line: 'waybill ledger export repository/rep_… --out stream.json' },
    ],
    load: async () => (await import('./ledger-export.ts')).exportEvidence,
  },
  {
    noun: 'ledger',
    verb: 'check',
    summary: 'Check an exported fact, an exported stream, or evidence of a fork, offline.',
    args: [{ name: 'file', summary: 'The file.' }],
    flags: [
      { name: 'policy', value: 'FILE', summary: 'C2SP tlog-policy that you trust.' },
      { name: 'key', value: 'VKEY', summary: 'Instead of a policy: the key of the log, and no witness asked for.' },
    ],
    offline: true,
    examples: [{ does: 'With the key you pinned', line: 'waybill ledger check fact-42.json --key events.…+…+…' }],
    load: async () => (await import('./ledger-export.ts')).checkEvidence,
  },
  {
    noun: 'ledger',
    verb: 'fsck',
    summary: 'Have the server hash every byte again and rebuild every table from the facts.',
    description: 'Reads logs, objects and sealed keys in full; nothing is taken from an index. It may take long.',
    examples: [{ does: 'After a restore, or once a week', line: 'waybill ledger fsck' }],
    load: async () => (await import('./ledger-export.ts')).checkServer,
  },
  {
    noun: 'ledger',
    verb: 'erase',
    summary: 'Ask for the payload of a fact to be erased, or confirm what another person asked for.',
    description:
      'Erasing takes two people. The entry in the log stays, so every proof still verifies; what it says about a person is gone for good, backups aside.',
    args: [{ name: 'fact', summary: 'The number of the fact.' }],
    flags: [
      { name: 'reason', value: 'TEXT', summary: 'Why; needed to ask. It is recorded and not erased.' },
      { name: 'confirm', summary: 'Confirm the request of another person.' },
    ],
    examples: [
      { does: 'Ask', line: 'waybill ledger erase 42 --reason "left the company"' },
      { does: 'Confirm, as somebody else', line: 'waybill ledger erase 42 --confirm' },
    ],
    load: async () => (await import('./ledger-erase.ts')).erase,
  },
];
