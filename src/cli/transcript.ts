import { PassThrough, Readable } from 'node:stream';
import { runCli } from './run.ts';

/** What a command line left behind: how the tests, and whoever embeds the command line, run it inside this process. */
export interface Transcript {
  status: number;
  stdout: string;
  stderr: string;
}

export async function transcribe(
  line: readonly string[],
  surroundings: { env?: Readonly<Record<string, string>>; stdin?: string; signal?: AbortSignal } = {},
): Promise<Transcript> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const status = await runCli(line, {
    terminal: { stdin: Readable.from([surroundings.stdin ?? '']), stdout, stderr, env: surroundings.env ?? {} },
    signal: surroundings.signal ?? new AbortController().signal,
    onSignal: () => undefined,
    decided: () => undefined,
  });
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

function textOf(stream: PassThrough): string {
  const bytes = stream.read() as Buffer | null;
  return bytes === null ? '' : bytes.toString('utf8');
}
