import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '#base';
import { collectFiles } from './collect.ts';
import { createMasks } from './masks.ts';
import { createStepOutput } from './output.ts';
import { parseValues, requireHarmlessNames } from './step-files.ts';

function linesOf(...chunks: (string | Buffer)[]): string[] {
  const lines: string[] = [];
  const output = createStepOutput(createMasks(), (line) => lines.push(line));
  for (const chunk of chunks) output.write(Buffer.from(chunk as string));
  output.end();
  return lines;
}

describe('what a step prints', () => {
  test('lines are whole however they arrive, and terminal control is removed', () => {
    const bytes = Buffer.from('one ✓\r\n\u001b[31mred\u001b[0m\u001b]0;title\u0007 end\n\u202eright to left\nlast');
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.deepEqual(linesOf(bytes.subarray(0, cut), bytes.subarray(cut)), [
        'one ✓',
        'red end',
        'right to left',
        'last',
      ]);
    }
  });

  test('a masked value is hidden in every spelling, at every alignment', () => {
    const lower = fc.stringMatching(/^[a-zA-Z0-9+/=" ]{8,30}$/).filter((text) => text.trim().length >= 8);
    fc.assert(
      fc.property(lower, fc.nat(20), (secret, padding) => {
        const masks = createMasks();
        masks.add(secret);
        const around = 'x'.repeat(padding);
        const spellings = [
          secret,
          Buffer.from(around + secret + around).toString('base64'),
          Buffer.from(secret).toString('hex'),
          encodeURIComponent(secret),
          JSON.stringify(secret),
        ];
        for (const spelling of spellings) assert.match(masks.apply(`a ${spelling} b`), /\*\*\*/);
      }),
    );
  });

  test('stop-commands makes text of commands until its token comes', () => {
    assert.deepEqual(linesOf('::group::a\n::stop-commands::tok\n::error::x\n::tok::\n::error::100%25\n'), [
      '##[group]a',
      '::error::x',
      '##[error]100%',
    ]);
  });
});

describe('files of a step', () => {
  test('NAME=value and blocks are read, anything else is refused', () => {
    assert.deepEqual(
      [...parseValues('A=b=c\nX<<E\n1\nA=2\nE\nY=\n')],
      [
        ['A', 'b=c'],
        ['X', '1\nA=2'],
        ['Y', ''],
      ],
    );
    for (const text of ['A', 'X<<E\nno end\n', '=v']) assert.throws(() => parseValues(text), Problem);
  });

  test('names that change what programs do are refused', () => {
    for (const name of [
      'LD_PRELOAD',
      'ld_library_path',
      'NODE_OPTIONS',
      'BASH_ENV',
      'PATH',
      'GITHUB_SHA',
      'GIT_SSH_COMMAND',
      'JAVA_TOOL_OPTIONS',
      'A B',
      '',
    ]) {
      assert.throws(() => requireHarmlessNames(new Map([[name, 'x']])), Problem, name);
    }
    requireHarmlessNames(
      new Map([
        ['VERSION', '1'],
        ['MY_PATH', '2'],
      ]),
    );
  });
});

describe('collecting artifacts', () => {
  test('patterns take files below the workspace, and never through a link', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'waybill-collect-'));
    try {
      await mkdir(join(dir, 'a/b'), { recursive: true });
      for (const path of ['a/1.txt', 'a/b/2.txt', 'a/b/3.bin']) await writeFile(join(dir, path), path);
      await symlink('/etc', join(dir, 'etc'));
      const paths = async (...patterns: string[]): Promise<string[]> => {
        const files = await collectFiles(dir, patterns);
        for (const file of files) await file.close();
        return files.map(({ path }) => path);
      };
      assert.deepEqual(await paths('a'), ['a/1.txt', 'a/b/2.txt', 'a/b/3.bin']);
      assert.deepEqual(await paths('**/*.txt'), ['a/1.txt', 'a/b/2.txt']);
      assert.deepEqual(await paths('*.txt'), []);
      assert.deepEqual(await paths('a/**/*.txt', '/ws/a/*.txt'), ['a/1.txt', 'a/b/2.txt']);
      assert.deepEqual(await paths('etc/passwd'), []);
      await assert.rejects(paths('etc'), /symbolic link/);
      await assert.rejects(paths('/etc/passwd'), /outside the workspace/);
      await assert.rejects(paths('a/../../x'), /outside the workspace/);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
