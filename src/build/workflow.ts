/** Reads a workflow file with GitHub's own parser, in a Worker that is ended when it takes too long or too much. */
import { Worker } from 'node:worker_threads';
import type { ParsedFile } from './tree.ts';

export interface WorkflowFile {
  readonly path: string;
  readonly content: string;
}

const FILE_CHARS_MAX = 512 * 1024;
const ALIASES_MAX = 100;
const DEPTH_MAX = 40;
const PARSE_MS_MAX = 5_000;
const HEAP_MB_MAX = 192;

export async function parseWorkflowFile(file: WorkflowFile): Promise<ParsedFile> {
  const refusal = refuseHugeFile(file.content);
  if (refusal !== undefined) return { errors: [{ line: 1, column: 1, message: refusal }], root: null };
  return await new Promise((resolve) => {
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      workerData: file,
      env: {},
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    });
    const settle = (parsed: ParsedFile): void => {
      clearTimeout(timer);
      resolve(parsed);
      void worker.terminate();
    };
    const fail = (message: string): void => settle({ errors: [{ line: 1, column: 1, message }], root: null });
    const timer = setTimeout(() => fail('this file takes too long to read'), PARSE_MS_MAX);
    worker.once('message', (parsed: ParsedFile) => settle(parsed));
    worker.once('error', (error) => fail(`this file cannot be read: ${error.message.slice(0, 200)}`));
    worker.once('exit', () => fail('this file cannot be read'));
  });
}

/** Counts before parsing: a few hundred bytes of nested aliases would grow to gigabytes. Comments and texts may count too; that only refuses more. */
function refuseHugeFile(content: string): string | undefined {
  if (content.length > FILE_CHARS_MAX) return `this file is larger than ${FILE_CHARS_MAX} characters`;
  const aliases = content.match(/(?:^|[\s[{,:-])\*[\w-]/gm)?.length ?? 0;
  const anchors = content.match(/(?:^|[\s[{,:-])&[\w-]/gm)?.length ?? 0;
  if (anchors > 0 && aliases > ALIASES_MAX) return `this file uses more than ${ALIASES_MAX} YAML aliases`;
  const deepest = content.split('\n').reduce((most, line) => Math.max(most, line.length - line.trimStart().length), 0);
  if (deepest > DEPTH_MAX * 8) return 'this file is nested too deeply';
  return undefined;
}
