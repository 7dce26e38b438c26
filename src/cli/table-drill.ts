import type { Command } from './command.ts';

const runIt = async () => (await import('./drill.ts')).run;

const ids = {
  name: 'drill',
  summary: 'Identifiers, with commas between them; all of them unless said.',
  optional: true,
} as const;

const HOW =
  'Makes installations of its own in a temporary directory and never touches yours. Exit status 3 if an attack is not refused, is refused for another reason or leaves something behind, if it fails although its control is off, or if the proper way beside it does not work.';

export const drillCommands: readonly Command[] = [
  {
    noun: 'drill',
    summary: 'Attack throw-away installations: refused with every control on, successful with only that control off.',
    description: HOW,
    args: [ids],
    offline: true,
    examples: [{ does: 'All attacks', line: 'waybill drill' }],
    load: runIt,
  },
  {
    noun: 'drill',
    verb: 'run',
    summary: 'The same, for some of the attacks.',
    description: HOW,
    args: [ids],
    offline: true,
    examples: [{ does: 'Two of them', line: 'waybill drill run unsigned-commit,force-push' }],
    load: runIt,
  },
  {
    noun: 'drill',
    verb: 'list',
    summary: 'List the attacks that can be re-enacted, and the control each of them is to prove.',
    offline: true,
    examples: [{ does: 'What is there', line: 'waybill drill list' }],
    load: async () => (await import('./drill.ts')).list,
  },
];
