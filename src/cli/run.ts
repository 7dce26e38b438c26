import { strict as assert } from 'node:assert';
import { type Command, type Invocation, nameOf } from './command.ts';
import { commands } from './commands.ts';
import { type ExitName, exitCodes, exitOf, type Failure, failureOf, UsageError } from './exit.ts';
import { renderCommandHelp, renderNoun, renderOverview } from './help.ts';
import { renderJson } from './output.ts';
import { nearest, type ParsedLine, parseLine, takeJson } from './parse.ts';
import { printable } from './printable.ts';
import { paint, type Terminal } from './terminal.ts';

export interface Surroundings {
  terminal: Terminal;
  signal: AbortSignal;
  /** Told once the command is known: whether signals should end it in order. */
  onSignal(inOrder: boolean): void;
  /** Told the exit status as soon as it is certain, before the last output is written. */
  decided(status: number): void;
}

/** Runs one command line and gives its exit status. Prints exactly one JSON document if asked to, whatever happens. */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { terminal } = surroundings;
  const { json, fields, rest } = takeJson(argv);
  const finish = (exit: ExitName, stdout: string): number => {
    surroundings.decided(exitCodes[exit].status);
    if (stdout !== '') terminal.stdout.write(`${stdout}\n`);
    return exitCodes[exit].status;
  };
  try {
    const found = findCommand(rest);
    if ('help' in found) return finish('yes', json ? renderJson({ help: found.help }) : found.help);
    const line = parseLine(found.command, found.words);
    if (line.help) return finish('yes', renderCommandHelp(found.command));
    surroundings.onSignal(found.command.runs === 'until-stopped');
    const run = await found.command.load();
    const outcome = await run(invocationOf(found.command, line, json, surroundings));
    return finish(outcome.exit ?? 'yes', json ? renderJson(outcome.document, fields) : outcome.text);
  } catch (error) {
    if (terminal.env['WAYBILL_TRACE_ERRORS']) terminal.stderr.write(`${describeDeep(error)}\n`);
    const failure = failureOf(error);
    if (!json) terminal.stderr.write(`${renderFailure(terminal, failure)}\n`);
    return finish(exitOf(failure), json ? renderJson({ error: documentOf(failure) }) : '');
  }
}

function findCommand(words: readonly string[]): { help: string } | { command: Command; words: string[] } {
  const [noun, verb] = words;
  if (noun === undefined || noun === '--help' || noun === '-h') return { help: renderOverview(commands) };
  if (noun === '--version') return findCommand(['version']);
  const group = commands.filter((command) => command.noun === noun);
  if (group.length === 0) {
    const near = nearest(noun, [...new Set(commands.map((command) => command.noun))]);
    throw new UsageError(
      `There is no command "${printable(noun)}".`,
      near === undefined ? 'See `waybill help`.' : `Did you mean \`waybill ${near}\`?`,
    );
  }
  const exact = group.find((command) => command.verb !== undefined && command.verb === verb);
  if (exact) return { command: exact, words: words.slice(2) };
  const single = group.find((command) => command.verb === undefined);
  if (single) return { command: single, words: words.slice(1) };
  if (verb === undefined || verb.startsWith('-')) return { help: renderNoun(noun, group) };
  const verbs = group.flatMap((command) => command.verb ?? []);
  const near = nearest(verb, verbs);
  throw new UsageError(
    `There is no command "${noun} ${printable(verb)}".`,
    near === undefined ? `Its verbs are ${verbs.join(', ')}.` : `Did you mean \`waybill ${noun} ${near}\`?`,
  );
}

function invocationOf(
  command: Command,
  line: ParsedLine,
  json: boolean,
  { terminal, signal }: Surroundings,
): Invocation {
  const declared = new Set([...(command.flags ?? []).map((flag) => flag.name), 'server', 'ca']);
  const value = (name: string): ParsedLine['flags'][string] => {
    assert(declared.has(name), `${nameOf(command)} does not declare --${name}`);
    return line.flags[name];
  };
  const argument = (name: string): string | undefined => {
    assert(
      command.args?.some((arg) => arg.name === name),
      `${nameOf(command)} does not declare ${name}`,
    );
    return line.args[name];
  };
  return {
    argument,
    required(name) {
      const text = argument(name);
      assert(text !== undefined, `${name} is optional`);
      return text;
    },
    flag(name) {
      const found = value(name);
      return typeof found === 'string' ? found : undefined;
    },
    list(name) {
      const found = value(name);
      return Array.isArray(found) ? (found as string[]) : [];
    },
    isSet: (name) => value(name) === true,
    json,
    terminal,
    signal,
  };
}

function documentOf({ code, kind, message, hint, details }: Failure): Record<string, unknown> {
  return { code, kind, message, hint, ...(details ? { details } : {}) };
}

function renderFailure(terminal: Terminal, failure: Failure): string {
  const requestId = failure.details?.['requestId'];
  return [
    `${paint(terminal, 'red', 'error:')} ${printable(failure.message)}`,
    `  fix: ${printable(failure.hint)}`,
    `  code: ${printable(failure.code)}${typeof requestId === 'string' ? `, request ${printable(requestId)}` : ''}`,
  ].join('\n');
}

/** For whoever looks for a mistake of ours: the stack and its causes. */
function describeDeep(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\ncaused by: ${describeDeep(error.cause)}`}`;
}
