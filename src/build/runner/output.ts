/** What a step prints → log lines: workflow commands are obeyed or refused, values masked, terminal control removed. */
import { stripVTControlCharacters } from 'node:util';
import type { Masks } from './masks.ts';

/** Control characters but the tab, and the marks that reorder text: a log shows what was printed. */
const CONTROL = /(?!\t)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;
const LINE_CHARS_MAX = 64 * 1024;
const COMMAND = /^\s*::([a-zA-Z][a-zA-Z-]*)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/s;
/** Commands by which a build could change the environment of later steps from any text it prints. GitHub refuses them too. */
const REFUSED = new Set(['set-env', 'add-path', 'set-output', 'save-state']);

export interface StepOutput {
  write(bytes: Uint8Array): void;
  end(): void;
  /** Names of commands that were refused; a step that tried one has failed. */
  readonly refused: readonly string[];
}

export function createStepOutput(masks: Masks, emit: (line: string) => void): StepOutput {
  const decoder = new TextDecoder('utf-8');
  const refused: string[] = [];
  let rest = '';
  let stopToken: string | undefined;

  function handleLine(raw: string): void {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    const command = COMMAND.exec(line);
    if (stopToken !== undefined) {
      if (line.trim() === `::${stopToken}::`) stopToken = undefined;
      else print(line);
    } else if (command) {
      obey(command[1]?.toLowerCase() ?? '', command[3] ?? '', line);
    } else {
      print(line);
    }
  }

  function obey(name: string, value: string, line: string): void {
    const text = unescape(value);
    if (REFUSED.has(name)) {
      refused.push(name);
      print(
        `##[error]The command ${name} is refused: text that a program prints must not change later steps. Write to "$GITHUB_ENV", "$GITHUB_PATH" or "$GITHUB_OUTPUT".`,
      );
    } else if (name === 'add-mask') {
      masks.add(text);
      print('##[debug]a value is masked from here on');
    } else if (name === 'stop-commands') {
      stopToken = text;
    } else if (name === 'group') print(`##[group]${text}`);
    else if (name === 'endgroup') print('##[endgroup]');
    else if (name === 'error' || name === 'warning' || name === 'notice' || name === 'debug')
      print(`##[${name}]${text}`);
    else print(line);
  }

  function print(text: string): void {
    const plain = stripVTControlCharacters(text).replaceAll(CONTROL, '');
    emit(masks.apply(plain));
  }

  return {
    refused,
    write(bytes) {
      rest += decoder.decode(bytes, { stream: true });
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) handleLine(line.slice(0, LINE_CHARS_MAX));
      while (rest.length > LINE_CHARS_MAX) {
        handleLine(rest.slice(0, LINE_CHARS_MAX));
        rest = rest.slice(LINE_CHARS_MAX);
      }
    },
    end() {
      rest += decoder.decode();
      if (rest !== '') handleLine(rest);
      rest = '';
    },
  };
}

const unescape = (text: string): string =>
  text.replaceAll(/%0D/gi, '\r').replaceAll(/%0A/gi, '\n').replaceAll(/%25/g, '%');
