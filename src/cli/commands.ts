import type { Command } from './command.ts';
import { drillCommands } from './table-drill.ts';
import { evidenceCommands } from './table-evidence.ts';
import { flowCommands } from './table-flow.ts';
import { ledgerCommands } from './table-ledger.ts';
import { machineCommands } from './table-machines.ts';
import { peopleCommands } from './table-people.ts';
import { platformCommands } from './table-platform.ts';
import { trustCommands } from './table-trust.ts';
import { workCommands } from './table-work.ts';

/** Every command, in the order of the help page. The tables load nothing: each names the file that runs it. */
export const commands: readonly Command[] = [
  ...platformCommands,
  ...peopleCommands,
  ...flowCommands,
  ...workCommands,
  ...evidenceCommands,
  ...trustCommands,
  ...ledgerCommands,
  ...machineCommands,
  ...drillCommands,
];
