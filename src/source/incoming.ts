/** What a push brings, read from git's quarantine: objects, commits, tags, and which commit changed which path. */
import type { GateLimits } from './policy.ts';
import { gitText, type GitObject, type GitPlace, readObjects, runGit, statObjects } from './git.ts';
import { parseCommit, parseTag, type RawCommit, type RawTag } from './object.ts';
import { isZeroId, type RefUpdate } from './ref.ts';

/** An entry that a commit has and none, or not all, of its parents have in the same way. */
export interface Change {
  readonly commit: string;
  readonly path: string;
  /** `000000` when the path is gone. */
  readonly mode: string;
  readonly blob: string;
  /** It differs from every parent: this commit's own doing, not a side of a merge. */
  readonly own: boolean;
}

export interface Incoming {
  /** Where to read: the repository with the quarantine in front. */
  readonly place: GitPlace;
  /** New and reachable from what the push moves, in the order of `rev-list`. */
  readonly objects: readonly GitObject[];
  /** In the quarantine, but leading nowhere. */
  readonly strays: readonly string[];
}

export interface IncomingHistory {
  readonly commits: readonly RawCommit[];
  readonly tags: readonly RawTag[];
  readonly malformed: readonly { id: string; reason: string }[];
  readonly changes: readonly Change[];
}

/** `--not --all` stands for what the refs of the repository reach already; the quarantine moved none of them. */
export async function listIncoming(
  place: GitPlace,
  quarantine: string | undefined,
  updates: readonly RefUpdate[],
  limits: GateLimits,
): Promise<Incoming> {
  const tips = [...new Set(updates.map((update) => update.new).filter((id) => !isZeroId(id)))];
  const listed =
    tips.length === 0
      ? ''
      : await gitText(place, ['rev-list', '--objects', '--no-object-names', ...tips, '--not', '--all'], {
          maxBytes: (limits.objects + 1) * 65,
          timeoutMs: limits.gateMs,
        });
  const objects = await statObjects(place, lines(listed));
  const known = new Set(objects.map((object) => object.id));
  return { place, objects, strays: await findStrays(place, quarantine, known) };
}

/**
 * A pack may hold objects nothing leads to. Those the main store has too are the bases git adds to complete a thin
 * pack; any other would be smuggled in, unseen by every other control.
 */
async function findStrays(
  place: GitPlace,
  quarantine: string | undefined,
  known: ReadonlySet<string>,
): Promise<string[]> {
  if (quarantine === undefined) return [];
  const alone: GitPlace = { dir: place.dir, env: { GIT_OBJECT_DIRECTORY: quarantine } };
  const stored = lines(
    await gitText(alone, ['cat-file', '--batch-all-objects', '--unordered', '--batch-check=%(objectname)']),
  );
  const unknown = stored.filter((id) => !known.has(id));
  const inMainStore = await statObjects({ dir: place.dir }, unknown);
  return inMainStore.filter((object) => object.type === 'missing').map((object) => object.id);
}

/** Call only after the sizes were checked: reads every new commit and tag whole. */
export async function readHistory({ place, objects }: Incoming, limits: GateLimits): Promise<IncomingHistory> {
  const commits: RawCommit[] = [];
  const tags: RawTag[] = [];
  const malformed: { id: string; reason: string }[] = [];
  const ids = objects.filter(({ type }) => type === 'commit' || type === 'tag').map(({ id }) => id);
  for await (const { id, type, bytes } of readObjects(place, ids)) {
    const parsed = type === 'commit' ? parseCommit(id, bytes) : parseTag(id, bytes);
    if (!parsed.ok) malformed.push({ id, reason: parsed.reason });
    else if ('tree' in parsed.value) commits.push(parsed.value);
    else tags.push(parsed.value);
  }
  const unread = malformed.filter(({ id }) => objects.some((object) => object.id === id && object.type === 'commit'));
  return {
    commits,
    tags,
    malformed,
    changes: await readChanges(
      place,
      commits,
      unread.map(({ id }) => id),
      limits,
    ),
  };
}

/** Each new commit against each of its parents: also evil merges, and what a later commit takes back. */
async function readChanges(
  place: GitPlace,
  commits: readonly RawCommit[],
  unread: readonly string[],
  limits: GateLimits,
): Promise<Change[]> {
  const ids = [...commits.map(({ id }) => id), ...unread];
  if (ids.length === 0) return [];
  const { stdout } = await runGit(
    place,
    ['diff-tree', '--stdin', '-r', '-z', '-m', '--root', '--no-renames', '--raw'],
    {
      input: `${ids.join('\n')}\n`,
      maxBytes: 256 * 1024 * 1024,
      timeoutMs: limits.gateMs,
    },
  );
  const parents = new Map(commits.map((commit) => [commit.id, Math.max(1, commit.parents.length)]));
  return parseDiffTree(stdout.toString('utf8'), parents);
}

/** A commit id heads the comparison with each parent; then ` :modes ids status`, path, … */
export function parseDiffTree(text: string, parents: ReadonlyMap<string, number>): Change[] {
  const found = new Map<string, Omit<Change, 'own'> & { differs: number }>();
  const tokens = text.split('\0');
  let commit = '';
  for (let at = 0; at < tokens.length; at++) {
    const token = (tokens[at] ?? '').trimStart();
    if (token === '') continue;
    if (!token.startsWith(':')) {
      commit = token;
      continue;
    }
    const [, mode = '', , blob = ''] = token.split(' ');
    const path = tokens[++at] ?? '';
    const key = `${commit}\0${path}`;
    const before = found.get(key);
    if (before === undefined) found.set(key, { commit, path, mode, blob, differs: 1 });
    else before.differs++;
  }
  return [...found.values()].map(({ differs, ...change }) => ({
    ...change,
    own: differs >= (parents.get(change.commit) ?? 1),
  }));
}

const lines = (text: string) => text.split('\n').filter((line) => line !== '');
