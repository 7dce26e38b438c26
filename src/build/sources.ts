/** What builds read of a repository. */
import type { Source } from '#source';
import type { WorkflowFile } from './workflow.ts';

/** The part of the source module that builds use. */
export type BuildSource = Pick<Source, 'listFiles' | 'readFile' | 'openBundle' | 'requireCommit' | 'commitOf'>;

const WORKFLOW_PATH = /^\.github\/workflows\/[^/]+\.ya?ml$/;
const FILE_BYTES_MAX = 1024 * 1024;

/** The commit under this name in the bundle a runner fetches. */
export const BUNDLE_REF = 'refs/heads/build';

export async function readWorkflowFiles(
  source: BuildSource,
  repository: string,
  commit: string,
): Promise<WorkflowFile[]> {
  const paths = (await source.listFiles(repository, commit))
    .map(({ path }) => path)
    .filter((path) => WORKFLOW_PATH.test(path));
  const files: WorkflowFile[] = [];
  for (const path of paths.toSorted()) {
    const content = await source.readFile(repository, commit, path, FILE_BYTES_MAX);
    if (content) files.push({ path, content: content.toString('utf8') });
  }
  return files;
}
