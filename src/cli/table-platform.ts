import type { Command, Flag } from './command.ts';

const serving: readonly Flag[] = [
  { name: 'data', value: 'DIR', summary: 'Data directory; $WAYBILL_DATA, else .waybill here, unless said.' },
  { name: 'listen', value: 'HOST:PORT', summary: 'Where to listen; 127.0.0.1:8443 unless said.' },
  { name: 'public-url', value: 'URL', summary: 'How others reach it; part of every signature, so it never changes.' },
  {
    name: 'network',
    value: 'CIDR',
    summary: 'Only hosts of this network may connect; this machine alone unless said.',
    many: true,
  },
  {
    name: 'log-level',
    value: 'LEVEL',
    summary: 'How much the server says.',
    choices: ['silent', 'error', 'warn', 'info', 'debug'],
  },
];

/** Starting Waybill, logging in, and asking this program about itself. */
export const platformCommands: readonly Command[] = [
  {
    noun: 'up',
    summary: 'Start Waybill on this machine: server, one runner, embedded storage.',
    flags: serving,
    runs: 'until-stopped',
    offline: true,
    examples: [{ does: 'To try it', line: 'waybill up' }],
    load: async () => (await import('./server.ts')).up,
  },
  {
    noun: 'server',
    verb: 'start',
    summary: 'Start the server alone.',
    flags: serving,
    runs: 'until-stopped',
    offline: true,
    examples: [
      {
        does: 'For other machines of one network',
        line: 'waybill server start --data /var/lib/waybill --listen 0.0.0.0:8443 --public-url https://waybill.example:8443 --network 10.0.0.0/8',
      },
    ],
    load: async () => (await import('./server.ts')).start,
  },
  {
    noun: 'server',
    verb: 'rebuild',
    summary: 'Rebuild every table from the facts, in memory, and compare with the live ones.',
    description:
      'Writes nothing. An edit in the database, a lost row and a row that no fact accounts for are each named; then the exit status is 3.',
    flags: [
      { name: 'verify', summary: 'Compare; there is no other way to run it.', required: true },
      { name: 'data', value: 'DIR', summary: 'Data directory; $WAYBILL_DATA, else .waybill here, unless said.' },
    ],
    offline: true,
    examples: [{ does: 'After a crash or a restore', line: 'waybill server rebuild --verify --data /var/lib/waybill' }],
    load: async () => (await import('./recover.ts')).verifyRebuild,
  },
  {
    noun: 'server',
    verb: 'recover-access',
    summary: 'Make a new enrolment link for the owner, on the machine that holds the data.',
    description: 'The server must be stopped. The link is recorded like any other.',
    flags: [
      { name: 'data', value: 'DIR', summary: 'Data directory; $WAYBILL_DATA, else .waybill here, unless said.' },
      { name: 'person', value: 'NAME', summary: 'Somebody else than owner.' },
    ],
    offline: true,
    examples: [{ does: 'The owner lost their token', line: 'waybill server recover-access --data /var/lib/waybill' }],
    load: async () => (await import('./recover.ts')).recoverAccess,
  },
  {
    noun: 'doctor',
    summary: 'Look for what on this machine would get in the way.',
    examples: [{ does: 'Before the first start', line: 'waybill doctor' }],
    load: async () => (await import('./doctor.ts')).diagnose,
  },
  {
    noun: 'login',
    summary: 'Log in to a server with an enrolment link or a token from stdin.',
    description:
      'The secret is read from stdin and never from an argument. It is stored, readable by you alone, in the directory that `waybill help environment` names.',
    examples: [
      {
        does: 'The first time, with the link that the server printed',
        line: 'waybill login --server https://waybill.example:8443 --ca ca.pem',
      },
      { does: 'In a script', line: 'waybill login --server https://waybill.example:8443 --ca ca.pem < token.txt' },
    ],
    load: async () => (await import('./login.ts')).login,
  },
  {
    noun: 'logout',
    summary: 'End the token and forget the login.',
    examples: [{ does: 'At the end of the day', line: 'waybill logout' }],
    load: async () => (await import('./login.ts')).logout,
  },
  {
    noun: 'whoami',
    summary: 'Say whom the server takes you for.',
    examples: [{ does: 'Whose token is this?', line: 'WAYBILL_TOKEN_FILE=./token waybill whoami' }],
    load: async () => (await import('./login.ts')).whoami,
  },
  {
    noun: 'completion',
    summary: 'Print a completion script for bash, zsh or fish.',
    args: [{ name: 'shell', summary: 'bash, zsh or fish.' }],
    offline: true,
    examples: [{ does: 'In ~/.bashrc', line: 'eval "$(waybill completion bash)"' }],
    load: async () => (await import('./help-command.ts')).showCompletion,
  },
  {
    noun: 'help',
    summary: 'Explain a command or a topic.',
    args: [
      { name: 'topic', summary: 'A noun, or exit-codes, environment, json.', optional: true },
      { name: 'verb', summary: 'Its verb.', optional: true },
    ],
    offline: true,
    examples: [
      { does: 'One command', line: 'waybill help build log' },
      { does: 'What a script may rely on', line: 'waybill help exit-codes' },
    ],
    load: async () => (await import('./help-command.ts')).showHelp,
  },
  {
    noun: 'version',
    summary: 'Print the version.',
    offline: true,
    examples: [{ does: 'For a bug report', line: 'waybill version --json' }],
    load: async () => (await import('./version.ts')).showVersion,
  },
];
