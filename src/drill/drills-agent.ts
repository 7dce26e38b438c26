import { chmodSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Digest, digestOf, hexOf } from '#base';
import { agentApi, deployContract, type AgentEvent, type AgentOptions, type Plan, runAgent } from '#deploy';
import { openPlatform } from '#server';
import { systemActor } from '#journal';
import { artifactContract } from '#artifact';
import { inHouse } from './attempt.ts';
import type { Attempt, Drill, Stage } from './drill.ts';
import { type Artifact, buildScript, eventually, type House, PROJECT } from './house.ts';

const ENVIRONMENT = 'dev';
const WAIT_MS = 15_000;

interface Host {
  /** The credential and the target of this host's agent. */
  api: AgentOptions['api'];
  pins: AgentOptions['pins'];
}

const hosts = new WeakMap<House, Promise<Host>>();

/** One target in `dev` for all these drills, with both artifacts promoted there. */
async function hostOf(house: House): Promise<Host> {
  let host = hosts.get(house);
  if (!host) hosts.set(house, (host = openHost(house)));
  return await host;
}

async function openHost(house: House): Promise<Host> {
  for (const { digest } of await house.released()) {
    const { status } = await house.promote(digest, ENVIRONMENT);
    if (status !== 'promoted') throw new Error(`the promotion to ${ENVIRONMENT} is ${status}`);
  }
  const token = await house.machine('drill-agent', 'agent', PROJECT);
  const params = { project: PROJECT, environment: ENVIRONMENT };
  const body = { name: 'drill-host', agent: 'drill-agent' };
  const { id } = await house.owner.call(deployContract.createTarget, { params, body });
  const trustedRoot: unknown = JSON.parse(JSON.stringify(house.server.platform.attest.trustedRoot()));
  return {
    api: agentApi(house.as(token), id),
    pins: { trustedRoot, publicUrl: house.server.url, project: PROJECT, environment: ENVIRONMENT },
  };
}

/** Runs an agent until `until` has an answer; its programs end with it. */
async function withAgent<T>(
  host: Host,
  { dir, switches }: Stage,
  change: { api?: Partial<Host['api']>; pins?: Partial<Host['pins']> },
  until: (events: readonly AgentEvent[], directory: string) => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const stop = new AbortController();
  const events: AgentEvent[] = [];
  const directory = await mkdtemp(join(dir, 'host-'));
  const running = runAgent({
    api: { ...host.api, ...change.api },
    pins: { ...host.pins, ...change.pins },
    directory,
    programs: { [TOOL]: {} },
    planMs: 100,
    watchMs: 100,
    signal: stop.signal,
    ...(switches.agent ? { controls: switches.agent } : {}),
    onEvent: (event) => events.push(event),
  });
  try {
    return await eventually('the agent’s verdict', async () => await until(events, directory), WAIT_MS);
  } finally {
    stop.abort();
    await running;
  }
}

const TOOL = `${PROJECT}/hello/tool`;
const EVIL = '#!/bin/sh\n# evil\nexec sleep 600\n';

/** Did the program start, or what did the agent say? */
function verdictIn(events: readonly AgentEvent[]): Attempt | undefined {
  for (const event of events) {
    if (event.kind === 'refused') {
      const { code, found, name } = event.check;
      return { succeeded: false, code: code ?? name, detail: `${name}: ${found ?? ''}` };
    }
    if (event.kind === 'stopped') return { succeeded: false, code: event.detail.split(':')[0]!, detail: event.detail };
    if (event.kind === 'deployed' && event.pid !== null)
      return { succeeded: true, detail: `started ${event.path} as process ${event.pid}` };
  }
  return undefined;
}

async function deployHonestly(house: House, stage: Stage): Promise<string> {
  const host = await hostOf(house);
  const verdict = await withAgent(host, { ...stage, switches: {} }, {}, verdictIn);
  if (!verdict.succeeded) throw new Error(`${verdict.code}: ${verdict.detail}`);
  return 'the agent verifies, places and starts the untouched artifact';
}

function flipped(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  copy[copy.length >> 1]! ^= 1;
  return copy;
}

interface AgentDrill<T> {
  id: string;
  title: string;
  threats: readonly string[];
  control: string;
  refusal: RegExp;
  controlOff: Drill['controlOff'];
  prepare?: (house: House, host: Host, stage: Stage) => Promise<T>;
  attack: (house: House, host: Host, stage: Stage, prepared: T) => Promise<Attempt>;
}

const agentDrill = <T = unknown>({ prepare, attack, ...drill }: AgentDrill<T>): Drill =>
  inHouse<T>({
    ...drill,
    async prepare(house, stage) {
      const host = await hostOf(house);
      return (await prepare?.(house, host, stage)) as T;
    },
    attack: async (house, stage, prepared) => attack(house, await hostOf(house), stage, prepared),
    legitimate: deployHonestly,
  });

const hash = {
  control: 'the agent hashes by itself',
  controlOff: { agent: { hash: false } },
  threats: ['A4', 'A8', 'SLSA-G', 'SEC-9'],
} as const;

const bytes: readonly Drill[] = [
  agentDrill({
    ...hash,
    id: 'flip-download',
    title: 'One byte of an artifact flipped on its way to the agent',
    refusal: /^deploy\.digest_mismatch$/,
    attack: async (_house, host, stage) => {
      const artifact: Host['api']['artifact'] = async (item) => {
        const whole = await buffer(await host.api.artifact(item));
        whole[whole.length - 2]! ^= 1;
        return (async function* () {
          yield whole;
        })();
      };
      return await withAgent(host, stage, { api: { artifact } }, verdictIn);
    },
  }),
  agentDrill({
    ...hash,
    id: 'flip-placed-file',
    title: 'One byte flipped between placing and starting',
    refusal: /^deploy\.file_altered$/,
    attack: async (house, host, stage) => {
      const tool = await toolOf(house);
      return await withAgent(host, stage, { api: spoilWhenPlaced(host, stage, tool) }, verdictIn);
    },
  }),
  agentDrill({
    ...hash,
    id: 'flip-running-file',
    title: 'One byte of the running program’s file flipped',
    threats: ['A17', 'S8', 'SEC-1'],
    refusal: /^file_altered$/,
    attack: async (_house, host, stage) => {
      let seen = 0;
      return await withAgent(host, stage, {}, (events): Attempt | undefined => {
        const deployed = events.find((event) => event.kind === 'deployed');
        if (!deployed) return undefined;
        if (seen++ === 0) spoil(deployed.path);
        const drift = events.find((event) => event.kind === 'drifted');
        if (drift) return { succeeded: false, code: drift.drift, detail: `${drift.path}: found ${drift.found}` };
        return seen > LOOKS ? { succeeded: true, detail: 'nobody noticed for two seconds' } : undefined;
      });
    },
  }),
];

/** `eventually` looks ten times a second. */
const LOOKS = 20;

async function toolOf(house: House): Promise<Artifact> {
  return (await house.released()).find(({ name }) => name === TOOL)!;
}

function spoil(path: string): void {
  const content = readFileSync(path);
  content[content.length - 2]! ^= 1;
  chmodSync(path, 0o755);
  writeFileSync(path, content);
  chmodSync(path, 0o555);
}

/** Waits beside the store, as somebody with root on the host could, and alters the file the moment it is in place. */
function spoilWhenPlaced(host: Host, { dir }: Stage, { digest, file }: Artifact): Partial<Host['api']> {
  return {
    async artifact(item) {
      const [directory] = readdirSync(dir)
        .filter((name) => name.startsWith('host-'))
        .map((name) => join(dir, name));
      const store = join(directory!, 'store');
      const folder = `sha256-${hexOf(digest as Digest)}`;
      const watcher = watch(store, (_event, name) => {
        if (name !== folder) return;
        watcher.close();
        spoil(join(store, folder, file));
      });
      return await host.api.artifact(item);
    },
  };
}

const verify = {
  control: 'the agent verifies evidence offline',
  controlOff: { agent: { verify: false } },
  threats: ['A8', 'A18', 'SLSA-G', 'SEC-9'],
} as const;

/** Which bundle of the plan is spoilt. */
const spoilBundle = (which: 'provenance' | 'summary') => async (_house: House, host: Host, stage: Stage) => {
  let wanted = '';
  const api: Partial<Host['api']> = {
    async plan() {
      const plan = await host.api.plan();
      wanted = plan.items.find(({ name }) => name === TOOL)?.[which] ?? '';
      return plan;
    },
    async bundle(digest) {
      const content = await host.api.bundle(digest);
      return digest === wanted ? flipSignature(content) : content;
    },
  };
  return await withAgent(host, stage, { api }, verdictIn);
};

/** One bit of the signature over the statement. */
function flipSignature(content: Uint8Array): Buffer {
  const bundle = JSON.parse(Buffer.from(content).toString()) as {
    dsseEnvelope: { signatures: { sig: string }[] };
  };
  const signature = bundle.dsseEnvelope.signatures[0]!;
  signature.sig = flipped(Buffer.from(signature.sig, 'base64')).toString('base64');
  return Buffer.from(JSON.stringify(bundle));
}

const changePlan =
  (host: Host, change: (plan: Plan) => void): Host['api']['plan'] =>
  async () => {
    const plan = structuredClone(await host.api.plan());
    change(plan);
    return plan;
  };

const evidence: readonly Drill[] = [
  agentDrill({
    ...verify,
    id: 'flip-provenance-bundle',
    title: 'One bit of the provenance’s signature flipped',
    refusal: /^attest\./,
    attack: spoilBundle('provenance'),
  }),
  agentDrill({
    ...verify,
    id: 'flip-summary-bundle',
    title: 'One bit of the verification summary’s signature flipped',
    refusal: /^attest\./,
    attack: spoilBundle('summary'),
  }),
  agentDrill({
    ...verify,
    id: 'flip-trusted-root',
    title: 'One bit of the trusted root on the agent’s host flipped',
    refusal: /^attest\./,
    attack: async (_house, host, stage) => {
      const text = JSON.stringify(host.pins.trustedRoot);
      const raw = /"rawBytes":"([^"]{40})/.exec(text)?.[1] ?? '';
      const other = flipped(Buffer.from(raw, 'base64')).toString('base64').slice(0, raw.length);
      const trustedRoot: unknown = JSON.parse(text.replaceAll(raw, other));
      return await withAgent(host, stage, { pins: { trustedRoot } }, verdictIn);
    },
  }),
  agentDrill({
    ...verify,
    id: 'summary-of-other-artifact',
    title: 'The agent is given the summary of another artifact',
    refusal: /^(attest|deploy)\./,
    attack: async (_house, host, stage) => {
      const plan = changePlan(host, ({ items }) => {
        const other = items.find(({ name }) => name !== TOOL);
        for (const item of items) if (item.name === TOOL) item.summary = other!.summary;
      });
      return await withAgent(host, stage, { api: { plan } }, verdictIn);
    },
  }),
  agentDrill({
    ...verify,
    id: 'summary-of-other-environment',
    title: 'The agent of production is given the summary for dev',
    refusal: /^deploy\.summary_for_other_resource$/,
    attack: async (_house, host, stage) =>
      await withAgent(host, stage, { pins: { environment: 'production' } }, verdictIn),
  }),
  agentDrill({
    ...verify,
    id: 'playground-through-plan',
    title: 'A server that lies names a file from the playground in its plan',
    threats: ['A15', 'A16', 'SLSA-F'],
    refusal: /^attest\./,
    attack: async ({ developer }, host, stage) => {
      const content = Buffer.from(EVIL);
      const input = {
        params: { project: PROJECT, repository: 'playground' as const },
        query: { name: `${PROJECT}/evil-tool`, version: `1-${hexOf(digestOf(stage.dir)).slice(0, 8)}`, file: 'tool' },
      };
      const { id, digest } = await developer.client.upload(artifactContract.uploadArtifact, input, { content });
      const plan = changePlan(host, ({ items }) => {
        for (const item of items)
          if (item.name === TOOL) Object.assign(item, { artifact: id, digest, size: content.length });
      });
      return await withAgent(host, stage, { api: { plan } }, verdictIn);
    },
  }),
  agentDrill({
    ...verify,
    id: 'forged-provenance',
    title: 'A build prints and hands in provenance that its author signed, under the right name',
    threats: ['SLSA-E', 'B25', 'SOLARWINDS-2020', 'SEC-9'],
    refusal: /^attest\./,
    prepare: buildForgery,
    attack: attackWithForgery,
  }),
];

let forgeries = 0;

interface Forgery {
  genuine: Plan['items'][number];
  /** What the build made. */
  tool: Artifact;
  /** The forged bundle, as the build handed it in. */
  other: Artifact;
}

/**
 * The attacker has an installation of the same name and address as the real one, signs provenance there for what the build will
 * make, and lets the build print it and hand it in as an output.
 */
async function buildForgery(house: House, host: Host, stage: Stage): Promise<Forgery> {
  const mark = `forged ${++forgeries}`;
  const digest = digestOf(`#!/bin/sh\n# tool ${mark}\nexec sleep 600\n`);
  const genuine = (await host.api.plan()).items.find(({ name }) => name === TOOL)!;
  const forged = await signElsewhere(house, stage, digest, genuine.provenanceSan);
  const build = `${buildScript(mark)}cat forged.json\ncp forged.json out/other\n`;
  const files = { 'build.sh': build, 'forged.json': forged.toString() };
  const [tool, other] = sortByName(await house.release(`vforged${forgeries}`, files), TOOL);
  if (tool?.digest !== digest || !other) throw new Error('the build did not make what was foreseen');
  return { genuine, tool, other };
}

/** The agent is told to take that for the provenance. */
async function attackWithForgery(_house: House, host: Host, stage: Stage, { genuine, tool, other }: Forgery) {
  const { id, digest, size } = other;
  const bundle: Host['api']['bundle'] = async (wanted) =>
    wanted === genuine.provenance
      ? await buffer(await host.api.artifact({ ...genuine, artifact: id, digest, size }))
      : await host.api.bundle(wanted);
  const plan = changePlan(host, ({ items }) => {
    for (const item of items)
      if (item.name === TOOL) Object.assign(item, { artifact: tool.id, digest: tool.digest, size: tool.size });
  });
  return await withAgent(host, stage, { api: { plan, bundle } }, verdictIn);
}

const sortByName = (artifacts: readonly Artifact[], first: string) =>
  artifacts.toSorted((a, b) => Number(b.name === first) - Number(a.name === first));

async function signElsewhere(house: House, stage: Stage, digest: Digest, san: string): Promise<Buffer> {
  const data = join(stage.dir, 'attacker');
  await mkdir(data);
  const elsewhere = await openPlatform({ data, publicUrl: house.server.url, clock: house.clock });
  try {
    const signed = await elsewhere.attest.sign({
      predicateType: 'https://slsa.dev/provenance/v1',
      predicate: {
        buildDefinition: {},
        runDetails: { builder: { id: `${house.server.url}/builders/hosted-sandbox/v1` } },
      },
      subjects: [{ name: 'tool', digest: { sha256: hexOf(digest) } }],
      identity: { san },
      actor: systemActor('build'),
    });
    return (await elsewhere.attest.requireBundle(signed.bundle)).bytes;
  } finally {
    await elsewhere.close();
  }
}

export const agentDrills: readonly Drill[] = [...bytes, ...evidence];
