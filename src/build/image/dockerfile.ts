/** Reads the part of the Dockerfile language that needs no RUN: an image that is files and settings on an empty base. */

export interface ImageRecipe {
  readonly copies: readonly { readonly from: readonly string[]; readonly to: string }[];
  readonly env: readonly (readonly [string, string])[];
  readonly labels: readonly (readonly [string, string])[];
  readonly ports: readonly string[];
  readonly workdir: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
}

export class DockerfileError extends Error {}

const LINES_MAX = 2_000;

export function parseDockerfile(text: string): ImageRecipe {
  const copies: { from: string[]; to: string }[] = [];
  const env: [string, string][] = [];
  const labels: [string, string][] = [];
  const ports: string[] = [];
  let [workdir, user] = ['/', ''];
  let entrypoint: string[] = [];
  let cmd: string[] = [];
  let sawFrom = false;
  for (const { number, word, rest } of instructionsOf(text)) {
    const refuse = (message: string): never => {
      throw new DockerfileError(`Dockerfile line ${number}: ${message}`);
    };
    if (!sawFrom && word !== 'FROM') refuse('FROM scratch has to come first');
    switch (word) {
      case 'FROM':
        if (sawFrom || rest.toLowerCase() !== 'scratch')
          refuse('only one stage, FROM scratch, is supported; a base image would be a download');
        sawFrom = true;
        break;
      case 'COPY': {
        const parts = rest.startsWith('[') ? jsonList(rest, refuse) : rest.split(/\s+/);
        if (parts.some((part) => part.startsWith('--'))) refuse('options of COPY are not supported');
        const to = parts.pop() ?? '';
        if (parts.length === 0) refuse('COPY needs a source and a destination');
        copies.push({ from: parts, to: absolute(to, workdir) + (to.endsWith('/') || parts.length > 1 ? '/' : '') });
        break;
      }
      case 'ENV':
        env.push(...pairs(rest, refuse));
        break;
      case 'LABEL':
        labels.push(...pairs(rest, refuse));
        break;
      case 'EXPOSE':
        ports.push(...rest.split(/\s+/).map((port) => (port.includes('/') ? port : `${port}/tcp`)));
        break;
      case 'WORKDIR':
        workdir = absolute(rest, workdir);
        break;
      case 'USER':
        user = rest;
        break;
      case 'ENTRYPOINT':
        entrypoint = jsonList(rest, refuse);
        break;
      case 'CMD':
        cmd = jsonList(rest, refuse);
        break;
      default:
        refuse(
          `${word} is not supported; supported: FROM scratch, COPY, ENV, LABEL, EXPOSE, WORKDIR, USER, ENTRYPOINT, CMD`,
        );
    }
  }
  if (!sawFrom) throw new DockerfileError('the Dockerfile is empty');
  return { copies, env, labels, ports, workdir, user, entrypoint, cmd };
}

function* instructionsOf(text: string): Generator<{ number: number; word: string; rest: string }> {
  const lines = text.split(/\r?\n/);
  if (lines.length > LINES_MAX) throw new DockerfileError('the Dockerfile is too long');
  for (let index = 0; index < lines.length; index++) {
    const number = index + 1;
    let line = (lines[index] ?? '').trim();
    if (line === '' || line.startsWith('#')) continue;
    while (line.endsWith('\\') && index + 1 < lines.length) {
      index += 1;
      const next = (lines[index] ?? '').trim();
      line = next.startsWith('#') ? line : `${line.slice(0, -1).trimEnd()} ${next}`;
    }
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
    yield { number, word: word.toUpperCase(), rest: rest.trim() };
  }
}

function absolute(path: string, workdir: string): string {
  const parts: string[] = [];
  for (const part of `${path.startsWith('/') ? '' : `${workdir}/`}${path}`.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function jsonList(text: string, refuse: (message: string) => never): string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (Array.isArray(value) && value.every((item): item is string => typeof item === 'string')) return value;
  return refuse('write it as a list: ["program", "argument"]; there is no shell in an image from scratch');
}

function pairs(text: string, refuse: (message: string) => never): [string, string][] {
  const found = [...text.matchAll(/([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)/g)];
  if (found.length === 0) refuse('write it as NAME=value');
  return found.map(([, name = '', value = '']) => [
    name,
    value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value,
  ]);
}
