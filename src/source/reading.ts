/** Reads commits, trees and files of a repository, for builds and pages. */
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { Problem } from '#base';
import { collectText, exitOf, gitText, type GitPlace, runGit, spawnGit, statObjects } from './git.ts';
import { isAllowedRef, isObjectId } from './ref.ts';

export interface TreeFile {
  readonly path: string;
  /** `100644`, `100755`, `120000` (link), `160000` (submodule). */
  readonly mode: string;
  readonly blob: string;
  readonly size: number;
}

export interface LogEntry {
  readonly id: string;
  readonly parents: readonly string[];
  readonly author: { readonly name: string; readonly email: string };
  /** As the committer's clock said; not a proven time. */
  readonly committedAt: number;
  readonly subject: string;
}

const FILE_BYTES_MAX = 10 * 1024 * 1024;
const COMMIT_BYTES_MAX = 1024 * 1024;
const LOG_MAX = 500;

/** The object as it is hashed, without its header. `source.file_too_large` for one that no person wrote. */
export async function readCommit(place: GitPlace, commit: string): Promise<Buffer | undefined> {
  if (!isObjectId(commit)) return undefined;
  const [found] = await statObjects(place, [commit]);
  if (found?.type !== 'commit') return undefined;
  if (found.size > COMMIT_BYTES_MAX) throw tooLarge(commit, COMMIT_BYTES_MAX);
  return (await runGit(place, ['cat-file', 'commit', commit], { maxBytes: COMMIT_BYTES_MAX + 1 })).stdout;
}

/** Undefined if the commit has no such file. `source.file_too_large` beyond `maxBytes`. */
export async function readFileAt(
  place: GitPlace,
  commit: string,
  path: string,
  maxBytes = FILE_BYTES_MAX,
): Promise<Buffer | undefined> {
  const [found] = await listTree(place, commit, path);
  if (found === undefined || found.path !== path || found.mode === '160000') return undefined;
  if (found.size > maxBytes) throw tooLarge(path, maxBytes);
  return (await runGit(place, ['cat-file', 'blob', found.blob], { maxBytes: maxBytes + 1 })).stdout;
}

/** Every file of the commit, or those at and below `path`. */
export async function listTree(place: GitPlace, commit: string, path?: string): Promise<TreeFile[]> {
  requireId(commit);
  const limit = path === undefined ? [] : ['--', path];
  const text = await gitText({ ...place, env: { ...place.env, GIT_LITERAL_PATHSPECS: '1' } }, [
    'ls-tree',
    '-r',
    '-l',
    '-z',
    commit,
    ...limit,
  ]);
  return text
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const tab = line.indexOf('\t');
      const [mode = '', , blob = '', size = '0'] = line.slice(0, tab).split(/ +/);
      return { path: line.slice(tab + 1), mode, blob, size: Number(size) || 0 };
    });
}

/** Newest first. */
export async function readLog(place: GitPlace, start: string, limit: number): Promise<LogEntry[]> {
  if (!isObjectId(start) && !isAllowedRef(start)) throw notFound(start);
  const format = ['%H', '%P', '%an', '%ae', '%ct', '%s'].join('%x1f');
  const { status, stdout } = await runGit(
    place,
    ['log', '-z', `--max-count=${Math.min(limit, LOG_MAX)}`, `--format=${format}`, start, '--'],
    { accept: [0, 128] },
  );
  if (status !== 0) throw notFound(start);
  return stdout
    .toString('utf8')
    .split('\0')
    .filter((record) => record !== '')
    .map((record) => {
      const [id = '', parents = '', name = '', email = '', seconds = '0', subject = ''] = record.split('\x1f');
      return {
        id,
        parents: parents.split(' ').filter((each) => each !== ''),
        author: { name, email },
        committedAt: Number(seconds) * 1000,
        subject,
      };
    });
}

/**
 * A git bundle with the whole history of one commit, under the name `ref`. Whoever unpacks it computes every
 * object's id again, so the commit id vouches for all of it.
 */
/** The commit an object is or, for an annotated tag, points at; undefined if there is none. */
export async function peelToCommit(place: GitPlace, object: string): Promise<string | undefined> {
  requireId(object);
  const peeled = await runGit(place, ['rev-parse', '--verify', '--quiet', `${object}^{commit}`], {
    accept: [0, 1, 128],
  });
  return peeled.status === 0 ? peeled.stdout.toString('utf8').trim() : undefined;
}

export async function openBundle(place: GitPlace, commit: string, ref: string): Promise<Readable> {
  requireId(commit);
  const [found] = await statObjects(place, [commit]);
  if (found?.type !== 'commit') throw notFound(commit);
  const child = spawnGit(place, ['pack-objects', '--revs', '--stdout', '--delta-base-offset', '-q', '--threads=1']);
  const bundle = new PassThrough();
  bundle.on('close', () => child.kill());
  bundle.write(`# v2 git bundle\n${commit} ${ref}\n\n`);
  const ended = Promise.all([exitOf(child), collectText(child.stderr), once(child.stdout, 'end')]);
  child.stdout.pipe(bundle, { end: false });
  ended.then(
    ([status, stderr]) => {
      if (status === 0) bundle.end();
      else bundle.destroy(new Error(`git pack-objects: exit status ${status}: ${stderr}`));
    },
    (error: unknown) => bundle.destroy(error as Error),
  );
  child.stdin.end(`${commit}\n`);
  return bundle;
}

function requireId(commit: string): void {
  if (!isObjectId(commit)) throw notFound(commit);
}

const notFound = (name: string) =>
  new Problem({
    code: 'source.commit_not_found',
    kind: 'not_found',
    message: `The repository has no commit ${name.slice(0, 64)}.`,
    hint: 'Check the id, or push the commit first.',
  });

const tooLarge = (path: string, maxBytes: number) =>
  new Problem({
    code: 'source.file_too_large',
    kind: 'limited',
    message: `${path.slice(0, 200)} is larger than ${maxBytes} bytes.`,
    hint: 'Fetch it with git.',
  });
