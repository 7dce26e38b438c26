/**
 * cli: the `waybill` command. A table of commands as data; help, completions and the reference are made from it.
 * Guarantees: one JSON document with `--json`, on failure too; exit statuses as `exit.ts` lists them; secrets come from
 * stdin or files, never from arguments; text from elsewhere cannot drive the terminal.
 */
export { type Command } from './command.ts';
export { commands } from './commands.ts';
export { exitCodes } from './exit.ts';
export { parseLine } from './parse.ts';
export { renderCliReference } from './reference.ts';
export { runCli, type Surroundings } from './run.ts';
export { type Terminal } from './terminal.ts';
