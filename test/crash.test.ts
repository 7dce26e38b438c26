// kill -9 at named points of the main job. After each: started again, the job completes or the user's retry does, exactly once;
// nothing that was acknowledged is lost; journal, log and tables agree.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { artifactContract } from '#artifact';
import { showTrustedRoot } from '#attest';
import { Problem } from '#base';
import { buildContract } from '#build';
import { deployContract } from '#deploy';
import { verifyLedgerNow } from '#ledger';
import { releaseContract } from '#release';
import {
  type FaultPoint,
  install,
  type Installation,
  kill,
  type Program,
  startProgram,
  until,
} from './support/crash.ts';

const WORKFLOW = `name: release
on:
  push:
    tags: ['v*']
jobs:
  release:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cp program out
      - uses: actions/upload-artifact@v4
        with: {name: program, path: out}
`;

/** Where to kill whom. Each lane is an installation of its own; lanes run beside each other, their points one after the other. */
const lanes: Readonly<Record<string, readonly FaultPoint[]>> = {
  runner: [{ name: 'runner.after_claim' }, { name: 'runner.mid_step' }, { name: 'runner.before_complete' }],
  build: [{ name: 'build.after_outputs' }, { name: 'build.after_finished' }, { name: 'build.before_provenance' }],
  source: [
    { name: 'source.before_verdict' },
    { name: 'source.before_recorded' },
    { name: 'source.after_accepted' },
    { name: 'build.after_queued' },
    { name: 'artifact.before_publish' },
    { name: 'artifact.after_publish' },
  ],
  release: [
    { name: 'release.before_promoted' },
    { name: 'release.after_promoted' },
    { name: 'journal.before_record', hit: 4 },
    { name: 'journal.after_record', hit: 5 },
  ],
  ledger: [
    { name: 'ledger.before_tiles', hit: 4 },
    { name: 'ledger.after_tiles', hit: 4 },
    { name: 'ledger.after_checkpoint', hit: 4 },
  ],
};

const WAIT_MS = 100_000;

/** One commit's way, looked at from outside. */
interface Journey {
  tag: string;
  commit: string;
  pushed: boolean;
}

/** Everything a user does, and does again after a crash: each act only if it is not done yet. */
async function travel(house: Installation, journey: Journey, isOver: () => boolean): Promise<void> {
  const { developer } = house;
  const pushed = await developer.git('push', '--porcelain', 'origin', 'HEAD:main', journey.tag);
  journey.pushed ||= pushed.status === 0;
  assert.ok(pushed.status === 0, `git push: ${pushed.stderr}`);
  const look = async (holds: () => Promise<boolean>) => {
    await until(async () => isOver() || (await whileUp(holds)), WAIT_MS);
    if (isOver()) throw new Error('it is gone');
  };
  await look(async () => (await runsOf(house, journey)).some(({ finishedAt }) => finishedAt !== null));
  await look(async () => (await artifactsOf(house, journey)).length > 0);
  const [artifact] = await artifactsOf(house, journey);
  if ((await promotionsOf(house, artifact!.digest)).length === 0) {
    const body = { artifact: artifact!.digest, to: 'dev' };
    await developer.client.call(releaseContract.requestPromotion, { params: { project: 'acme' }, body });
  }
  await look(async () => (await promotionsOf(house, artifact!.digest)).some(({ status }) => status !== 'waiting'));
}

/** A server that is gone answers nothing; that is no answer yet. */
async function whileUp(holds: () => Promise<boolean>): Promise<boolean> {
  try {
    return await holds();
  } catch (error) {
    if (Problem.is(error) && error.kind === 'unavailable') return false;
    throw error;
  }
}

async function runsOf({ developer }: Installation, { tag }: Journey) {
  const { items } = await developer.client.call(buildContract.listRuns, { query: { project: 'acme' } });
  return items.filter(({ ref }) => ref === `refs/tags/${tag}`);
}

async function artifactsOf(house: Installation, journey: Journey) {
  const runs = await runsOf(house, journey);
  const { items } = await house.developer.client.call(artifactContract.listArtifacts, { query: { project: 'acme' } });
  return items.filter((artifact) => runs.some(({ run }) => run === artifact.run));
}

async function promotionsOf({ developer }: Installation, digest: string) {
  const params = { project: 'acme' };
  return (await developer.client.call(releaseContract.listPromotions, { params, query: { digest } })).items;
}

async function prepareCommit({ developer }: Installation, tag: string): Promise<Journey> {
  const files = { '.github/workflows/release.yml': WORKFLOW, program: `#!/bin/sh\n# ${tag}\nexec sleep 600\n` };
  const commit = await developer.commit({ files, message: tag, executable: ['program'] });
  const made = await developer.git('tag', '-s', '-m', tag, tag);
  assert.equal(made.status, 0, made.stderr);
  return { tag, commit, pushed: false };
}

/** Resolves when the point has killed its process: the server, or the runner, whose server is then killed as well. */
async function died(up: Program, { name }: FaultPoint): Promise<void> {
  if (name.startsWith('runner.')) {
    await until(() => up.output().includes('the runner ended (SIGKILL)'), WAIT_MS);
    await kill(up);
  } else {
    assert.equal(await up.ended, 'SIGKILL', up.output());
  }
}

/** What git told the developer is pushed, is. */
async function assertPushed({ developer }: Installation, { tag, commit }: Journey): Promise<void> {
  const { stdout } = await developer.git('ls-remote', 'origin', `refs/tags/${tag}^{}`);
  assert.equal(stdout.split('\t')[0], commit, 'an acknowledged push is lost');
}

async function assertWhole(house: Installation, journey: Journey): Promise<void> {
  const runs = await runsOf(house, journey);
  assert.deepEqual(
    runs.map(({ state, commit }) => ({ state, commit })),
    [{ state: 'success', commit: journey.commit }],
    'one run, and it succeeded',
  );
  const artifacts = await artifactsOf(house, journey);
  assert.equal(artifacts.length, 1, 'one artifact');
  const promotions = await promotionsOf(house, artifacts[0]!.digest);
  assert.deepEqual(
    promotions.map(({ status }) => status),
    ['promoted'],
    'one promotion',
  );
  const verdict = await house.owner.call(verifyLedgerNow);
  assert.ok(verdict.ok, `ledger verify: ${JSON.stringify(verdict.checks.filter(({ status }) => status !== 'passed'))}`);
  assert.deepEqual(await house.verifyTables(), [], 'rebuild --verify');
}

describe('kill -9', { concurrency: 6 }, () => {
  for (const [lane, points] of Object.entries(lanes)) {
    describe(`lane ${lane}`, { concurrency: 1 }, () => {
      let house: Installation;
      let made = 0;
      before(async () => {
        house = await install();
      });
      after(async () => await house.remove());

      for (const point of points) {
        test(`at ${point.name}: what was begun is finished once, and nothing is lost`, async () => {
          const journey = await prepareCommit(house, `v${++made}`);
          const weak = await house.start(point);
          let isOver = false;
          const gone = died(weak, point).finally(() => (isOver = true));
          const trip = travel(house, journey, () => isOver).then(
            () => 'arrived' as const,
            () => 'interrupted' as const,
          );
          const first = await Promise.race([gone.then(() => 'killed' as const), trip]);
          if (first === 'arrived') {
            // The last act of the journey may be the one that kills.
            await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 3000).unref())]);
            if (!isOver) await kill(weak);
            assert.ok(isOver && weak.child.signalCode === 'SIGKILL', `${point.name} was never reached`);
          }
          await gone;
          await trip;
          const up = await house.start();
          try {
            if (journey.pushed) await assertPushed(house, journey);
            await travel(house, journey, () => up.child.exitCode !== null);
            await assertWhole(house, journey);
          } finally {
            await kill(up);
          }
        });
      }

      test('all artifacts of all journeys are there', async () => {
        const up = await house.start();
        try {
          const { items } = await house.developer.client.call(artifactContract.listArtifacts, {
            query: { project: 'acme' },
          });
          assert.equal(items.length, made);
        } finally {
          await kill(up);
        }
      });
    });
  }

  describe('lane agent', () => {
    test('at agent.after_place: the program runs once after the agent is started again', async () => {
      const house = await install();
      const up = await house.start();
      try {
        const journey = await prepareCommit(house, 'v1');
        await travel(house, journey, () => up.child.exitCode !== null);
        const words = await agentWords(house);
        const weak = startProgram(words, { name: 'agent.after_place' });
        assert.equal(await weak.ended, 'SIGKILL', weak.output());
        const agent = startProgram(words);
        const query = { limit: 10 };
        const deployments = async () =>
          (await house.owner.call(deployContract.listDeployments, { params: { project: 'acme' }, query })).items;
        await until(async () => (await deployments()).length > 0, WAIT_MS);
        assert.deepEqual(
          (await deployments()).map(({ status }) => status),
          ['running'],
        );
        agent.child.kill('SIGTERM');
        assert.equal(await agent.ended, 'status 0', agent.output());
        await assertWhole(house, journey);
      } finally {
        await kill(up);
        await house.remove();
      }
    });
  });
});

async function agentWords(house: Installation): Promise<string[]> {
  const credential = await house.machine('agent-1', 'agent');
  const params = { project: 'acme', environment: 'dev' };
  const body = { name: 'host-1', agent: 'agent-1' };
  const { id } = await house.owner.call(deployContract.createTarget, { params, body });
  const root = join(house.dir, 'trusted_root.json');
  await writeFile(root, JSON.stringify(await house.owner.call(showTrustedRoot)));
  return [
    ...['agent', 'start', '--server', house.url, '--ca', join(house.data, 'ca.pem'), '--credential', credential],
    ...['--target', id, '--environment', 'acme/dev', '--trusted-root', root, '--directory', join(house.dir, 'host')],
    ...['--start', 'acme/hello/program'],
  ];
}
