import type { Command } from './command.ts';

/** What can be checked: attestations, the ledger, the chain of an artifact. */
export const evidenceCommands: readonly Command[] = [];
