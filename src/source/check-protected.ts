/** Paths a build trusts change only by the hand of somebody who holds `source:push-protected`. */
import { type Check, failed, passed } from '#base';
import type { Caller } from '#identity';
import { gitText, type GitPlace, readObjects } from './git.ts';
import type { Change } from './incoming.ts';
import { foldPath, type ProtectedPaths } from './path.ts';
import { isZeroId, type RefUpdate } from './ref.ts';
import { asCaller, type Signer, type SignerDirectory } from './check-signatures.ts';
import { count, cut } from './check-refs.ts';

const SYMLINK = '120000';
const SUBMODULE = '160000';

/** Both the pusher and the signer of the commit need the right: neither can lend it to the other. */
export async function checkProtectedPaths(input: {
  changes: readonly Change[];
  patterns: ProtectedPaths;
  behindLinks: ReadonlySet<string>;
  signers: ReadonlyMap<string, Signer>;
  directory: SignerDirectory;
  caller: Caller;
  project: string;
}): Promise<Check[]> {
  const name = 'protected paths';
  const touched = input.changes.filter((change) => change.own && protectedBy(change, input) !== undefined);
  if (touched.length === 0) return [passed(name, 'none changed')];
  const refused: Check[] = [];
  const decisions = new Map<string, boolean>();
  const may = async (caller: Caller) => {
    const known =
      decisions.get(caller.principal) ??
      (await input.directory.decide(caller, 'source:push-protected', { project: input.project })).allowed;
    decisions.set(caller.principal, known);
    return known;
  };
  for (const change of touched) {
    const signer = input.signers.get(change.commit);
    const blamed = !(await may(input.caller))
      ? input.caller.name
      : signer !== undefined && !(await may(asCaller(signer.principal, signer.key, input.caller)))
        ? signer.principal.name
        : undefined;
    if (blamed === undefined) continue;
    refused.push(
      failed(name, {
        code: 'source.path_protected',
        expected: `${cut(change.path)} (${protectedBy(change, input)}) is changed by somebody who may`,
        found: `${blamed} may not; commit ${change.commit.slice(0, 10)}${kindOf(change.mode)}`,
        fix: 'leave the file as it is, or ask a maintainer of the project to make, sign and push this change',
      }),
    );
  }
  return refused.length > 0 ? refused : [passed(name, `${count(touched.length, 'change')} by somebody who may`)];
}

function protectedBy(
  change: Change,
  input: { patterns: ProtectedPaths; behindLinks: ReadonlySet<string> },
): string | undefined {
  const pattern = input.patterns.find(change.path);
  if (pattern !== undefined) return pattern;
  const folded = foldPath(change.path);
  const parts = folded.split('/');
  const reached = parts.some((_, index) => input.behindLinks.has(parts.slice(0, index + 1).join('/')));
  return reached ? 'a protected path links to it' : undefined;
}

function kindOf(mode: string): string {
  if (mode === SYMLINK) return ' puts a symbolic link there';
  if (mode === SUBMODULE) return ' puts a submodule there';
  return mode === '000000' ? ' removes it' : ' changes it';
}

/** Where the symbolic links on protected paths lead, in the trees the push starts from and ends at. */
export async function findLinkTargets(
  place: GitPlace,
  updates: readonly RefUpdate[],
  patterns: ProtectedPaths,
): Promise<Set<string>> {
  const targets = new Set<string>();
  const tips = new Set(updates.flatMap((update) => [update.old, update.new]).filter((id) => !isZeroId(id)));
  for (const tip of tips) {
    const listing = await gitText(place, ['ls-tree', '-r', '-z', `${tip}^{tree}`]);
    const links = listing
      .split('\0')
      .filter((line) => line.startsWith(SYMLINK))
      .map((line) => ({ blob: line.split(/[ \t]/)[2] ?? '', path: line.slice(line.indexOf('\t') + 1) }))
      .filter(({ path }) => patterns.find(path) !== undefined);
    for await (const { id, bytes } of readObjects(place, [...new Set(links.map((link) => link.blob))])) {
      for (const link of links.filter(({ blob }) => blob === id)) {
        const resolved = resolveLink(link.path, bytes.toString('utf8'));
        if (resolved !== undefined) targets.add(foldPath(resolved));
      }
    }
  }
  return targets;
}

/** Undefined when it leads out of the repository. */
function resolveLink(path: string, target: string): string | undefined {
  if (target.startsWith('/')) return undefined;
  const parts = path.split('/').slice(0, -1);
  for (const step of target.split('/')) {
    if (step === '' || step === '.') continue;
    if (step !== '..') parts.push(step);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join('/');
}
