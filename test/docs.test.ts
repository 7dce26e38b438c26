// What the documents say must be there: paths, links, functions of the tour, and command lines that parse.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commands, parseLine } from '#cli';
import { findDrills } from '#drill';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...globSync('docs/**/*.md', { cwd: root }).filter((path) => !path.startsWith('docs/reference/')),
].map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

test('there are documents to look at', () => {
  assert.ok(documents.length >= 15);
  assert.ok(documents.flatMap(({ text }) => linksOf(text)).length >= 25);
  assert.ok(documents.flatMap(({ text }) => commandLinesOf(text)).length >= 60);
});

test('every path of the source tree that a document names is there', () => {
  const named = documents.flatMap(({ path, text }) =>
    [...text.matchAll(/`((?:src|test|scripts|docs|bench|examples)\/[\w./*-]+)`/g)].map(([, name = '']) => ({
      path,
      name,
    })),
  );
  const missing = named.filter(({ name }) => globSync(name, { cwd: root }).length === 0);
  assert.deepEqual(missing, []);
});

test('every relative link leads to a file, and to a heading where it names one', () => {
  const broken = documents.flatMap(({ path, text }) =>
    linksOf(text)
      .filter(
        (link) => !leadsSomewhere(resolve(root, dirname(path), link.split('#')[0] ?? ''), link.split('#')[1], text),
      )
      .map((link) => ({ path, link })),
  );
  assert.deepEqual(broken, []);
});

test('the functions that the tour names are in the files it names', () => {
  const tour = documents.find(({ path }) => path === 'docs/tour.md')?.text ?? '';
  const steps = [...tour.matchAll(/`(src\/[\w./-]+)`:((?:\s+`\w+`,?)+)/g)];
  assert.ok(steps.length >= 30);
  const missing = steps.flatMap(([, path = '', names = '']) => {
    const source = readFileSync(join(root, path), 'utf8');
    const isThere = (name: string): boolean =>
      new RegExp(String.raw`(?:function\*? |const |async )${name}\b|^\s*${name}[(<:]`, 'm').test(source);
    return [...names.matchAll(/`(\w+)`/g)].flatMap(([, name = '']) => (isThere(name) ? [] : [`${path}: ${name}`]));
  });
  assert.deepEqual(missing, []);
});

test('every command line in a document is one that the command table takes', () => {
  const refused = documents.flatMap(({ path, text }) =>
    [
      ...commandLinesOf(text).map((line) => ({ line, fault: faultOf(wordsOf(line)) })),
      ...mentionsOf(text).map((line) => ({ line, fault: faultOf(wordsOf(line))?.replace(/^.* is missing.*$/, '') })),
    ].flatMap(({ line, fault }) => (fault ? [`${path}: ${line}\n  ${fault}`] : [])),
  );
  assert.deepEqual(refused, []);
});

test('every drill that the threat model names exists', () => {
  const model = documents.find(({ path }) => path === 'docs/threat-model.md')?.text ?? '';
  const named = [...model.matchAll(/`([a-z0-9.]+(?:-[a-z0-9.]+)+)`/g)].map(([, name = '']) => name);
  assert.ok(named.length >= 30);
  const known = new Set(findDrills([]).map(({ id }) => id));
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
});

test('every npm script that a document names exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = documents.flatMap(({ text }) =>
    [...text.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g)].map(([, name = '']) => name),
  );
  assert.ok(named.length > 0);
  assert.deepEqual(
    named.filter((name) => !Object.hasOwn(scripts, name)),
    [],
  );
});

function linksOf(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link));
}

function leadsSomewhere(file: string, heading: string | undefined, own: string): boolean {
  if (!existsSync(file)) return false;
  if (heading === undefined) return true;
  const text = file === root ? own : readFileSync(file, 'utf8');
  const slugs = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
  return slugs.includes(heading);
}

const withoutBlocks = (text: string): string => text.replaceAll(/^```.*?^```/gms, '');

/** Lines of shell blocks that run `waybill`: whole command lines. */
function commandLinesOf(text: string): string[] {
  const start = /(?:^|&& |\$ |[A-Z_]+=\S+ |\/bin\/|sudo -u \S+ )(waybill .*)$/;
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .flatMap(([, language = '', body = '']) => (['', 'sh', 'text'].includes(language) ? body.split('\n') : []))
    .map((line) => (start.exec(line)?.[1] ?? '').replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** `waybill …` in running text names a command, and need not say all that it takes. */
const mentionsOf = (text: string): string[] =>
  [...withoutBlocks(text).matchAll(/`(waybill [^`…]+)`/g)].map(([, line = '']) => line);

/** Words as a shell would split them; what follows a redirection or a pipe belongs to something else. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|([^\s"']+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
  const end = words.findIndex((word) => /^[<>|]|^&&$|^\\$/.test(word));
  return end < 0 ? words : words.slice(0, end);
}

/** What is wrong with a command line; parsed by the parser of the program itself. */
function faultOf([, noun = '', ...rest]: string[]): string | undefined {
  if (noun.startsWith('--')) return undefined;
  const ofNoun = commands.filter((command) => command.noun === noun);
  if (ofNoun.length === 0) return `no command is called ${noun}`;
  const chosen = ofNoun.find(({ verb }) => verb === rest[0]) ?? ofNoun.find(({ verb }) => verb === undefined);
  if (chosen === undefined && rest.length === 0) return undefined;
  if (chosen === undefined) return `${noun} has no verb ${rest[0] ?? ''}`;
  try {
    parseLine(chosen, chosen.verb === undefined ? rest : rest.slice(1));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
