import type { z } from 'zod';
import { digestOf } from '#base';
import { type Assignment, buildContract } from '#build';
import { artifactContract } from '#artifact';
import { inHouse, ofCall } from './attempt.ts';
import type { Attempt, Drill } from './drill.ts';
import { type House, PROJECT } from './house.ts';

type Claimed = z.output<typeof Assignment>;

/** A runner that somebody took over: it holds the credential, claims jobs, and does with their tokens what it likes. */
async function claimJob(house: House, name: string, tag: string): Promise<Claimed> {
  await tagCommit(house, tag, { 'README.md': `for ${tag}\n` });
  const digest = digestOf('a sandbox that is none');
  const runner = house.as(await house.machine(name, 'runner'));
  const { assignment } = await runner.call(buildContract.claim, {
    body: {
      sandbox: {
        profile: digest,
        filter: digest,
        bubblewrap: 'none',
        kernel: 'none',
        selfTest: { ok: true, checks: 1, failed: [] },
        toolchain: [],
      },
      waitSeconds: 20,
    },
  });
  if (!assignment) throw new Error('there was no job to claim');
  return assignment;
}

async function putOutput(house: House, token: string, job: string, content: string, name = 'tool'): Promise<string> {
  const query = { file: 'tool', mediaType: 'application/octet-stream' };
  const input = { params: { job, name }, query };
  const put = await house.as(token).upload(buildContract.putOutput, input, { content: Buffer.from(content) });
  return put.digest;
}

async function complete(house: House, { token, job }: Claimed, digest: string): Promise<void> {
  await house.as(token).call(buildContract.complete, {
    params: { job },
    body: {
      result: 'success',
      reason: '',
      steps: [],
      log: { size: 0, digest: digestOf('') },
      outputs: [{ name: 'tool', digest }],
      values: {},
    },
  });
}

async function finishHonestly(house: House, job: Claimed, content: string): Promise<string> {
  await complete(house, job, await putOutput(house, job.token, job.job, content));
  return 'the job itself sends its output and ends';
}

const jobTokens: readonly Drill[] = [
  inHouse({
    id: 'job-token-after-end',
    title: 'A job’s token used after the job has ended',
    threats: ['A9', 'B31', 'SEC-6', 'ULTRALYTICS-2024'],
    control: 'a job’s token ends with the job',
    refusal: /^(identity\.unauthenticated|build\.job_token_ended)$/,
    controlOff: { build: { tokenEnds: false } },
    alone: true,
    async prepare(house) {
      const job = await claimJob(house, 'runner-a', 'v1');
      await finishHonestly(house, job, 'honest');
      return job;
    },
    async attack(house, _stage, job) {
      return await ofCall(() => putOutput(house, job.token, job.job, 'made afterwards', 'late'));
    },
    legitimate: async (house) => finishHonestly(house, await claimJob(house, 'runner-b', 'v2'), 'honest too'),
  }),
  inHouse({
    id: 'job-token-for-other-job',
    title: 'A job’s token used for the outputs of another job',
    threats: ['A9', 'B3', 'SEC-5', 'SEC-6'],
    control: 'a job’s token is good for that job alone',
    refusal: /^build\.job_token_ended$/,
    controlOff: { build: { tokenOfOneJob: false } },
    alone: true,
    prepare: async (house) => ({
      mine: await claimJob(house, 'runner-a', 'v1'),
      other: await claimJob(house, 'runner-b', 'v2'),
    }),
    async attack(house, _stage, { mine, other }) {
      return await ofCall(() => putOutput(house, mine.token, other.job, 'from somebody else'));
    },
    legitimate: async (house) => finishHonestly(house, await claimJob(house, 'runner-c', 'v3'), 'its own'),
  }),
  inHouse({
    id: 'job-token-reads-releases',
    title: 'A job’s token used to read and write artifacts',
    threats: ['A23', 'SEC-5', 'SEC-6'],
    control: 'nothing without a permission',
    refusal: /^identity\.forbidden$/,
    controlOff: { identity: { authorization: false } },
    alone: true,
    prepare: (house) => claimJob(house, 'runner-a', 'v1'),
    async attack(house, _stage, { token }) {
      const params = { project: PROJECT, repository: 'playground' as const };
      const query = { name: `${PROJECT}/evil`, version: '1', file: 'evil' };
      const content = { content: Buffer.from('evil') };
      return await ofCall(() => house.as(token).upload(artifactContract.uploadArtifact, { params, query }, content));
    },
    legitimate: async (house) => finishHonestly(house, await claimJob(house, 'runner-b', 'v2'), 'its own'),
  }),
];

/** On the real runner: the outputs are there before the last step fails. */
async function runToTheEnd(house: House, commit: string): Promise<Attempt> {
  await house.startRunner();
  const { run, state } = await house.awaitRun(commit);
  await house.server.platform.journal.idle();
  const { items } = await house.developer.client.call(artifactContract.listArtifacts, { query: { run } });
  const published = items.filter(({ kind }) => kind === 'release');
  const detail = `the run is a ${state}; ${published.length} of its files were published`;
  return { succeeded: published.length > 0, code: `run ${state}`, detail };
}

async function tagCommit(house: House, tag: string, files: Readonly<Record<string, string>>): Promise<string> {
  const { maintainer } = house;
  await maintainer.reset();
  const commit = await maintainer.commit({ files });
  await maintainer.git('tag', '-s', '-m', tag, tag);
  const ran = await maintainer.push('HEAD:main', tag);
  if (ran.status !== 0) throw new Error(ran.stderr);
  return commit;
}

export const buildDrills: readonly Drill[] = [
  ...jobTokens,
  inHouse({
    id: 'failed-run-publishes',
    title: 'A run that fails after it handed in its outputs',
    threats: ['TANSTACK-2026', 'SLSA-E', 'SEC-4'],
    control: 'only successful runs publish',
    refusal: /^run failure$/,
    controlOff: { build: { successOnly: false }, publisher: { successOnly: false } },
    alone: true,
    prepare: (house) => tagCommit(house, 'vfail', { 'after.sh': 'exit 1\n' }),
    attack: (house, _stage, commit) => runToTheEnd(house, commit),
    async legitimate(house) {
      const published = await house.release('vgood', { 'after.sh': 'true\n' });
      if (published.length !== 2) throw new Error('the next run did not publish');
      return 'the next run succeeds and publishes';
    },
  }),
];
