import { type Command, nameOf } from './command.ts';
import { commands } from './commands.ts';
import { exitCodes } from './exit.ts';
import { flagSummary, flagWords, renderTopic, usageWords } from './help.ts';

/** docs/reference/cli.md, from the table. Generated: a test compares the committed file with it. */
export function renderCliReference(): string {
  return [
    '# The command line',
    '',
    'Generated from the command table in `src/cli/commands.ts`; do not edit.',
    '',
    '`--json` and `--help` work with every command, `--server URL` and `--ca FILE` with every command that talks to a server.',
    '',
    '## Exit status',
    '',
    '| Status | Meaning |',
    '|---|---|',
    ...Object.values(exitCodes).map(({ status, meaning }) => `| ${status} | ${meaning} |`),
    '',
    '## JSON',
    '',
    renderTopic('json'),
    '',
    '## Environment',
    '',
    '```',
    renderTopic('environment'),
    '```',
    '',
    ...commands.flatMap(renderSection),
  ].join('\n');
}

function renderSection(command: Command): string[] {
  const args = (command.args ?? []).map((arg) => `- \`${arg.name.toUpperCase()}\`: ${arg.summary}`);
  const flags = (command.flags ?? []).map((flag) => `- \`${flagWords(flag)}\`: ${flagSummary(flag)}`);
  return [
    `## waybill ${nameOf(command)}`,
    '',
    command.summary,
    ...(command.description ? ['', command.description] : []),
    '',
    '```',
    `waybill ${usageWords(command)}`,
    '```',
    ...(args.length + flags.length > 0 ? ['', ...args, ...flags] : []),
    '',
    ...command.examples.flatMap((example) => [example.does, '', '```sh', example.line, '```', '']),
  ];
}
