import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Check, type Digest, faultPoint, newId, type Problem } from '#base';
import { ensureDirectory } from '#storage';
import type { Agent, AgentOptions, Program } from './options.ts';
import { openPlaces, placeFile, type Places, switchLink } from './place.ts';
import { type Exit, findOrphans, isAlive, logPath, type ProcessMark, startProgram, stopProgram } from './process.ts';
import type { PlanItem } from './protocol.ts';
import {
  asProblem,
  checkFrom,
  deliver,
  isTransient,
  Refusal,
  refuse,
  reportStopped,
  send,
  shortened,
  tell,
} from './report.ts';
import { openState, type Running } from './state.ts';
import { verifyDeployable } from './verify.ts';
import { inspect } from './watch.ts';

const PLAN_MS = 1000;
const WATCH_MS = 500;
const RETRY_MS = 10_000;

/**
 * Runs until the signal aborts. One loop brings the host to what the plan says, one looks again and again whether what was
 * verified is still what is there, one tells the server. Killed at any moment, the next start goes on from the state file and
 * from what really runs.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { directory, signal } = options;
  const places = await openPlaces(directory);
  const file = await openState(directory);
  const agent: Agent = {
    options,
    places,
    file,
    stamps: new Map(),
    retryAt: new Map(),
    exits: new Map(),
    stopping: new Set(),
  };
  await resume(agent);
  await Promise.all([
    repeat(options.planMs ?? PLAN_MS, signal, () => followPlan(agent)),
    repeat(options.watchMs ?? WATCH_MS, signal, () => look(agent)),
    // Apart from the looking, so that a server that does not answer makes nobody blind.
    repeat(options.watchMs ?? WATCH_MS, signal, () => deliver(agent)),
  ]);
  await stopAll(agent);
}

/** What goes wrong in one round is told and tried again in the next; only our own mistakes end the agent. */
async function repeat(ms: number, signal: AbortSignal, round: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await round();
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }
}

/** After a restart: what still runs is taken over, what ended is reported, and is started anew from the plan. */
async function resume(agent: Agent): Promise<void> {
  const { state } = agent.file;
  const known = Object.values(state.running).flatMap(({ process: mark }) => (mark ? [mark.pid] : []));
  // Started in the instant before the agent was killed: nothing vouches for them.
  for (const orphan of await findOrphans(agent.places.store, known)) await stopProgram(orphan);
  for (const [name, running] of Object.entries(state.running)) {
    if (running.ended) delete state.running[name];
    if (running.ended || running.process === null || (await isAlive(running.process))) continue;
    reportStopped(agent, name, running, 'gone', 'it was not there when the agent came back');
    delete state.running[name];
  }
  await agent.file.save();
}

async function followPlan(agent: Agent): Promise<void> {
  const { options } = agent;
  try {
    const plan = await options.api.plan();
    for (const item of plan.items) {
      if (options.signal.aborted) return;
      if (item.name in options.programs || options.files?.includes(item.name)) await bring(agent, item);
    }
  } catch (error) {
    tell(agent, { kind: 'trouble', problem: asProblem(error) });
  }
}

/** Verify, place, switch, start, remember: in this order, and only forward if the step before said yes. */
async function bring(agent: Agent, item: PlanItem): Promise<void> {
  const { file, options, places } = agent;
  const { state } = file;
  const current = state.running[item.name];
  if (current?.item.order === item.order && current.item.digest === item.digest) return;
  if ((agent.retryAt.get(item.name) ?? 0) > Date.now()) return;
  try {
    const checks = await verify(agent, item);
    const digest = item.digest as Digest;
    const hashing = options.controls?.hash !== false;
    const path = await placeFile(places, { ...item, digest }, () => options.api.artifact(item), hashing);
    faultPoint('agent.after_place');
    if (current) await replace(agent, item.name, current);
    await switchLink(places, item.name, digest);
    await begin(agent, item, path, checks);
    agent.retryAt.delete(item.name);
  } catch (error) {
    agent.retryAt.set(item.name, Date.now() + RETRY_MS);
    const problem = asProblem(error);
    if (isTransient(problem)) tell(agent, { kind: 'trouble', problem });
    else await refuse(agent, item, error instanceof Refusal ? error.checks : [checkFrom(problem)]);
  }
}

async function verify({ options }: Agent, item: PlanItem): Promise<readonly Check[]> {
  if (options.controls?.verify === false) return [];
  const [provenance, summary] = await Promise.all([
    options.api.bundle(item.provenance as Digest),
    options.api.bundle(item.summary as Digest),
  ]);
  const verdict = verifyDeployable(options.pins, item, { provenance, summary });
  if (!verdict.ok) throw new Refusal(verdict.checks);
  return verdict.checks;
}

async function begin(agent: Agent, item: PlanItem, path: string, checks: readonly Check[]): Promise<void> {
  const { options, file, places } = agent;
  const program = options.programs[item.name];
  const deployment = newId('dep');
  const running: Running = { deployment, item, path, process: null, drift: [], ended: false };
  let problem: Problem | undefined;
  if (program) {
    try {
      running.process = await start(agent, running, program, places);
    } catch (error) {
      problem = asProblem(error);
      running.ended = true;
    }
  }
  file.state.running[item.name] = running;
  delete file.state.refused[item.name];
  const { promotion, artifact, digest, name, version, provenance, summary } = item;
  send(agent, {
    kind: 'verified',
    report: newId('rpt'),
    seenAt: Date.now(),
    deployment,
    promotion,
    artifact,
    digest,
    name,
    version,
    provenance,
    summary,
    path,
    started: running.process !== null,
    checks: checks.map(shortened),
  });
  tell(agent, { kind: 'deployed', name, version, digest, path, pid: running.process?.pid ?? null });
  if (problem) reportStopped(agent, name, running, 'start_failed', `${problem.code}: ${problem.message}`);
  await file.save();
}

async function start(agent: Agent, running: Running, program: Program, places: Places): Promise<ProcessMark> {
  const { name, digest } = running.item;
  const workingDirectory = join(agent.options.directory, 'work', name.replaceAll('/', '~'));
  await ensureDirectory(workingDirectory, 0o755);
  return await startProgram({
    path: running.path,
    digest: digest as Digest,
    args: program.args ?? [],
    environment: program.environment ?? {},
    workingDirectory,
    log: logPath(places.logs, name),
    hashing: agent.options.controls?.hash !== false,
    onExit: (exit) => agent.exits.set(running.deployment, exit),
  });
}

/** The old one ends before the new one starts: they may want the same port. */
async function replace(agent: Agent, name: string, running: Running): Promise<void> {
  agent.stopping.add(running.deployment);
  if (running.process && !running.ended) await stopProgram(running.process);
  if (!running.ended) reportStopped(agent, name, running, 'replaced', 'another version was to run');
  delete agent.file.state.running[name];
  await agent.file.save();
}

/** One look at everything that runs, then whatever there is to say is said. */
async function look(agent: Agent): Promise<void> {
  const { file, places, options } = agent;
  let changed = false;
  for (const [name, running] of Object.entries(file.state.running)) {
    if (agent.stopping.has(running.deployment)) continue;
    const drifts = options.controls?.hash === false ? [] : await inspect(places, name, running, agent.stamps);
    for (const drift of drifts) {
      if (running.drift.includes(drift.kind)) continue;
      changed = true;
      running.drift.push(drift.kind);
      const { kind, path, expected, found } = drift;
      tell(agent, { kind: 'drifted', name, drift: kind, path, expected, found });
      const { deployment, item } = running;
      const about = { report: newId('rpt'), seenAt: Date.now(), deployment, digest: item.digest };
      send(agent, { kind: 'drifted', ...about, drift: kind, path, expected, found });
      if (options.onDrift === 'stop') await stopDrifted(agent, name, running);
    }
    if (
      running.process &&
      !running.ended &&
      !(await isAlive(running.process)) &&
      !agent.stopping.has(running.deployment)
    ) {
      changed = true;
      const exit = agent.exits.get(running.deployment);
      const reason = exit === undefined ? 'gone' : exit.signal === null ? 'exited' : 'killed';
      reportStopped(agent, name, running, reason, describeExit(exit));
    }
  }
  if (changed) await file.save();
}

async function stopDrifted(agent: Agent, name: string, running: Running): Promise<void> {
  if (!running.process || running.ended) return;
  await stopProgram(running.process);
  reportStopped(agent, name, running, 'drifted', 'what was verified was altered');
}

const describeExit = (exit: Exit | undefined) => {
  if (exit === undefined) return 'it ended while the agent was not looking';
  return exit.signal === null ? `exit status ${exit.code}` : `signal ${exit.signal}`;
};

/** The agent is asked to end: so are its programs. */
async function stopAll(agent: Agent): Promise<void> {
  for (const [name, running] of Object.entries(agent.file.state.running)) {
    if (!running.process || running.ended) continue;
    await stopProgram(running.process);
    reportStopped(agent, name, running, 'agent_stopped', 'the agent was asked to end');
  }
  await agent.file.save();
  await deliver(agent);
}
