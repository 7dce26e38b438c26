import { Problem } from '#base';
import type { Journal } from '#journal';
import type { LeafSource, SourceName } from './source.ts';

/** The facts of the journal as entries: fact number n is entry n − 1, and its leaf is made anew from its row. */
export function journalSource(journal: Pick<Journal, 'head' | 'leaves'>): LeafSource {
  return {
    size: () => journal.head(),
    async read(from, count) {
      const leaves = await journal.leaves(from + 1, count).catch((cause: unknown) => {
        throw rowsUnreadable(from, count, cause);
      });
      if (leaves.length !== count) throw rowsUnreadable(from, count);
      return leaves;
    },
  };
}

export const journalRows: SourceName = {
  check: 'journal.row',
  code: 'ledger.row_altered',
  describe: (index) => `fact ${index + 1}`,
};

function rowsUnreadable(from: number, count: number, cause?: unknown): Problem {
  return new Problem({
    code: 'ledger.rows_missing',
    kind: 'unavailable',
    message: `The journal does not have every fact from ${from + 1} to ${from + count}.`,
    hint: 'Somebody removed or altered rows of the database: run `waybill ledger verify` and restore a backup.',
    ...(cause === undefined ? {} : { cause }),
  });
}
