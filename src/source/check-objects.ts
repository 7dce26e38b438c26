/** How much a push brings, and that it brings nothing on the side. Sizes come first: nothing is read before. */
import { type Check, failed, passed } from '#base';
import type { Change, Incoming } from './incoming.ts';
import type { GateLimits } from './policy.ts';
import { count, cut } from './check-refs.ts';

export function checkSizes({ objects }: Incoming, limits: GateLimits): Check[] {
  const name = 'sizes';
  const problems: Check[] = [];
  const refuse = (code: string, expected: string, found: string, fix: string) =>
    problems.push(failed(name, { code, expected, found, fix }));
  const commits = objects.filter((object) => object.type === 'commit').length;
  const total = objects.reduce((sum, object) => sum + object.size, 0);
  if (objects.length > limits.objects)
    refuse(
      'source.too_many_objects',
      `at most ${limits.objects} objects`,
      `${objects.length}`,
      'push an older commit first, then the rest',
    );
  if (commits > limits.commits) {
    refuse(
      'source.too_many_commits',
      `at most ${limits.commits} new commits in one push`,
      `${commits}`,
      'push in steps: git push origin <older commit>:refs/heads/<branch>',
    );
  }
  if (total > limits.totalBytes)
    refuse(
      'source.push_too_large',
      `at most ${limits.totalBytes} bytes unpacked`,
      `${total}`,
      'push in steps, and keep large files out of git',
    );
  for (const { id, type, size } of objects) {
    const most = type === 'blob' ? limits.blobBytes : limits.structureBytes;
    if (type === 'missing')
      refuse(
        'source.object_missing',
        'every object the push refers to',
        `${id.slice(0, 12)} is missing`,
        'run git fsck in your clone',
      );
    else if (size > most && problems.length < 20) {
      refuse(
        'source.object_too_large',
        `a ${type} of at most ${most} bytes`,
        `${id.slice(0, 12)} with ${size} bytes`,
        `git log --all --find-object=${id} shows the commit; keep large files out of git`,
      );
    }
  }
  return problems.length > 0 ? problems : [passed(name, `${count(objects.length, 'object')}, ${total} bytes`)];
}

export function checkPaths(changes: readonly Change[], limits: GateLimits): Check[] {
  const long = changes.filter(({ path }) => Buffer.byteLength(path) > limits.pathBytes).slice(0, 5);
  return long.map(({ path, commit }) =>
    failed('sizes', {
      code: 'source.path_too_long',
      expected: `paths of at most ${limits.pathBytes} bytes`,
      found: `${cut(path, 60)} in commit ${commit.slice(0, 10)}`,
      fix: 'rename it and rewrite the commit',
    }),
  );
}

export function checkSmuggling({ strays }: Incoming): Check[] {
  const name = 'no smuggled objects';
  if (strays.length === 0) return [passed(name)];
  return [
    failed(name, {
      code: 'source.object_smuggled',
      expected: 'only objects that the pushed refs lead to',
      found: `${count(strays.length, 'object')} besides, ${strays[0]?.slice(0, 12)} for one`,
      fix: 'push with stock git; it sends no others',
    }),
  ];
}
