import { parseArgs } from 'node:util';
import { type Command, type Flag, flagsOf, nameOf } from './command.ts';
import { UsageError } from './exit.ts';

export interface ParsedLine {
  args: Readonly<Record<string, string | undefined>>;
  flags: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  help: boolean;
  json: boolean;
  /** `--json=a,b`. */
  fields: readonly string[];
}

/** `--json` may carry fields, which parseArgs cannot express: taken out first. Everything after `--` stays as it is. */
export function takeJson(argv: readonly string[]): {
  json: boolean;
  fields: readonly string[];
  rest: readonly string[];
} {
  const end = argv.indexOf('--');
  const [before, after] = end < 0 ? [argv, []] : [argv.slice(0, end), argv.slice(end)];
  const found = before.filter((word) => word === '--json' || word.startsWith('--json='));
  const fields = found.flatMap((word) => word.slice('--json='.length).split(',')).filter((field) => field !== '');
  return { json: found.length > 0, fields, rest: [...before.filter((word) => !found.includes(word)), ...after] };
}

/** The words after noun and verb → arguments and flags that the table declares; `UsageError` for anything else. */
export function parseLine(command: Command, argv: readonly string[]): ParsedLine {
  const { json, fields, rest } = takeJson(argv);
  const flags = flagsOf(command).filter((flag) => flag.name !== 'json');
  const { values, positionals } = parseWords(command, flags, rest);
  const help = values['help'] === true;
  if (!help) {
    checkArguments(command, positionals);
    checkFlags(command, flags, values);
  }
  const args = Object.fromEntries((command.args ?? []).map((arg, at) => [arg.name, positionals[at]]));
  return { args, flags: values, help, json, fields };
}

type Values = Record<string, string | boolean | string[] | undefined>;

function parseWords(
  command: Command,
  flags: readonly Flag[],
  words: readonly string[],
): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: Object.fromEntries(
        flags.map((flag) => [
          flag.name,
          { type: flag.value === undefined ? 'boolean' : 'string', ...(flag.many ? { multiple: true } : {}) } as const,
        ]),
      ),
    });
    return { values: values as Values, positionals };
  } catch (error) {
    const text = error instanceof Error ? (error.message.split('\n')[0] ?? '').replace(/\. To specify.*$/, '') : '';
    throw new UsageError(`${text.replace(/\.$/, '')}.`, seeHelp(command));
  }
}

function checkArguments(command: Command, given: readonly string[]): void {
  const args = command.args ?? [];
  const missing = args.find((arg, at) => !arg.optional && given[at] === undefined);
  if (missing) throw new UsageError(`${missing.name.toUpperCase()} is missing: ${missing.summary}`, seeHelp(command));
  const extra = given[args.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many.`, seeHelp(command));
}

function checkFlags(command: Command, flags: readonly Flag[], values: Values): void {
  for (const flag of flags) {
    const value = values[flag.name];
    if (flag.required && value === undefined) {
      throw new UsageError(`--${flag.name} ${flag.value ?? ''} is missing: ${flag.summary}`, seeHelp(command));
    }
    const wrong = [value].flat().find((one) => typeof one === 'string' && flag.choices && !flag.choices.includes(one));
    if (wrong !== undefined) {
      throw new UsageError(`--${flag.name} is one of ${flag.choices?.join(', ') ?? ''}.`, seeHelp(command));
    }
  }
}

function seeHelp(command: Command): string {
  return `See \`waybill ${nameOf(command)} --help\`.`;
}

/** For "did you mean": the candidate at most two edits away, if there is exactly one nearest. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distanceOf(word, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best && best.distance <= 2 && best.distance < best.candidate.length ? best.candidate : undefined;
}

function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
