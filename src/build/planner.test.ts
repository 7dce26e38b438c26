import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { evaluate, evaluateCondition } from './expressions.ts';
import { isTriggered } from './plan.ts';
import { createPlanner } from './planner.ts';

const planner = createPlanner();
after(() => planner.close());
const plan = (content: string) => planner.plan([{ path: 'w.yml', content }]);
const status = { success: true, failure: false, cancelled: false };
const steps = (text: string): string => `on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n${text}`;

describe('planner', () => {
  test('every supported part of a file is in its plan', async () => {
    const { plans, problems } = await plan(`name: n
on: {push: {branches: [main, 'release/**']}}
env: {A: 1}
defaults: {run: {shell: sh, working-directory: d}}
jobs:
  a:
    name: First
    runs-on: [self-hosted, linux]
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@v4
      - {id: x, name: N, run: make, env: {B: "\${{ env.A }}"}, if: always(), continue-on-error: true, timeout-minutes: 2}
  b: {needs: [a], runs-on: ubuntu-latest, steps: [{run: "true", shell: bash}]}
`);
    assert.deepEqual(problems, []);
    const [a, b] = plans[0]!.jobs;
    assert.deepEqual([a!.name, a!.timeoutMinutes, b!.needs], ['First', 5, ['a']]);
    const step = a!.steps[1]!;
    assert.deepEqual(step, {
      kind: 'run',
      id: 'x',
      name: { text: 'N' },
      condition: 'always()',
      env: { B: { expression: 'env.A' } },
      continueOnError: true,
      timeoutMinutes: 2,
      script: { text: 'make' },
      shell: 'sh',
      workingDirectory: { text: 'd' },
    });
  });

  test('whatever is not supported is refused at its line and column', async () => {
    const cases: readonly (readonly [string, number, number, RegExp])[] = [
      ['on: [push, pull_request]\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}', 1, 12, /pull_request/],
      ['on: push\nconcurrency: x\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}', 2, 1, /concurrency/],
      ['on: push\njobs: {a: {runs-on: windows-latest, steps: [{run: x}]}}', 2, 12, /windows/],
      ['on: push\njobs: {a: {runs-on: ubuntu-latest, container: x, steps: [{run: x}]}}', 2, 36, /container/],
      [steps('      - uses: some/action@v1'), 6, 15, /some\/action/],
      [steps('      - run: echo ${{ secrets.X }}'), 6, 14, /secrets/],
      [steps('      - run: echo ${{ github.event.head_commit.message }}'), 6, 14, /outsider/],
      [steps('      - run: echo ${{ toJSON(github) }}'), 6, 14, /outsider/],
      [steps("      - run: echo ${{ github['ref_name'] }}"), 6, 14, /outsider/],
      [steps('      - {run: x, shell: pwsh}'), 6, 18, /pwsh/],
      [steps('      - {uses: actions/checkout@v4, with: {ref: other}}'), 6, 44, /ref/],
      ['on: push\njobs: {a: {needs: z, runs-on: ubuntu-latest, steps: [{run: x}]}}', 0, 0, /z/],
      ['on: push\njobs: {a: {runs-on: ubuntu-latest}}', 0, 0, /.+/],
      ['jobs: [', 0, 0, /.+/],
    ];
    for (const [text, line, column, message] of cases) {
      const { plans, problems } = await plan(text);
      assert.deepEqual(plans, [], text);
      const problem = problems.find((one) => message.test(one.message));
      assert.ok(problem, `${text}\n${JSON.stringify(problems)}`);
      if (line > 0) assert.deepEqual([problem.line, problem.column], [line, column], text);
    }
  });

  test('a workflow without jobs is refused, and so is not tried again for ever', async () => {
    const { plans, problems } = await plan('name: n\non: push\njobs: {}\n');
    assert.deepEqual(plans, []);
    assert.match(problems[0]!.message, /without jobs/);
  });

  test('a bomb of aliases, a huge file and a deep one cost no memory and no time', async () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghijk'
      .split('')
      .map((name, index) => `${name}: &${name} [${Array(12).fill(`*${'abcdefghij'[index]}`).join(',')}]`)
      .join('\n')}`;
    const startedAt = performance.now();
    for (const text of [bomb, `# ${'x'.repeat(600_000)}`, ' '.repeat(400) + 'a: b'])
      assert.ok((await plan(text)).problems.length > 0);
    assert.ok(performance.now() - startedAt < 2_000);
    assert.equal((await plan(steps('      - run: "true"'))).plans.length, 1);
  });

  test('branch and tag filters decide as GitHub documents', () => {
    const none = { branches: null, branchesIgnore: null, tags: null, tagsIgnore: null };
    assert.equal(isTriggered(none, 'refs/tags/v1'), true);
    assert.equal(isTriggered({ ...none, tags: ['v*'] }, 'refs/heads/main'), false);
    assert.equal(isTriggered({ ...none, tags: ['v*'] }, 'refs/tags/v1.2'), true);
    assert.equal(isTriggered({ ...none, branches: ['release/**', '!release/old'] }, 'refs/heads/release/a/b'), true);
    assert.equal(isTriggered({ ...none, branches: ['release/**', '!release/old'] }, 'refs/heads/release/old'), false);
    assert.equal(isTriggered({ ...none, branches: ['release/*'] }, 'refs/heads/release/a/b'), false);
    assert.equal(isTriggered({ ...none, branchesIgnore: ['main'] }, 'refs/heads/main'), false);
  });
});

describe('expressions', () => {
  test('every doubled quote of a text is one quote, not only the first', () => {
    assert.equal(evaluate("format('a ''b'' ''c'' {0}', github.sha)", { github: { sha: 'x' } }, status), "a 'b' 'c' x");
  });

  test('any text survives being quoted in an expression', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.equal(evaluate(`'${text.replaceAll("'", "''")}'`, {}, status), text);
      }),
    );
  });

  test('a condition without a status function asks for success as well', () => {
    const failedStatus = { success: false, failure: true, cancelled: false };
    assert.equal(evaluateCondition("github.ref == 'x'", { github: { ref: 'x' } }, status), true);
    assert.equal(evaluateCondition("github.ref == 'x'", { github: { ref: 'x' } }, failedStatus), false);
    assert.equal(evaluateCondition('${{ failure() }}', {}, failedStatus), true);
    assert.equal(evaluateCondition(null, {}, failedStatus), false);
    assert.equal(evaluateCondition('always()', {}, failedStatus), true);
  });
});
