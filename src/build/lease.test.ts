import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { digestOf, Problem } from '#base';
import { rebuildAndCompare } from '#journal';
import type { PushAccepted } from '#source';
import type { Assignment } from './assignment.ts';
import { leaseTimes } from './assignment.ts';
import { bytesOf, type House, sandboxRecord, withHouse as withSigningHouse, workflow } from './testhouse.ts';
import { planPush } from './worker.ts';

const withHouse = (work: (house: House) => Promise<void>) => withSigningHouse(work, { signing: false });
const claim = async (house: House): Promise<Assignment> =>
  (await house.api.claim({ sandbox: sandboxRecord, waitSeconds: 0 }))!;
const report = {
  result: 'success' as const,
  reason: '',
  steps: [],
  log: { size: 0, digest: digestOf('') },
  outputs: [],
  values: {},
};
const refusedWith =
  (...codes: string[]) =>
  (error: unknown) =>
    Problem.is(error) && codes.includes(error.code);

describe('jobs, leases and credentials', () => {
  test('a token replayed after its job has ended is worth nothing', () =>
    withHouse(async (house) => {
      await house.push(workflow('- run: "true"'));
      const assignment = await claim(house);
      const attempt = house.api.attempt(assignment);
      await attempt.heartbeat();
      await attempt.complete(report);
      assert.equal(await house.build.authenticateJob(assignment.token, { kind: 'http' }), undefined);
      for (const use of [
        attempt.heartbeat(),
        attempt.fetchSource(),
        attempt.appendLog(0, Buffer.from('x')),
        attempt.complete(report),
      ]) {
        await assert.rejects(use, refusedWith('build.job_token_ended'));
      }
    }));

  test('an attempt whose lease ran out is fenced by the next one; after three the job has failed', () =>
    withHouse(async (house) => {
      const { runs } = await house.push(workflow('- run: "true"'));
      const first = await claim(house);
      assert.equal(await house.api.claim({ sandbox: sandboxRecord, waitSeconds: 0 }), null);
      house.clock.ahead += leaseTimes.leaseMs + 1;
      const second = await claim(house);
      assert.deepEqual([second.job, second.attempt], [first.job, 2]);
      await assert.rejects(house.api.attempt(first).complete(report), refusedWith('build.job_token_ended'));
      await assert.rejects(
        house.api.attempt(first).putOutput({ name: 'x', file: 'x', mediaType: 'x' }, bytesOf('late'), 4),
        refusedWith('build.job_token_ended'),
      );
      house.clock.ahead += leaseTimes.leaseMs + 1;
      assert.equal((await claim(house)).attempt, 3);
      house.clock.ahead += leaseTimes.leaseMs + 1;
      assert.equal(await house.api.claim({ sandbox: sandboxRecord, waitSeconds: 0 }), null);
      const run = await house.build.showRun(house.owner, runs[0]!);
      assert.deepEqual([run.state, run.jobs[0]!.reason], ['failure', 'its runner was lost 3 times']);
    }));

  test('two runners that claim at the same time get two jobs, never one twice', () =>
    withHouse(async (house) => {
      for (let push = 0; push < 3; push++) await house.push(workflow(`- run: echo ${push}`));
      const claims = await Promise.all(
        [1, 2, 3, 4].map(() => house.api.claim({ sandbox: sandboxRecord, waitSeconds: 0 })),
      );
      const jobs = claims.filter((one) => one !== null).map(({ job }) => job);
      assert.equal(new Set(jobs).size, jobs.length);
    }));

  test('a token of one job opens no other job, and people and runners open none', () =>
    withHouse(async (house) => {
      await house.push(workflow('- run: "true"'));
      await house.push(workflow('- run: "false"'));
      const [one, two] = [await claim(house), await claim(house)];
      const thief = (await house.build.authenticateJob(one.token, { kind: 'http' }))!;
      for (const caller of [thief, house.owner, house.runner]) {
        await assert.rejects(house.build.heartbeat(caller, two.job), refusedWith('build.job_token_ended'));
      }
    }));

  test('what the runner claims must be what arrived', () =>
    withHouse(async (house) => {
      await house.push(workflow('- run: "true"'));
      const attempt = house.api.attempt(await claim(house));
      await attempt.appendLog(0, Buffer.from('half'));
      await assert.rejects(attempt.appendLog(9, Buffer.from('later')), refusedWith('build.log_gap'));
      await assert.rejects(attempt.complete(report), refusedWith('build.log_incomplete'));
      const log = { size: 4, digest: digestOf('half') };
      const { digest } = await attempt.putOutput(
        { name: 'out', file: 'out', mediaType: 'text/plain' },
        bytesOf('data'),
        4,
      );
      assert.equal(digest, digestOf('data'));
      await assert.rejects(
        attempt.putOutput({ name: 'out', file: 'out', mediaType: 'text/plain' }, bytesOf('other'), 5),
        refusedWith('build.output_name_taken'),
      );
      await assert.rejects(attempt.complete({ ...report, log }), refusedWith('build.outputs_differ'));
      await assert.rejects(
        attempt.complete({ ...report, log, outputs: [{ name: 'out', digest: digestOf('other') }] }),
        refusedWith('build.outputs_differ'),
      );
      await attempt.complete({ ...report, log, outputs: [{ name: 'out', digest: digestOf('data') }] });
    }));

  test('a repeated chunk of the log is stored once, and whoever follows sees all of it to the end', () =>
    withHouse(async (house) => {
      const { runs } = await house.push(workflow('- run: "true"'));
      const assignment = await claim(house);
      const attempt = house.api.attempt(assignment);
      const follow = await house.build.followLog(house.owner, assignment.job, 0, AbortSignal.timeout(10_000));
      const seen = (async () => {
        let text = '';
        for await (const chunk of follow) text += chunk.text;
        return text;
      })();
      await attempt.appendLog(0, Buffer.from('one\ntw'));
      await attempt.appendLog(0, Buffer.from('one\ntwo ✓\n'));
      const log = { size: 12, digest: digestOf('one\ntwo ✓\n') };
      await attempt.complete({ ...report, log });
      assert.equal(await seen, 'one\ntwo ✓\n');
      const rest = await house.build.followLog(house.owner, assignment.job, 4, AbortSignal.timeout(10_000));
      assert.equal((await rest.next()).value?.text, 'two ✓\n');
      assert.equal((await house.build.showRun(house.owner, runs[0]!)).jobs[0]!.log?.digest, log.digest);
    }));

  test('cancelling ends the run at once, and the runner’s credential with it', () =>
    withHouse(async (house) => {
      const { runs } = await house.push(workflow('- run: "true"'));
      const attempt = house.api.attempt(await claim(house));
      await assert.rejects(house.build.cancelRun(house.owner, runs[0]!), refusedWith('identity.forbidden'));
      const { enrolment } = await house.identity.invitePerson(house.owner, {
        name: 'dev',
        emails: [],
        grants: [{ role: 'developer', project: 'acme' }],
      });
      const { token } = await house.identity.redeemEnrolment(enrolment, { kind: 'http' }, 'access');
      const developer = (await house.identity.authenticate(token, { kind: 'http' }))!;
      await house.build.cancelRun(developer, runs[0]!);
      await assert.rejects(attempt.complete(report), refusedWith('build.job_token_ended'));
      assert.equal((await house.build.showRun(developer, runs[0]!)).state, 'cancelled');
      await assert.rejects(house.build.cancelRun(developer, runs[0]!), refusedWith('build.run_over'));
    }));

  test('a runner without the right, or with a sandbox that did not pass, gets no work', () =>
    withHouse(async (house) => {
      await house.push(workflow('- run: "true"'));
      const signal = new AbortController().signal;
      const request = { sandbox: sandboxRecord, waitSeconds: 0 };
      await assert.rejects(house.build.claim(house.owner, request, signal), refusedWith('identity.forbidden'));
      const unfit = { ...sandboxRecord, selfTest: { ok: false, checks: 1, failed: ['no capabilities: CapEff'] } };
      await assert.rejects(
        house.build.claim(house.runner, { ...request, sandbox: unfit }, signal),
        refusedWith('build.runner_unfit'),
      );
    }));

  test('a push that is planned twice makes one run, and a file that cannot run is refused with its place', () =>
    withHouse(async (house) => {
      await house.push(workflow('- run: "true"'));
      const [fact] = await house.journal.read({ after: 0, limit: 1, types: ['source.push_accepted'] });
      await planPush(house.build.parts, fact as typeof fact & { payload: PushAccepted });
      assert.equal((await house.build.listRuns(house.owner, { limit: 10 })).items.length, 1);
      const { runs } = await house.push(workflow('- uses: evil/action@v1\n- run: echo ${{ github.ref_name }}'));
      assert.deepEqual(runs, []);
      const [refusal] = await house.build.listRefusals(house.owner, 'acme');
      assert.deepEqual(
        refusal!.problems.map(({ path, line, column, message }) => [path, line, column, message.slice(0, 26)]),
        [
          ['.github/workflows/ci.yml', 6, 15, 'the action evil/action@v1 '],
          ['.github/workflows/ci.yml', 7, 14, '${{ github.ref_name }} ins'],
        ],
      );
    }));

  test('needs, outputs, conditions, matrix and continue-on-error decide what runs; the tables follow from the facts', () =>
    withHouse(async (house) => {
      const { runs } = await house.push({
        '.github/workflows/ci.yml': `on: push
env: {LEVEL: top}
jobs:
  first:
    runs-on: ubuntu-latest
    outputs: {word: "\${{ steps.say.outputs.word }}"}
    steps:
      - id: say
        env: {LEVEL: "step of \${{ env.LEVEL }}"}
        run: |
          echo "word=it's ''quoted''" >> "$GITHUB_OUTPUT"
          echo 'level' 'is' "$LEVEL"
      - run: exit 1
        continue-on-error: true
      - if: failure()
        run: echo never
      - if: steps.say.outcome == 'success' && always()
        shell: sh
        working-directory: /tmp
        run: pwd
  second:
    needs: first
    runs-on: ubuntu-latest
    strategy: {matrix: {v: [a, b], exclude: [{v: b}], include: [{v: c, extra: 1}]}}
    steps:
      - env: {WORD: "\${{ needs.first.outputs.word }}"}
        run: echo "\${{ matrix.v }} $WORD"
  broken:
    runs-on: ubuntu-latest
    if: github.ref == 'refs/heads/other'
    steps: [{run: exit 1}]
  after:
    needs: broken
    runs-on: ubuntu-latest
    steps: [{run: exit 1}]
`,
      });
      await house.work(3);
      const run = await house.build.showRun(house.owner, runs[0]!);
      const states = Object.fromEntries(run.jobs.map(({ key, state }) => [key, state]));
      assert.deepEqual(states, {
        first: 'success',
        'second (a)': 'success',
        'second (c, 1)': 'success',
        broken: 'skipped',
        after: 'skipped',
      });
      assert.equal(run.state, 'success');
      const first = await house.logOf(runs[0]!, 0);
      assert.match(first, /Z level is step of top$/m);
      assert.match(first, /Z \/tmp$/m);
      assert.doesNotMatch(first, /Z never$/m);
      assert.match(await house.logOf(runs[0]!, 1), /Z a it's ''quoted''$/m);
      const { ok } = await rebuildHolds(house);
      assert.ok(ok);
    }));
});

async function rebuildHolds(house: House): Promise<{ ok: boolean }> {
  const modules = house.modules;
  return await rebuildAndCompare({ db: house.db, modules });
}
