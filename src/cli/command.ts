import type { ExitName } from './exit.ts';
import type { Terminal } from './terminal.ts';

/** The command line as data: parsing, help, completions and the reference page all read this and nothing else. */
export interface Command {
  noun: string;
  verb?: string;
  /** One sentence, in the imperative, with its full stop. */
  summary: string;
  /** More paragraphs for the help page. */
  description?: string;
  args?: readonly Argument[];
  flags?: readonly Flag[];
  examples: readonly Example[];
  /** Runs until it is told to stop: signals end it in order, with exit status 0. */
  runs?: 'until-stopped';
  /** Works without a server, so `--server`, `--ca` mean nothing to it. */
  offline?: true;
  /** Loaded when it is run, so that no command pays for another. */
  load: () => Promise<Run>;
}

export interface Argument {
  name: string;
  summary: string;
  optional?: true;
}

export interface Flag {
  name: string;
  /** Placeholder of its value, upper case; without it the flag is a switch. */
  value?: string;
  summary: string;
  required?: true;
  many?: true;
  choices?: readonly string[];
}

export interface Example {
  does: string;
  line: string;
}

export type Run = (invocation: Invocation) => Promise<Outcome>;

export interface Invocation {
  /** `argument('project')`: what the table declares; undefined only for an optional one. */
  argument(name: string): string | undefined;
  required(name: string): string;
  flag(name: string): string | undefined;
  list(name: string): readonly string[];
  isSet(name: string): boolean;
  json: boolean;
  terminal: Terminal;
  /** Aborted by the first SIGINT or SIGTERM. */
  signal: AbortSignal;
}

/** What a command leaves: one document for programs, the same for people, and the answer. */
export interface Outcome {
  document: unknown;
  /** Lines for people; printed unless `--json`. */
  text: string;
  /** `yes` unless said. */
  exit?: ExitName;
}

/** Flags that every command takes. */
export const commonFlags: readonly Flag[] = [
  { name: 'json', value: '[=FIELDS]', summary: 'Print exactly one JSON document, on failure too.' },
  { name: 'help', summary: 'Show this help.' },
];

export const serverFlags: readonly Flag[] = [
  { name: 'server', value: 'URL', summary: 'Another server than the one logged in to.' },
  { name: 'ca', value: 'FILE', summary: 'Certificate authority (PEM) of that server.' },
];

export function nameOf(command: Command): string {
  return command.verb === undefined ? command.noun : `${command.noun} ${command.verb}`;
}

export function flagsOf(command: Command): readonly Flag[] {
  return [...(command.flags ?? []), ...(command.offline ? [] : serverFlags), ...commonFlags];
}
