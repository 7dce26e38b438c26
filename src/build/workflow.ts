/** Reads workflow files with GitHub's own parser, in a Worker that is ended when a file takes too long or too much memory. */
import { Worker } from 'node:worker_threads';
import type { ParsedFile } from './tree.ts';

export interface WorkflowFile {
  readonly path: string;
  readonly content: string;
}

const FILE_CHARS_MAX = 512 * 1024;
const ALIASES_MAX = 100;
const INDENT_MAX = 320;
const PARSE_MS_MAX = 5_000;
const HEAP_MB_MAX = 192;

export interface WorkflowParser {
  parse(file: WorkflowFile): Promise<ParsedFile>;
  close(): Promise<void>;
}

/** Keeps its Worker between files, because loading the parser takes longer than most files do. It holds nothing of the files. */
export function createWorkflowParser(): WorkflowParser {
  let idle: Worker | undefined;
  let lastTurn: Promise<unknown> = Promise.resolve();

  async function parseInWorker(file: WorkflowFile): Promise<ParsedFile> {
    const worker = idle ?? startWorker();
    idle = undefined;
    const { parsed, isUsable } = await askWorker(worker, file);
    if (isUsable) idle = worker;
    else await worker.terminate();
    return parsed;
  }

  return {
    async parse(file) {
      const refusal = refuseHugeFile(file.content);
      if (refusal !== undefined) return refusedFile(refusal);
      // One file at a time: a Worker that has to be ended takes no other file with it.
      const turn = lastTurn.then(() => parseInWorker(file));
      lastTurn = turn.catch(() => undefined);
      return await turn;
    },
    async close() {
      await lastTurn;
      await idle?.terminate();
    },
  };
}

function askWorker(worker: Worker, file: WorkflowFile): Promise<{ parsed: ParsedFile; isUsable: boolean }> {
  return new Promise((resolve) => {
    const settle = (parsed: ParsedFile, isUsable: boolean): void => {
      clearTimeout(timer);
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      worker.unref();
      resolve({ parsed, isUsable });
    };
    const fail = (message: string): void => settle(refusedFile(message), false);
    const onMessage = (parsed: ParsedFile): void => settle(parsed, true);
    const onError = (error: Error): void => fail(`this file cannot be read: ${error.message.slice(0, 200)}`);
    const onExit = (): void => fail('this file cannot be read');
    const timer = setTimeout(() => fail('this file takes too long to read'), PARSE_MS_MAX);
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.ref();
    worker.postMessage(file);
  });
}

function startWorker(): Worker {
  const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
    env: {},
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
  });
  // An error between two files ends the Worker; it is told by the next file's failure, not by ending this process.
  worker.on('error', () => undefined);
  return worker;
}

const refusedFile = (message: string): ParsedFile => ({ errors: [{ line: 1, column: 1, message }], root: null });

/** Counts before parsing: a few hundred bytes of nested aliases would grow to gigabytes. Comments and texts may count too; that only refuses more. */
function refuseHugeFile(content: string): string | undefined {
  if (content.length > FILE_CHARS_MAX) return `this file is larger than ${FILE_CHARS_MAX} characters`;
  const aliases = content.match(/(?:^|[\s[{,:-])\*[\w-]/gm)?.length ?? 0;
  const anchors = content.match(/(?:^|[\s[{,:-])&[\w-]/gm)?.length ?? 0;
  if (anchors > 0 && aliases > ALIASES_MAX) return `this file uses more than ${ALIASES_MAX} YAML aliases`;
  const indent = content.split('\n').reduce((most, line) => Math.max(most, line.length - line.trimStart().length), 0);
  if (indent > INDENT_MAX) return 'this file is nested too deeply';
  return undefined;
}
