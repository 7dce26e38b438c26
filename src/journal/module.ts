import type { Migration, Tx } from '#storage';
import type { Fact, FactDefinition } from './fact.ts';

/** Fact → rows. Runs inside the fact's transaction and again at every rebuild, so it knows nothing but the fact. */
// eslint-disable-next-line typescript/no-explicit-any -- an applier names its own payload type
export type Apply = (tx: Tx, fact: Fact<any>) => Promise<void>;

/** What a module brings to the journal: its tables, the facts it writes and how they become rows. */
export interface ModuleDefinition {
  readonly name: string;
  readonly migrations: readonly Migration[];
  readonly facts: readonly FactDefinition[];
  /** By fact type; one function reads every version of its type. */
  readonly apply: Readonly<Record<string, Apply>>;
  /** By fact type: what may stay of a payload that is erased. Without a rule only the origin (address, request) goes. */
  readonly erase?: Readonly<Record<string, EraseRule>>;
}

export interface EraseRule {
  /** The payload without what is personal; still of the fact's schema, so that `apply` can read it. Pure. */
  // eslint-disable-next-line typescript/no-explicit-any -- a rule names its own payload type
  residue(payload: any): unknown;
  /** Brings the rows to what `apply` makes of the residue. Runs again at every rebuild. */
  // eslint-disable-next-line typescript/no-explicit-any -- a rule names its own payload type
  scrub(tx: Tx, residue: any): Promise<void>;
}

/** Ties an applier to the fact it reads, so that the payload is typed. */
export function onFact<P>(
  _definition: FactDefinition<P>,
  run: (tx: Tx, payload: P, fact: Fact<P>) => Promise<unknown>,
): Apply {
  return async (tx, fact: Fact<P>) => {
    await run(tx, fact.payload, fact);
  };
}
