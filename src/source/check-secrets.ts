/** Every new object is searched for secrets: files, links, names, messages of commits and tags. */
import { setImmediate } from 'node:timers/promises';
import { type Check, failed, passed } from '#base';
import type { Detector, Finding } from '#detect';
import { readObjects } from './git.ts';
import type { Change, Incoming } from './incoming.ts';
import { count, cut } from './check-refs.ts';

const NAME = 'secrets';
const BYTES_BETWEEN_PAUSES = 2 * 1024 * 1024;
const PROBLEMS_MAX = 50;

export interface SecretFindings {
  readonly checks: readonly Check[];
  /** What may be a secret but does not block. */
  readonly warnings: readonly string[];
}

/** `deadline` in milliseconds of `performance.now()`: what cannot be searched in time is refused. */
export async function checkSecrets(
  { place, objects }: Incoming,
  changes: readonly Change[],
  detector: Detector,
  deadline: number,
): Promise<SecretFindings> {
  const origin = new Map(changes.map((change) => [change.blob, change]));
  const problems: Check[] = [];
  const warnings: string[] = [];
  let bytesSincePause = 0;
  for await (const { id, type, bytes } of readObjects(
    place,
    objects.map((object) => object.id),
  )) {
    const where = describe(id, type, origin.get(id));
    const { findings, incomplete } = detector.scan(bytes, { deadline, now: () => performance.now() });
    for (const finding of findings) {
      if (finding.confidence === 'possible')
        warnings.push(`${finding.title} (${finding.rule}) in ${where} line ${finding.line}: ${cut(finding.masked)}`);
      else problems.push(problemOf(finding, where, origin.get(id)?.commit ?? (type === 'commit' ? id : undefined)));
    }
    if (incomplete !== undefined)
      problems.push(
        failed(NAME, {
          code: 'source.scan_incomplete',
          expected: 'every object searched',
          found: `${where}: ${incomplete}`,
          fix: 'push less at once, and keep large archives out of git',
        }),
      );
    if (problems.length > PROBLEMS_MAX || incomplete !== undefined) break;
    bytesSincePause += bytes.length;
    if (bytesSincePause > BYTES_BETWEEN_PAUSES) {
      bytesSincePause = 0;
      await setImmediate();
    }
  }
  const note = `${count(objects.length, 'object')} searched${warnings.length > 0 ? `, ${warnings.length} possible` : ''}`;
  return { checks: problems.length > 0 ? problems : [passed(NAME, note)], warnings };
}

function describe(id: string, type: string, change: Change | undefined): string {
  if (type === 'commit') return `the message of commit ${id.slice(0, 10)}`;
  if (type === 'tag') return `the message of tag object ${id.slice(0, 10)}`;
  if (type === 'tree') return `a file name (tree ${id.slice(0, 10)})`;
  if (change === undefined) return `blob ${id.slice(0, 10)}`;
  return change.mode === '120000' ? `the target of the link ${cut(change.path)}` : cut(change.path);
}

function problemOf(finding: Finding, where: string, commit: string | undefined): Check {
  const encoded = finding.encodings.length > 0 ? ` (written as ${finding.encodings.join(' in ')})` : '';
  return failed(NAME, {
    code: 'source.secret_found',
    expected: 'no secret in any object',
    found: `${finding.title} (${finding.rule}) in ${where} line ${finding.line}: ${cut(finding.masked, 60)}${encoded}`,
    fix: `take it out of ${commit === undefined ? 'the commit' : `commit ${commit.slice(0, 10)} (git rebase -i ${commit.slice(0, 10)}^)`} and replace the value: it has left your machine`,
  });
}
