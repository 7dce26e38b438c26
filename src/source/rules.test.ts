import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { parseDiffTree } from './incoming.ts';
import { defaultProtectedPaths, protectPaths } from './path.ts';
import { findCaseTwin, isAllowedRef, parseUpdates } from './ref.ts';

describe('refs', () => {
  test('branches, tags and notes with plain names are allowed, everything else is not', () => {
    for (const ref of [
      'refs/heads/main',
      'refs/heads/feature/ümlaut-1',
      'refs/tags/v1.0.0',
      'refs/notes/commits',
      'refs/heads/a@b',
    ])
      assert.ok(isAllowedRef(ref), ref);
    const refused = [
      'HEAD',
      'refs/heads',
      'refs/heads/',
      'refs/replace/0123',
      'refs/waybill/x',
      'refs/heads/../main',
      'refs/heads/a..b',
      'refs/heads/.hidden',
      'refs/heads/-option',
      'refs/heads/a b',
      'refs/heads/a\u0000b',
      'refs/heads/a\u202eb',
      'refs/heads/x.lock',
      'refs/heads/a//b',
      'refs/heads/@',
      'refs/heads/a@{1}',
      'refs/heads/e\u0301',
      `refs/heads/${'x'.repeat(300)}`,
    ];
    for (const ref of refused) assert.ok(!isAllowedRef(ref), ref);
  });

  test('a ref that differs from another in case alone is found, in its name or in a folder', () => {
    const existing = ['refs/heads/main', 'refs/heads/feature/x'];
    assert.equal(findCaseTwin('refs/heads/Main', existing), 'refs/heads/main');
    assert.equal(findCaseTwin('refs/heads/Feature/y', existing), 'refs/heads/feature/x');
    assert.equal(findCaseTwin('refs/heads/feature/y', existing), undefined);
    assert.equal(findCaseTwin('refs/heads/main', existing), undefined);
  });

  test('what git hands to its hook is read line by line, and nothing else is', () => {
    const [a, b] = ['1'.repeat(40), '2'.repeat(64)];
    assert.deepEqual(parseUpdates(`${a} ${b} refs/heads/with space\n`), [
      { ref: 'refs/heads/with space', old: a, new: b },
    ]);
    for (const text of ['x y z\n', `${a} ${b}\n`, `${a}\n`]) assert.equal(parseUpdates(text), undefined);
  });
});

describe('protected paths', () => {
  const paths = protectPaths(defaultProtectedPaths);

  test('what a build trusts is protected, at any depth, in any case and under any spelling of the file system', () => {
    const protectedOnes = [
      'Dockerfile',
      'dockerfile',
      'DOCKERFILE.prod',
      'services/api/Dockerfile',
      '.github/workflows/ci.yml',
      '.GitHub/Workflows/deep/ci.yml',
      '.github/workflows./ci.yml',
      '.gi\u200cthub/workflows/ci.yml',
      'package-lock.json',
      'web/package-lock.json',
      'Makefile',
      'makefile ',
      '.gitattributes',
      'sub/.gitmodules',
      'build.gradle.kts',
      '.waybill/policy.json',
    ];
    for (const path of protectedOnes) assert.notEqual(paths.find(path), undefined, path);
  });

  test('a file, link or submodule in the place of a folder that leads to protected files is protected', () => {
    for (const path of ['.github', '.github/workflows', '.GITHUB', '.waybill'])
      assert.notEqual(paths.find(path), undefined, path);
  });

  test('everything else is not', () => {
    for (const path of [
      'src/main.c',
      'README.md',
      '.github/ISSUE_TEMPLATE.md',
      'docs/Dockerfiles/readme',
      'workflows/ci.yml',
      'my-Makefile.txt',
    ])
      assert.equal(paths.find(path), undefined, path);
  });

  test('a protected path stays protected in every mix of upper and lower case', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }), (upper) => {
        const path = Array.from('.github/workflows/release.yml', (letter, index) =>
          upper[index] === true ? letter.toUpperCase() : letter,
        ).join('');
        return paths.find(path) !== undefined;
      }),
    );
  });
});

test('a change counts as a merge’s own only if it differs from every parent', () => {
  const entry = (blob: string, path: string) => `:100644 100644 ${'0'.repeat(40)} ${blob} M\0${path}\0`;
  const text = `m1\0${entry('b1', 'evil')}${entry('b2', 'theirs')}m1\0${entry('b1', 'evil')}${entry('b3', 'ours')}c1\0${entry('b4', 'plain')}`;
  const changes = parseDiffTree(
    text,
    new Map([
      ['m1', 2],
      ['c1', 1],
    ]),
  );
  assert.deepEqual(
    changes.map(({ path, own }) => [path, own]),
    [
      ['evil', true],
      ['theirs', false],
      ['ours', false],
      ['plain', true],
    ],
  );
});
