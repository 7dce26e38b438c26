import { type Command, type Flag, flagsOf, nameOf } from './command.ts';
import { exitCodes } from './exit.ts';

const WIDTH = 80;

export const topics = {
  'exit-codes': 'What each exit status means.',
  environment: 'Environment variables and files.',
  json: 'What --json promises.',
} as const;

/** `waybill`: every noun in one line. */
export function renderOverview(commands: readonly Command[]): string {
  const nouns = Map.groupBy(commands, (command) => command.noun);
  const rows = [...nouns].map(([noun, group]) => {
    const verbs = group.flatMap((command) => (command.verb === undefined ? [] : [command.verb]));
    const single = group.find((command) => command.verb === undefined);
    return [noun, single && verbs.length === 0 ? single.summary : verbs.join(' · ')] as const;
  });
  return [
    'waybill: proves that the artifact you deploy is the artifact you built.',
    '',
    'Usage: waybill NOUN VERB [ARGUMENTS] [--json]',
    '',
    ...renderRows(rows),
    '',
    'waybill NOUN --help and waybill NOUN VERB --help say more, with examples.',
    `Topics: ${Object.keys(topics)
      .map((topic) => `waybill help ${topic}`)
      .join(', ')}.`,
  ].join('\n');
}

/** `waybill project`: its verbs. */
export function renderNoun(noun: string, commands: readonly Command[]): string {
  const rows = commands.map((command) => [usageWords(command), command.summary] as const);
  return [`Usage: waybill ${noun} VERB`, '', ...renderRows(rows)].join('\n');
}

export function renderCommandHelp(command: Command): string {
  const args = (command.args ?? []).map((arg) => [arg.name.toUpperCase(), arg.summary] as const);
  const flags = flagsOf(command).map((flag) => [flagWords(flag), flagSummary(flag)] as const);
  return [
    ...wrap(command.summary, WIDTH),
    ...(command.description ? ['', ...command.description.split('\n').flatMap((text) => wrap(text, WIDTH))] : []),
    '',
    `Usage: waybill ${usageWords(command)} [OPTIONS]`,
    ...(args.length > 0 ? ['', 'Arguments:', ...renderRows(args)] : []),
    '',
    'Options:',
    ...renderRows(flags),
    '',
    'Examples:',
    ...command.examples.flatMap((example) => [`  # ${example.does}`, `  ${example.line}`]),
  ].join('\n');
}

export function renderTopic(topic: keyof typeof topics): string {
  if (topic === 'exit-codes') {
    return [
      'The exit status says what happened, so that a script need not read the text:',
      '',
      ...renderRows(Object.values(exitCodes).map(({ status, meaning }) => [String(status), meaning] as const)),
    ].join('\n');
  }
  if (topic === 'json') {
    return [
      '--json prints exactly one JSON document on stdout, whatever happens. On failure it is',
      '  {"error": {"code": …, "kind": …, "message": …, "hint": …}}',
      'and the exit status is the same as without it. Lists are {"items": […], "next": …}.',
      '--json=name,digest keeps only these fields, of each item where there is a list.',
      'Fields are only ever added: ignore those that you do not know.',
    ].join('\n');
  }
  return [
    'Variables:',
    ...renderRows([
      ['WAYBILL_HOME', 'Where the login is kept; ~/.config/waybill without it.'],
      ['WAYBILL_SERVER', 'The server to talk to, instead of the one logged in to.'],
      ['WAYBILL_CA', 'File with the certificate authority (PEM) of that server.'],
      ['WAYBILL_TOKEN_FILE', 'File with a token, instead of the login. Tokens are never arguments.'],
      ['NO_COLOR', 'No colours.'],
    ]),
    '',
    'Files in the directory of the login, readable by you alone:',
    ...renderRows([
      ['server, ca.pem', 'Address and certificate authority of the server.'],
      ['token', 'Your token.'],
      ['checkpoints.json', 'The last ledger checkpoint seen: the server may never take it back.'],
    ]),
  ].join('\n');
}

/** `build log RUN` */
export function usageWords(command: Command): string {
  const args = (command.args ?? []).map((arg) =>
    arg.optional ? `[${arg.name.toUpperCase()}]` : arg.name.toUpperCase(),
  );
  const required = (command.flags ?? []).filter((flag) => flag.required).map(flagWords);
  return [nameOf(command), ...args, ...required].join(' ');
}

export function flagWords(flag: Flag): string {
  if (flag.value === undefined) return `--${flag.name}`;
  return `--${flag.name}${flag.value.startsWith('[') ? '' : ' '}${flag.value}`;
}

export function flagSummary(flag: Flag): string {
  const choices = flag.choices ? ` One of ${flag.choices.join(', ')}.` : '';
  return `${flag.summary}${choices}${flag.many ? ' May be given more than once.' : ''}`;
}

function renderRows(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(30, Math.max(...rows.map(([name]) => name.length)));
  return rows.flatMap(([name, text]) => {
    const lines = wrap(text, Math.max(WIDTH - left - 4, 30));
    const head =
      name.length > left
        ? [`  ${name}`, `  ${' '.repeat(left)}  ${lines[0] ?? ''}`]
        : [`  ${name.padEnd(left)}  ${lines[0] ?? ''}`];
    return [...head, ...lines.slice(1).map((line) => `  ${' '.repeat(left)}  ${line}`)].map((line) => line.trimEnd());
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
