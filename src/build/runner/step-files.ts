/** The files by which a step hands values on (GITHUB_OUTPUT, _ENV, _PATH, _STEP_SUMMARY), read with suspicion after it is dead. */
import { constants } from 'node:fs';
import { chmod, chown, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '#base';
import { insidePaths, type Sandbox } from '#sandbox';

export const stepFiles = {
  GITHUB_OUTPUT: 'output',
  GITHUB_ENV: 'env',
  GITHUB_PATH: 'path',
  GITHUB_STEP_SUMMARY: 'summary',
  GITHUB_STATE: 'state',
} as const;

export const stepFileEnvironment: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(stepFiles).map(([name, file]) => [name, `${insidePaths.commands}/${file}`]),
);

const FILE_BYTES_MAX = 1024 * 1024;
const VALUES_MAX = 500;

/** A fresh directory with an empty file each, and the script if there is one. */
export async function prepareStepFiles(dir: string, sandbox: Sandbox, script?: string): Promise<void> {
  await sandbox.createDirectory(dir);
  for (const file of Object.values(stepFiles)) await give(join(dir, file), '', sandbox);
  if (script !== undefined) await give(join(dir, 'script'), script, sandbox);
}

async function give(path: string, text: string, { runAs }: Sandbox): Promise<void> {
  await writeFile(path, text, { mode: 0o600, flag: 'wx' });
  await chmod(path, 0o600);
  if (runAs) await chown(path, runAs.uid, runAs.gid);
}

/** Text of a regular file that is neither a link nor linked elsewhere nor larger than allowed; anything else is refused. */
export async function readStepFile(dir: string, file: string): Promise<string> {
  const handle = await open(join(dir, file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (cause: unknown) => {
      throw tampered(file, 'it was removed or replaced', cause);
    },
  );
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.nlink !== 1) throw tampered(file, 'it was replaced by something else');
    if (stat.size > FILE_BYTES_MAX) throw tampered(file, `it is larger than ${FILE_BYTES_MAX} bytes`);
    const bytes = Buffer.alloc(stat.size);
    await handle.read(bytes, 0, stat.size, 0);
    return bytes.toString('utf8');
  } finally {
    await handle.close();
  }
}

/** `NAME=value` lines and `NAME<<DELIMITER` blocks. */
export function parseValues(text: string): Map<string, string> {
  const values = new Map<string, string>();
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const line = (lines[index] ?? '').replace(/\r$/, '');
    if (line.trim() === '') continue;
    const heredoc = /^([^=<]+)<<(.+)$/.exec(line);
    const equals = line.indexOf('=');
    if (heredoc && (equals < 0 || line.indexOf('<<') < equals)) {
      const delimiter = heredoc[2] ?? '';
      const end = lines.findIndex((other, at) => at > index && other.replace(/\r$/, '') === delimiter);
      if (end < 0) throw malformed(`the block ${delimiter.slice(0, 50)} has no end`);
      values.set((heredoc[1] ?? '').trim(), lines.slice(index + 1, end).join('\n'));
      index = end;
    } else if (equals > 0) {
      values.set(line.slice(0, equals).trim(), line.slice(equals + 1));
    } else {
      throw malformed(`'${line.slice(0, 50)}' is not NAME=value`);
    }
    if (values.size > VALUES_MAX) throw malformed(`more than ${VALUES_MAX} values`);
  }
  return values;
}

/** Names that change what programs do or what later steps believe; a step sets such a thing for itself, never for the next one. */
const RESERVED =
  /^(?:GITHUB_.*|RUNNER_.*|ACTIONS_.*|WAYBILL_.*|INPUT_.*|STATE_.*|LD_.*|DYLD_.*|GIT_.*|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|BASH_ENV|BASH_FUNC_.*|ENV|SHELLOPTS|BASHOPTS|PS4|IFS|PATH|HOME|CDPATH|GLOBIGNORE|PROMPT_COMMAND|PYTHONSTARTUP|PYTHONPATH|PYTHONHOME|PERL5OPT|PERL5LIB|PERLLIB|RUBYOPT|RUBYLIB|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|JDK_JAVAC_OPTIONS|CLASSPATH|MAVEN_OPTS|GRADLE_OPTS|TZ|SOURCE_DATE_EPOCH|CI)$/i;

export function requireHarmlessNames(values: ReadonlyMap<string, string>): void {
  for (const name of values.keys()) {
    if (RESERVED.test(name) || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new Problem({
        code: 'build.environment_reserved',
        kind: 'rejected',
        message: `A step may not set ${name.slice(0, 60)} for later steps.`,
        hint: 'Set it in env: of the step that needs it, where a reviewer sees it.',
      });
    }
  }
}

const tampered = (file: string, why: string, cause?: unknown): Problem =>
  new Problem({
    code: 'build.step_file_tampered',
    kind: 'rejected',
    message: `The step’s ${file} file cannot be used: ${why}.`,
    hint: 'Append lines to the file; do not replace it.',
    cause,
  });

const malformed = (why: string): Problem =>
  new Problem({
    code: 'build.step_file_malformed',
    kind: 'invalid',
    message: `A file the step wrote cannot be read: ${why}.`,
    hint: 'Write NAME=value, or NAME<<END, the lines, and END.',
  });
