/** Names of refs and what a push asks of them. */

export interface RefUpdate {
  readonly ref: string;
  /** Object ids; all zeros for "does not exist". */
  readonly old: string;
  readonly new: string;
}

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const NAMESPACES = ['refs/heads/', 'refs/tags/', 'refs/notes/'];
const REF_CHARS_MAX = 200;

export const isObjectId = (text: string) => OBJECT_ID.test(text);
export const isZeroId = (id: string) => /^0+$/.test(id);
export const isTag = (ref: string) => ref.startsWith('refs/tags/');

/** The lines git writes to a hook: `old new ref`. Undefined if one of them is something else. */
export function parseUpdates(text: string): RefUpdate[] | undefined {
  const updates: RefUpdate[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [old = '', next = '', ...rest] = line.split(' ');
    if (!isObjectId(old) || !isObjectId(next) || rest.length === 0) return undefined;
    updates.push({ ref: rest.join(' '), old, new: next });
  }
  return updates;
}

/** Only branches, tags and notes; the rules of git check-ref-format, without what shells and terminals mistake. */
export function isAllowedRef(ref: string): boolean {
  if (ref.length > REF_CHARS_MAX || !NAMESPACES.some((namespace) => ref.startsWith(namespace))) return false;
  const parts = ref.split('/').slice(2);
  return (
    parts.every(
      (part) =>
        part !== '' &&
        /^[\p{L}\p{N}_+=@#%,.-]+$/u.test(part) &&
        !/^[.-]|\.\.|\.$|\.lock$|@\{/.test(part) &&
        part !== '@',
    ) && ref === ref.normalize('NFC')
  );
}

/**
 * The existing ref that a new one differs from only in case, in its last part or in a folder: two refs for one
 * reader, one for another (a case-insensitive file system).
 */
export function findCaseTwin(ref: string, existing: Iterable<string>): string | undefined {
  const parts = ref.split('/');
  for (const other of existing) {
    if (other === ref) continue;
    const otherParts = other.split('/');
    for (let depth = 0; depth < Math.min(parts.length, otherParts.length); depth++) {
      const [mine = '', theirs = ''] = [parts[depth], otherParts[depth]];
      if (mine === theirs) continue;
      if (fold(mine) === fold(theirs)) return other;
      break;
    }
  }
  return undefined;
}

const fold = (text: string) => text.normalize('NFKC').toLowerCase();

export const shortRef = (ref: string) => ref.replace(/^refs\/(?:heads|tags)\//, '');
