// `npm run demo`: the main job, end to end, on embedded defaults in a fresh data directory.
//   -- --exit       stop when done; exit status 0 only if every step did what it says
//   -- --json       one JSON document: {ok, steps: [{name, ok, evidence}]}
//   -- --out DIR    leave there what an outsider needs to check
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createReporter, type Evidence, type Step } from './demo/report.ts';
import { createStage, type Stage, stopStage, waybill } from './demo/stage.ts';
import { inspectRelease, tryUploads, watchBuild } from './demo/steps-build.ts';
import { deploy, type Deployment, promote, traceAndTamper } from './demo/steps-release.ts';
import { createProject, firstStart, type People, pushSample, pushThroughGate } from './demo/steps-source.ts';

const VERSION = '1.0.0';
const PREFERRED_PORT = 8443;

const { values: flags } = parseArgs({
  options: { exit: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' }, keep: { type: 'boolean' } },
});
const reporter = createReporter(flags.json === true);
const steps: Step[] = [];
const started = Date.now();

/** One step: its line, its evidence. After a failure nothing more is tried, and the steps left out are not listed as done. */
async function step<T>(name: string, work: () => Promise<{ evidence: Evidence; value: T }>): Promise<T> {
  reporter.begin(steps.length + 1, name);
  const begun = Date.now();
  const seconds = () => (Date.now() - begun) / 1000;
  try {
    const { evidence, value } = await work();
    const done = { name, ok: true, evidence };
    steps.push(done);
    reporter.end(done, seconds());
    return value;
  } catch (error) {
    const failed = { name, ok: false, evidence: { error: error instanceof Error ? error.message : String(error) } };
    steps.push(failed);
    reporter.end(failed, seconds());
    throw error;
  }
}

const stage = await createStage(undefined);
const out = resolve(flags.out ?? join(stage.dir, 'out'));
let deployment: Deployment | undefined;
let passed = false;
try {
  deployment = await mainJob(stage);
  passed = true;
} catch (error) {
  if (steps.every((one) => one.ok)) throw error;
}
reporter.finish(steps, stage.url, (Date.now() - started) / 1000);
if (passed && flags.exit !== true && flags.json !== true) await keepRunning(stage);
deployment?.agent.kill('SIGTERM');
await stopStage(stage, flags.keep === true || !passed);
if (!passed && flags.json !== true) process.stderr.write(`What the programs said is in ${stage.dir}\n`);
process.exitCode = passed ? 0 : 1;

async function mainJob(on: Stage): Promise<Deployment> {
  const people: People = await step('First start: keys, an internal CA, one-time owner enrolment', async () => {
    const { people: value, evidence } = await firstStart(on, `127.0.0.1:${await choosePort()}`);
    return { value, evidence };
  });
  await step('A project, and a developer’s signing key', async () => ({
    value: undefined,
    evidence: await createProject(on, people),
  }));
  await step('The sample project is pushed with stock git over HTTPS', async () => {
    const { clone, evidence } = await pushSample(on, people);
    return { value: clone, evidence };
  });
  const commit = await step('The gate refuses three pushes and accepts the good one', async () => {
    const { commit: value, evidence } = await pushThroughGate(on, people, VERSION);
    return { value, evidence };
  });
  const run = await step('The workflow is built in the sandbox', async () => {
    const { run: value, evidence } = await watchBuild(on, people, commit);
    return { value, evidence };
  });
  const artifacts = await step('The control plane hashes, publishes, signs and logs what came out', async () => {
    const { artifacts: value, evidence } = await inspectRelease(on, people, run, out);
    return { value, evidence };
  });
  const program = artifacts.find((artifact) => artifact.name.endsWith('/hello')) ?? artifacts[0]!;
  await step('A hand-made upload is refused by release, and stuck in the playground', async () => ({
    value: undefined,
    evidence: await tryUploads(on, people, program, out),
  }));
  await step('Promotion: dev, staging, production with an approval', async () => ({
    value: undefined,
    evidence: await promote(on, people, program),
  }));
  const running = await step('Deployment: verified offline, started, and its drift noticed', async () => {
    const { deployment: value, evidence } = await deploy(on, people, program, out);
    return { value, evidence };
  });
  await step('Trace: the whole chain; then three tamperings, each named', async () => ({
    value: undefined,
    evidence: await traceAndTamper(on, people, program, running, out),
  }));
  await leaveForOutsiders(people);
  return running;
}

async function leaveForOutsiders(people: People): Promise<void> {
  const ledger = await waybill(people.owner, ['ledger', 'status']);
  await writeFile(join(out, 'checkpoint'), String(ledger['checkpoint']));
  await writeFile(join(out, 'ledger.vkey'), `${String(ledger['vkey'])}\n`);
}

async function keepRunning(on: Stage): Promise<void> {
  reporter.note('');
  reporter.note(`The server is still running at ${on.url} (its CA: ${on.caFile}).`);
  reporter.note(`Evidence for outsiders is in ${out}. Ctrl-C stops everything and removes the data directory.`);
  await new Promise<void>((done) => {
    process.once('SIGINT', () => done());
    process.once('SIGTERM', () => done());
  });
}

async function choosePort(): Promise<number> {
  const listen = (port: number) =>
    new Promise<number>((done) => {
      const probe = createServer();
      probe.once('error', () => done(0));
      probe.listen(port, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => done(typeof address === 'object' && address ? address.port : 0));
      });
    });
  return (await listen(PREFERRED_PORT)) || (await listen(0));
}
