// From `git push` to the first line of the build's log at the client, and what one more step costs. Peer of the first: the plain
// `git push` of the same kind of commit to a bare repository on this disk, which gates, builds and records nothing.
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildContract } from '#build';
import { type House, openHouse } from '#drill';
import { type Benchmark, median, row } from './report.ts';

const exec = promisify(execFile);
const ROUNDS = 9;
const STEPS = 21;

const workflow = (steps: number) => `name: bench
on:
  push:
    branches: [main]
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
${Array.from({ length: steps }, () => '      - run: /bin/true').join('\n')}
`;

export const build: Benchmark = {
  name: 'build',
  async run(say) {
    const house = await openHouse();
    const firstLine: number[] = [];
    const plainPush: number[] = [];
    const jobMs: Record<number, number[]> = { 1: [], [STEPS]: [] };
    try {
      await house.startRunner();
      const bare = join(house.dir, 'bare.git');
      await mkdir(bare);
      await house.maintainer.git('init', '-q', '--bare', bare);
      await measure(house, 1, bare);
      for (let round = 0; round < ROUNDS; round++) {
        say(`round ${round + 1} of ${ROUNDS}`);
        for (const steps of [1, STEPS]) {
          const one = await measure(house, steps, bare);
          jobMs[steps]!.push(one.jobMs);
          if (steps === 1) firstLine.push(one.firstLineMs);
          if (steps === 1) plainPush.push(one.plainPushMs);
        }
      }
    } finally {
      await house.close();
    }
    const perStep = (median(jobMs[STEPS]!) - median(jobMs[1]!)) / (STEPS - 1);
    return [
      row({
        case: 'push → first log line at the client',
        unit: 'ms',
        ours: median(firstLine),
        peer: 'git push alone, local bare repository',
        peerValue: median(plainPush),
        goal: '≤ 150 ms on a quiet machine',
        higherIsBetter: false,
      }),
      row({
        case: 'overhead of one more step (/bin/true)',
        unit: 'ms',
        ours: perStep,
        goal: '≤ 10 ms',
        higherIsBetter: false,
      }),
    ];
  },
};

let change = 0;

async function measure(house: House, steps: number, bare: string) {
  const { maintainer } = house;
  const commit = await maintainer.commit({
    files: { '.github/workflows/bench.yml': workflow(steps), 'change.txt': `${change++}\n` },
  });
  const plainStart = performance.now();
  await exec('git', ['push', '-q', bare, 'HEAD:main', '--force'], {
    cwd: maintainer.clone,
    env: plainEnvironment(maintainer.clone),
  });
  const plainPushMs = performance.now() - plainStart;

  const start = performance.now();
  const pushed = maintainer.push();
  const firstLineMs = await firstLineOf(house, commit, start);
  await pushed;
  const ended = await house.awaitRun(commit);
  const job = ended.jobs[0]!;
  return { plainPushMs, firstLineMs, jobMs: Date.parse(job.finishedAt ?? '') - Date.parse(job.startedAt ?? '') };
}

const plainEnvironment = (home: string) => ({ PATH: '/usr/bin:/bin', HOME: home, GIT_CONFIG_NOSYSTEM: '1' });

async function firstLineOf(house: House, commit: string, start: number): Promise<number> {
  const { client } = house.developer;
  for (;;) {
    const { items } = await client.call(buildContract.listRuns, { query: { project: 'acme', limit: 3 } });
    const found = items.find((one) => one.commit === commit);
    const detail = found && (await client.call(buildContract.showRun, { params: { run: found.run } }));
    const job = detail?.jobs[0];
    if (job) {
      for await (const _event of client.events(buildContract.followLog, { params: { job: job.job } }, {})) break;
      return performance.now() - start;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
