import type { Command } from './command.ts';

const server = { name: 'server', value: 'URL', summary: 'The server.', required: true } as const;
const ca = {
  name: 'ca',
  value: 'FILE',
  summary: 'The only certificate authority to trust (PEM).',
  required: true,
} as const;
const credential = { name: 'credential', value: 'FILE', summary: 'Its credential.', required: true } as const;

/** The processes beside the server. */
export const machineCommands: readonly Command[] = [
  {
    noun: 'runner',
    verb: 'start',
    summary: 'Take jobs from a server and build them in sandboxes, until stopped.',
    description: 'Proves first that the sandbox of this machine holds; a runner that cannot prove it takes no job.',
    flags: [
      server,
      ca,
      credential,
      { name: 'work', value: 'DIR', summary: 'A directory for it alone.', required: true },
    ],
    runs: 'until-stopped',
    offline: true,
    examples: [
      {
        does: 'On a build machine',
        line: 'waybill runner start --server https://waybill.example --ca ca.pem --credential runner.token --work /var/lib/waybill-runner',
      },
    ],
    load: async () => (await import('./runner.ts')).startRunner,
  },
  {
    noun: 'agent',
    verb: 'start',
    summary: 'Verify, place and start what an environment is to run, and watch it, until stopped.',
    flags: [
      server,
      ca,
      credential,
      { name: 'target', value: 'ID', summary: 'Its target, as waybill deploy target printed it.', required: true },
      { name: 'environment', value: 'PROJECT/ENVIRONMENT', summary: 'What it serves.', required: true },
      { name: 'trusted-root', value: 'FILE', summary: 'The keys that it believes.', required: true },
      { name: 'directory', value: 'DIR', summary: 'Where it places files.', required: true },
      { name: 'start', value: 'NAME[=ARGS]', summary: 'An artifact to start, with its arguments.', many: true },
      { name: 'place', value: 'NAME', summary: 'An artifact to place and watch without starting it.', many: true },
      { name: 'stop-on-drift', summary: 'Stop a program whose file or process has drifted.' },
    ],
    runs: 'until-stopped',
    offline: true,
    examples: [
      {
        does: 'On a production host',
        line: 'waybill agent start --server https://waybill.example --ca ca.pem --credential agent.token --target tgt_… --environment acme/production --trusted-root trusted_root.json --directory /srv/waybill --start "acme/hello/hello=--serve"',
      },
    ],
    load: async () => (await import('./agent.ts')).startAgent,
  },
];
