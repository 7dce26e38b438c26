import type { Command, Flag } from './command.ts';

const waiting: readonly Flag[] = [
  { name: 'no-wait', summary: 'Do not wait for the decision.' },
  { name: 'wait', value: 'TIME', summary: 'How long to wait for the decision: 1m, 2h.' },
];

/** What travels: pushes, builds, artifacts, promotions, deployments. */
export const workCommands: readonly Command[] = [
  {
    noun: 'artifact',
    verb: 'list',
    summary: 'List artifacts, newest first.',
    flags: [
      { name: 'project', value: 'PROJECT', summary: 'Only of this project.' },
      {
        name: 'kind',
        value: 'KIND',
        summary: 'Only in repositories of this kind.',
        choices: ['release', 'playground'],
      },
      { name: 'name', value: 'NAME', summary: 'Only this artifact, as project/name.' },
      { name: 'search', value: 'TEXT', summary: 'Whose name contains this.' },
      { name: 'limit', value: 'COUNT', summary: 'How many; 50 unless said.' },
      { name: 'after', value: 'CURSOR', summary: 'Go on after an earlier page.' },
    ],
    examples: [{ does: 'What was released', line: 'waybill artifact list --project acme --kind release' }],
    load: async () => (await import('./artifact.ts')).listArtifacts,
  },
  {
    noun: 'artifact',
    verb: 'show',
    summary: 'Show an artifact: where it came from and what is signed about it.',
    args: [{ name: 'artifact', summary: 'A digest, an id, or project/name@version.' }],
    examples: [{ does: 'By name and version', line: 'waybill artifact show acme/hello/program@12-7fd1a60b' }],
    load: async () => (await import('./artifact.ts')).showArtifact,
  },
  {
    noun: 'artifact',
    verb: 'push',
    summary: 'Put a file into the playground of a project.',
    description:
      'Release repositories are written by the control plane alone, from builds; a file in the playground can never be promoted.',
    args: [
      { name: 'file', summary: 'The file to store.' },
      { name: 'target', summary: 'project/name@version.' },
    ],
    flags: [
      {
        name: 'repository',
        value: 'KIND',
        summary: 'playground unless said; release refuses everybody.',
        choices: ['playground', 'release'],
      },
      { name: 'file-name', value: 'NAME', summary: 'Another name than that of the file.' },
    ],
    examples: [{ does: 'Something to try', line: 'waybill artifact push ./program acme/hello/program@try-1' }],
    load: async () => (await import('./artifact.ts')).pushArtifact,
  },
  {
    noun: 'artifact',
    verb: 'pull',
    summary: 'Download an artifact; the file appears only if its digest is right.',
    args: [{ name: 'artifact', summary: 'A digest, an id, or project/name@version.' }],
    flags: [
      { name: 'file', value: 'NAME', summary: 'Which file, where a version has several.' },
      { name: 'out', value: 'FILE', summary: 'Where to write it; its own name here unless said.' },
      { name: 'provenance', summary: 'Fetch the signed provenance too, as FILE.sigstore.json beside it.' },
      { name: 'force', summary: 'Replace a file that exists.' },
    ],
    examples: [
      { does: 'By digest', line: 'waybill artifact pull sha256:… --out ./program' },
      { does: 'With what `waybill verify` needs', line: 'waybill artifact pull acme/hello/hello@1.0.0 --provenance' },
    ],
    load: async () => (await import('./artifact.ts')).pullArtifact,
  },
  {
    noun: 'artifact',
    verb: 'verify',
    summary: 'Verify the signed provenance of an artifact; bundles come from the server, the verdict is computed here.',
    args: [{ name: 'artifact', summary: 'A digest, an id, or project/name@version.' }],
    flags: [
      { name: 'file', value: 'NAME', summary: 'Which file, where a version has several.' },
      {
        name: 'identity',
        value: 'NAME',
        summary: 'Who is expected to have signed; compared letter by letter.',
        required: true,
      },
      { name: 'issuer', value: 'URL', summary: "Who vouches for that name; the server's control plane unless said." },
      { name: 'predicate-type', value: 'URI', summary: 'The kind of claim that is expected.' },
    ],
    examples: [
      {
        does: 'Built by the workflow that we expect',
        line: 'waybill artifact verify acme/hello/program@12-7fd1a60b --identity https://waybill.example/acme/hello/.github/workflows/build.yml@refs/heads/main',
      },
    ],
    load: async () => (await import('./verify.ts')).verifyArtifact,
  },
  {
    noun: 'promote',
    verb: 'request',
    summary: 'Ask for an artifact to be let into an environment, and wait for the decision.',
    description: 'Exit status 0: promoted. 3: refused, with every check. 8: it waits, for an approval or for evidence.',
    args: [{ name: 'artifact', summary: 'A digest, or project/name@version.' }],
    flags: [
      { name: 'to', value: 'ENVIRONMENT', summary: 'Where it should go.', required: true },
      { name: 'project', value: 'PROJECT', summary: 'Its project; needed with a digest.' },
      { name: 'comment', value: 'TEXT', summary: 'Why; it is kept.' },
      ...waiting,
    ],
    examples: [{ does: 'The first step', line: 'waybill promote request acme/hello/program@12-7fd1a60b --to dev' }],
    load: async () => (await import('./promote.ts')).requestPromotion,
  },
  {
    noun: 'promote',
    verb: 'approve',
    summary: 'Approve a promotion that somebody else requested, and wait for the decision.',
    args: [{ name: 'promotion', summary: 'Its id.' }],
    flags: [{ name: 'comment', value: 'TEXT', summary: 'Why; it is kept.' }, ...waiting],
    examples: [{ does: 'After a look at it', line: 'waybill promote approve pmt_…' }],
    load: async () => (await import('./promote.ts')).approvePromotion,
  },
  {
    noun: 'promote',
    verb: 'list',
    summary: 'List the promotions of a project, newest first.',
    args: [{ name: 'project', summary: 'Its name.' }],
    flags: [{ name: 'environment', value: 'ENVIRONMENT', summary: 'Only to this one.' }],
    examples: [{ does: 'What went to production', line: 'waybill promote list acme --environment production' }],
    load: async () => (await import('./promote.ts')).listPromotions,
  },
  {
    noun: 'promote',
    verb: 'show',
    summary: 'Show a promotion with every check of its decision.',
    args: [{ name: 'promotion', summary: 'Its id.' }],
    examples: [{ does: 'Why was it refused?', line: 'waybill promote show pmt_…' }],
    load: async () => (await import('./promote.ts')).showPromotion,
  },
  {
    noun: 'environment',
    verb: 'list',
    summary: 'List the environments of a project in the order that artifacts pass them.',
    args: [{ name: 'project', summary: 'Its name.' }],
    examples: [{ does: 'From first to last', line: 'waybill environment list acme' }],
    load: async () => (await import('./promote.ts')).listEnvironments,
  },
  {
    noun: 'environment',
    verb: 'show',
    summary: 'Show an environment: its policy, and what it is promised to run.',
    args: [{ name: 'environment', summary: 'project/environment.' }],
    examples: [{ does: 'What should run in production?', line: 'waybill environment show acme/production' }],
    load: async () => (await import('./promote.ts')).showEnvironment,
  },
];
