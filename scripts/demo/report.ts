// What the demo shows: a line of plain English and the evidence for each step, a table at the end, or one JSON document.
import { styleText } from 'node:util';

export type Evidence = Record<string, unknown>;

export interface Step {
  name: string;
  ok: boolean;
  evidence: Evidence;
}

export interface Reporter {
  begin(number: number, title: string): void;
  end(step: Step, seconds: number): void;
  note(text: string): void;
  finish(steps: readonly Step[], url: string, seconds: number): void;
}

export function createReporter(json: boolean): Reporter {
  return json ? jsonReporter() : textReporter();
}

function jsonReporter(): Reporter {
  return {
    begin: () => undefined,
    end: () => undefined,
    note: () => undefined,
    finish: (steps) =>
      process.stdout.write(`${JSON.stringify({ ok: steps.every((step) => step.ok), steps }, null, 2)}\n`),
  };
}

const print = (line: string) => process.stdout.write(`${line}\n`);

function textReporter(): Reporter {
  return {
    begin(number, title) {
      print('');
      print(styleText('bold', `${String(number).padStart(2)}  ${title}`));
    },
    end(step, seconds) {
      for (const [key, value] of Object.entries(step.evidence)) for (const line of lines(key, value)) print(line);
      print(step.ok ? styleText('green', `    ✓ done in ${seconds.toFixed(1)} s`) : styleText('red', '    ✗ failed'));
    },
    note: (text) => print(`    ${text}`),
    finish(steps, url, seconds) {
      print('');
      print(styleText('bold', 'What was proven'));
      for (const step of steps) print(`  ${step.ok ? styleText('green', '✓') : styleText('red', '✗')} ${step.name}`);
      print('');
      print(`${steps.filter((step) => step.ok).length} of ${steps.length} steps, ${seconds.toFixed(1)} s.   ${url}`);
    },
  };
}

const WIDTH = 22;

function lines(key: string, value: unknown): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values.flatMap((one, index) => {
    const text = typeof one === 'string' ? one : JSON.stringify(one);
    const label = index === 0 ? key : '';
    return text
      .split('\n')
      .map((line, row) => `    ${styleText('dim', (row === 0 ? label : '').padEnd(WIDTH))} ${line}`);
  });
}
