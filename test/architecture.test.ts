// Guards the house: one order of modules, one way in, one owner a table. Fails first of all if it saw nothing to guard.
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const order = (
  'base storage journal vault ledger identity attest policy client detect source sandbox build artifact release deploy ' +
  'trace audit http wire api web server drill cli'
).split(' ');

const files = globSync('src/**/*.{ts,js}', { cwd: root })
  .filter((path) => !path.startsWith('src/web/client/'))
  .map((path) => ({ path, module: path.split('/')[1]!, text: readFileSync(join(root, path), 'utf8') }));
const isTest = (path: string) => path.endsWith('.test.ts');

function importsOf(text: string): string[] {
  const found = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g);
  return [...found].map((match) => match[1]!);
}

test('there is a house to guard', () => {
  assert.ok(files.length > 50, `only ${files.length} files seen`);
});

test('every folder of src is a module in the order, with one way in that says what it guarantees', () => {
  for (const module of readdirSync(join(root, 'src'))) {
    assert.ok(order.includes(module), `src/${module} is not in the order`);
    const index = join(root, 'src', module, 'index.ts');
    assert.ok(existsSync(index), `src/${module} has no index.ts`);
    const text = readFileSync(index, 'utf8');
    assert.match(text, /^\/\*\*/, `src/${module}/index.ts has no head comment`);
    assert.doesNotMatch(text, /export \*(?! as)/, `src/${module}/index.ts exports everything`);
  }
});

test('modules are entered by name, and only from lower to higher', () => {
  for (const { path, module, text } of files) {
    for (const target of importsOf(text)) {
      if (target.startsWith('#')) {
        const other = target.slice(1);
        assert.ok(order.includes(other), `${path} imports ${target}, which is no module`);
        assert.ok(
          order.indexOf(other) < order.indexOf(module),
          `${path} imports ${target}, which comes after ${module}`,
        );
      }
      const deep = path.split('/').length - 3;
      const climbs = (target.match(/\.\.\//g) ?? []).length;
      assert.ok(climbs <= deep, `${path} leaves its module: ${target}`);
    }
  }
});

test('a table is named only where its owner keeps its SQL', () => {
  const names = new Set<string>();
  for (const { path, module, text } of files) {
    if (!path.endsWith('/migrations.ts') && !path.endsWith('/migrate.ts')) continue;
    for (const match of text.matchAll(/createTable\(\s*'([a-z_]+)'/g)) {
      assert.ok(match[1]!.startsWith(`${module}_`), `${path}: ${match[1]} does not carry its module's name`);
      names.add(match[1]!);
    }
  }
  assert.ok(names.size > 5, 'no tables seen');
  const allowed = /\/(store|migrations|migrate|apply)\.ts$/;
  for (const { path, module, text } of files) {
    if (isTest(path)) continue;
    for (const match of text.matchAll(/['"`. ]((?:[a-z]+)_(?:scratch_)?[a-z_]+)['"`. ]/g)) {
      if (!names.has(match[1]!)) continue;
      assert.ok(match[1]!.startsWith(`${module}_`), `${path} names ${match[1]}, another module's table`);
      assert.match(path, allowed, `${path} names the table ${match[1]}; its SQL belongs in store.ts`);
    }
  }
});

test('HTTP stays at the edges and Kysely in the stores', () => {
  const edges = new Set(['http', 'wire', 'api', 'web', 'server', 'drill']);
  for (const { path, module, text } of files) {
    if (isTest(path)) continue;
    const imports = importsOf(text);
    if (!edges.has(module)) assert.ok(!imports.includes('fastify'), `${path} imports fastify`);
    if (module !== 'storage' && imports.includes('kysely')) {
      assert.match(path, /\/(store|migrations|apply)\.ts$/, `${path} imports kysely`);
    }
  }
});

test('no default exports, no enums, no table of everything', () => {
  for (const { path, text } of files) {
    assert.doesNotMatch(text, /^export default/m, `${path} has a default export`);
    assert.doesNotMatch(text, /^(export )?(const )?enum /m, `${path} has an enum`);
  }
});

test('every run-time dependency earned its line in docs/dependencies.md', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const text = readFileSync(join(root, 'docs', 'dependencies.md'), 'utf8');
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version, /^(?:npm:@?[\w./-]+@)?\d+\.\d+\.\d+$/, `${name} is not pinned`);
    assert.ok(text.includes(`\`${name}\``), `${name} is not in docs/dependencies.md`);
  }
});
