import type { Command } from './command.ts';

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
      { name: 'force', summary: 'Replace a file that exists.' },
    ],
    examples: [{ does: 'By digest', line: 'waybill artifact pull sha256:… --out ./program' }],
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
];
