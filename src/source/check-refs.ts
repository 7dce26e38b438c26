/** Which refs may move, and how. */
import { type Check, failed, notChecked, passed } from '#base';
import { gitText, type GitPlace, runGit, statObjects } from './git.ts';
import type { GateLimits } from './policy.ts';
import { findCaseTwin, isAllowedRef, isTag, isZeroId, type RefUpdate, shortRef } from './ref.ts';
import type { Ref } from './store.ts';

export function checkRefNames(updates: readonly RefUpdate[], existing: readonly Ref[], limits: GateLimits): Check[] {
  const name = 'ref names';
  const problems: Check[] = [];
  if (updates.length > limits.refs) {
    problems.push(
      failed(name, {
        code: 'source.too_many_refs',
        expected: `at most ${limits.refs} refs in one push`,
        found: `${updates.length}`,
        fix: 'push the branches in groups',
      }),
    );
  }
  for (const { ref } of updates.slice(0, limits.refs)) {
    const others = [...existing.map((each) => each.ref), ...updates.map((update) => update.ref)];
    const twin = findCaseTwin(ref, others);
    if (!isAllowedRef(ref)) {
      problems.push(
        failed(name, {
          code: 'source.ref_not_allowed',
          expected: 'a branch, tag or note (refs/heads/…, refs/tags/…, refs/notes/…) with a plain name',
          found: cut(ref),
          fix: 'git push origin HEAD:refs/heads/<name>',
        }),
      );
    } else if (twin !== undefined) {
      problems.push(
        failed(name, {
          code: 'source.ref_case_twin',
          expected: 'a name that differs from every other in more than case',
          found: `${cut(ref)} beside ${cut(twin)}`,
          fix: 'choose another name',
        }),
      );
    }
  }
  return problems.length > 0 ? problems : [passed(name, count(updates.length, 'ref'))];
}

/** History only grows: nothing is deleted, no branch is rewritten, no tag moves. */
export async function checkAppendOnly(place: GitPlace, updates: readonly RefUpdate[]): Promise<Check[]> {
  const name = 'append-only history';
  const problems: Check[] = [];
  for (const update of updates) {
    const problem = await historyProblem(place, update);
    if (problem !== undefined) problems.push(failed(name, problem));
  }
  return problems.length > 0 ? problems : [passed(name)];
}

async function historyProblem(
  place: GitPlace,
  { ref, old, new: next }: RefUpdate,
): Promise<Omit<Check, 'name' | 'status'> | undefined> {
  if (isZeroId(next)) {
    return {
      code: 'source.ref_deleted',
      expected: `${cut(ref)} stays`,
      found: 'a deletion',
      fix: 'leave the ref; what was pushed stays on record',
    };
  }
  if (isTag(ref)) {
    if (!isZeroId(old))
      return {
        code: 'source.tag_moved',
        expected: `${cut(ref)} stays where it is`,
        found: `a move to ${next.slice(0, 10)}`,
        fix: 'make a new tag with another name',
      };
    const peeled = await runGit(place, ['rev-parse', '--verify', '--quiet', `${next}^{commit}`], {
      accept: [0, 1, 128],
    });
    return peeled.status === 0
      ? undefined
      : {
          code: 'source.tag_target',
          expected: 'a tag on a commit',
          found: `${cut(ref)} points to something else`,
          fix: 'tag a commit',
        };
  }
  const [target] = await statObjects(place, [next]);
  if (target?.type !== 'commit')
    return {
      code: 'source.branch_target',
      expected: 'a branch on a commit',
      found: target?.type ?? 'nothing',
      fix: 'push a commit',
    };
  if (isZeroId(old)) return undefined;
  const { status } = await runGit(place, ['merge-base', '--is-ancestor', old, next], { accept: [0, 1] });
  if (status === 0) return undefined;
  return {
    code: 'source.history_rewritten',
    expected: `${cut(ref)} continues from ${old.slice(0, 10)}`,
    found: `${next.slice(0, 10)}, which does not contain it`,
    fix: `git pull --rebase origin ${shortRef(cut(ref))}, then push without --force`,
  };
}

/**
 * The refs on the disk are the recorded ones: root on the server, too, can move them only through the gate.
 * `moving`: where refs of a push that is accepted, but not yet through, stood before.
 */
export async function checkDiskRefs(
  place: GitPlace,
  recorded: readonly Ref[],
  moving: ReadonlyMap<string, string> = new Map(),
): Promise<Check[]> {
  const name = 'refs on disk';
  const text = await gitText({ dir: place.dir }, ['for-each-ref', '--format=%(refname) %(objectname)']);
  const onDisk = new Map(
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line): [string, string] => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]),
  );
  const problems: Check[] = [];
  const report = (ref: string, expected: string, found: string) => {
    if (problems.length < 20)
      problems.push(
        failed(name, {
          code: 'source.refs_tampered',
          expected: `${cut(ref)} at ${expected}`,
          found,
          fix: 'find out who wrote to the server’s disk; an administrator restores the ref',
        }),
      );
  };
  for (const { ref, target } of recorded) {
    const found = onDisk.get(ref);
    if (found !== target && (found ?? '').padEnd(target.length, '0') !== moving.get(ref))
      report(ref, target.slice(0, 12), found?.slice(0, 12) ?? 'nothing (missing or damaged)');
    onDisk.delete(ref);
  }
  for (const [ref, target] of onDisk) report(ref, 'nothing: no push made it', target.slice(0, 12));
  const head = await runGit({ dir: place.dir }, ['symbolic-ref', '--quiet', 'HEAD'], { accept: [0, 1, 128] });
  if (head.stdout.toString('utf8').trim() !== 'refs/heads/main')
    report('HEAD', 'refs/heads/main', cut(head.stdout.toString('utf8').trim()));
  return problems.length > 0 ? problems : [passed(name, count(recorded.length, 'ref'))];
}

export const switchedOff = (name: string) => notChecked(name, 'this control is switched off');
export const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** Untrusted text for a message: one line, printable, short. */
export function cut(text: string, chars = 160): string {
  const clean = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
  return clean.length <= chars ? clean : `${clean.slice(0, chars - 1)}…`;
}
