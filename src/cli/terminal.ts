import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';

/** The program's surroundings, so that tests can give their own. stdout carries data, stderr carries talk. */
export interface Terminal {
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable & { isTTY?: boolean; columns?: number };
  stderr: Writable & { isTTY?: boolean };
  env: Readonly<Record<string, string | undefined>>;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Colour on a terminal and none under NO_COLOR or in a pipe; meaning never depends on it. */
export function paint(terminal: Terminal, style: Style, text: string): string {
  const colours = terminal.stdout.isTTY === true && !terminal.env['NO_COLOR'] && terminal.env['TERM'] !== 'dumb';
  return colours ? styleText(style, text, { validateStream: false }) : text;
}

/** Talk: states, notices, questions' answers. Never data. */
export function say(terminal: Terminal, line: string): void {
  terminal.stderr.write(`${line}\n`);
}

const STDIN_MAX_CHARS = 64 * 1024;

/** Everything on stdin, for what must not stand on a command line. */
export async function readStdin(terminal: Terminal): Promise<string> {
  let text = '';
  for await (const chunk of terminal.stdin) {
    text += String(chunk);
    // On a terminal one line is all; elsewhere the end of the input is the end.
    if (text.length > STDIN_MAX_CHARS || (terminal.stdin.isTTY === true && text.includes('\n'))) break;
  }
  return text.trim();
}
