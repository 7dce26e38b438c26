import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildContract } from '#build';
import { type Client, createClient } from '#client';
import { type Clock, Problem, systemClock } from '#base';
import { consoleCaller, identityContract, type Role } from '#identity';
import { artifactContract } from '#artifact';
import { releaseContract } from '#release';
import { type Controls, parseServerOptions, type RunningServer, startLocalRunner, startServer } from '#server';
import { sourceContract } from '#source';
import type { z } from 'zod';
import { createDeveloper, type Developer, type Ran } from './developer.ts';

export type Artifact = z.output<typeof artifactContract.ArtifactView>;
export type Run = z.output<typeof buildContract.showRun.response>;
export type Promotion = z.output<typeof releaseContract.showPromotion.response>;

/** A throw-away installation with people in it: own keys, own log, a free port, a directory that is removed afterwards. */
export interface House {
  dir: string;
  data: string;
  ca: string;
  readonly server: RunningServer;
  /** The server's clock; it only goes forward. */
  clock: Clock & { skip(ms: number): void };
  owner: Client;
  /** May change protected paths. */
  maintainer: Developer;
  developer: Developer;
  approver: Client;
  as(token: string | undefined): Client;
  /** A machine's credential, for runners and agents. */
  machine(name: string, role: Role, project?: string): Promise<string>;
  /** Starts the separate runner process; later calls do nothing. */
  startRunner(): Promise<void>;
  /** The run a commit started, once it ended. */
  awaitRun(commit: string): Promise<Run>;
  awaitArtifacts(run: string): Promise<Artifact[]>;
  /** Makes a tag, builds it on the runner and answers with what was published. */
  release(tag: string, files?: Readonly<Record<string, string>>): Promise<Artifact[]>;
  /** What the first release published: `tool` and `other`. */
  released(): Promise<Artifact[]>;
  /** Answers with its id, before anything is decided. */
  requestPromotion(artifact: string, to: string): Promise<string>;
  /** Requests a promotion; answers when it is decided or waits for an approval. */
  promote(artifact: string, to: string): Promise<Promotion>;
  promotion(id: string): Promise<Promotion>;
  /** Where the repository lies on the server's disk. */
  repositoryDir(): Promise<string>;
  /** Stops the server, lets `between` happen to its data directory, and starts it again at the same address. */
  restart(between: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export const PROJECT = 'acme';
export const REPOSITORY = 'hello';
const WAIT_MS = 60_000;

/** Nothing in it is built before somebody pushes a tag. */
const WORKFLOW = `name: release
on:
  push:
    tags: ['v*']
jobs:
  release:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: sh build.sh
      - uses: actions/upload-artifact@v4
        with: {name: tool, path: out/tool}
      - uses: actions/upload-artifact@v4
        with: {name: other, path: out/other}
      - run: sh after.sh
`;

export const baseFiles: Readonly<Record<string, string>> = {
  '.github/workflows/release.yml': WORKFLOW,
  Dockerfile: 'FROM scratch\nCOPY tool /tool\n',
  'README.md': 'A small program.\n',
  'build.sh': buildScript('one'),
  'after.sh': 'true\n',
};

/** Writes two programs that do nothing for a while. */
export function buildScript(mark: string): string {
  return `set -e
mkdir -p out
for name in tool other; do
  printf '#!/bin/sh\\n# %s ${mark}\\nexec sleep 600\\n' "$name" > "out/$name"
  chmod +x "out/$name"
done
`;
}

export interface HouseOptions {
  controls?: Controls;
  /** For an attacker's own installation under somebody else's name. */
  publicUrl?: string;
  onLine?: (line: string) => void;
}

export async function openHouse({
  controls = {},
  publicUrl,
  onLine = () => undefined,
}: HouseOptions = {}): Promise<House> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-drill-'));
  const data = join(dir, 'data');
  let skippedMs = 0;
  const clock = { now: () => systemClock.now() + skippedMs, skip: (ms: number) => void (skippedMs += ms) };
  const start = (listen: string) =>
    startServer(parseServerOptions({ data, listen, logLevel: 'silent', ...(publicUrl ? { publicUrl } : {}) }), {
      controls,
      clock,
    });
  let server = await start('127.0.0.1:0');
  const ca = await readFile(server.caPath, 'utf8');
  const clients: Client[] = [];
  const as = (token: string | undefined) => {
    const client = createClient({ url: server.url, ca, ...(token === undefined ? {} : { token }) });
    clients.push(client);
    return client;
  };
  let runner: Awaited<ReturnType<typeof startLocalRunner>> | undefined;

  const owner = as(await enrol(as(undefined), server.enrolment?.link ?? ''));
  await owner.call(identityContract.createProject, { body: { slug: PROJECT } });
  const invite = async (name: string, role: Role) => {
    const invited = await owner.call(identityContract.invitePerson, {
      body: { name, emails: [`${name}@example.org`], grants: [{ role, project: PROJECT }] },
    });
    return await enrol(as(undefined), invited.link);
  };
  const developerOf = async (name: string, role: Role) => {
    const token = await invite(name, role);
    return await createDeveloper({ dir, name, token, client: as(token), url: server.url, caPath: server.caPath });
  };
  const maintainer = await developerOf('mia', 'maintainer');
  const developer = await developerOf('dana', 'developer');
  const approver = as(await invite('remy', 'release-approver'));
  await maintainer.client.call(sourceContract.createRepository, {
    params: { project: PROJECT },
    body: { name: REPOSITORY },
  });

  await maintainer.commit({ files: baseFiles, message: 'The beginning' });
  await mustPush(await maintainer.push());

  async function promotion(id: string): Promise<Promotion> {
    return await owner.call(releaseContract.showPromotion, { params: { promotion: id } });
  }

  let first: Promise<Artifact[]> | undefined;

  async function machine(name: string, role: Role, project?: string): Promise<string> {
    const made = await owner.call(identityContract.createMachine, {
      body: { name, grants: [{ role, ...(project === undefined ? {} : { project }) }] },
    });
    return made.token;
  }

  const house: House = {
    dir,
    data,
    ca,
    get server() {
      return server;
    },
    clock,
    owner,
    maintainer,
    developer,
    approver,
    as,
    machine,
    async startRunner() {
      if (runner) return;
      const { token } = await server.platform.identity.renewMachine(consoleCaller(), {
        name: 'drill-runner',
        grants: [{ role: 'runner' }],
      });
      const directory = join(data, 'runner');
      runner = await startLocalRunner({ url: server.url, caPath: server.caPath, dir: directory, token, onLine });
    },
    async awaitRun(commit) {
      return await eventually(`the build of ${commit.slice(0, 12)}`, async () => {
        const { items } = await developer.client.call(buildContract.listRuns, { query: { project: PROJECT } });
        const params = { project: PROJECT };
        const refusals = await developer.client.call(buildContract.listRefusals, { params });
        const refusal = refusals.items.find((one) => one.commit === commit);
        if (refusal) throw new Error(`the workflow was refused: ${JSON.stringify(refusal.problems)}`);
        const ended = items.find((run) => run.commit === commit && run.finishedAt !== null);
        return ended && (await developer.client.call(buildContract.showRun, { params: { run: ended.run } }));
      });
    },
    async awaitArtifacts(run) {
      return await eventually(`the outputs of ${run}`, async () => {
        const { items } = await developer.client.call(artifactContract.listArtifacts, { query: { run } });
        return items.length > 0 ? items : undefined;
      });
    },
    async release(tag, files = {}) {
      await maintainer.reset();
      const commit = await maintainer.commit({ files, message: `Release ${tag}` });
      const tagged = await maintainer.git('tag', '-s', '-m', tag, tag);
      if (tagged.status !== 0) throw new Error(tagged.stderr);
      await mustPush(await maintainer.push('HEAD:main', tag));
      await house.startRunner();
      const run = await house.awaitRun(commit);
      return run.state === 'success' ? await house.awaitArtifacts(run.run) : [];
    },
    released: () => (first ??= house.release('v1')),
    async requestPromotion(artifact, to) {
      const params = { project: PROJECT };
      const body = { artifact, to };
      return (await maintainer.client.call(releaseContract.requestPromotion, { params, body })).id;
    },
    async promote(artifact, to) {
      const id = await house.requestPromotion(artifact, to);
      await server.platform.journal.idle();
      return await promotion(id);
    },
    promotion,
    async repositoryDir() {
      const { id } = await server.platform.source.requireRepository(`${PROJECT}/${REPOSITORY}`);
      return join(data, 'git', `${id}.git`);
    },
    async restart(between) {
      const { port } = new URL(server.url);
      await server.close();
      await between();
      server = await start(`127.0.0.1:${port}`);
    },
    async close() {
      await runner?.stop();
      for (const client of clients) client.close();
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return house;
}

async function mustPush(ran: Ran): Promise<void> {
  if (ran.status !== 0) throw new Error(`a legitimate push was refused: ${ran.stderr}`);
}

/** Enrolment link → short-lived token. */
export async function enrol(client: Client, link: string): Promise<string> {
  const enrolment = link.slice(link.indexOf('#') + 1);
  return (await client.call(identityContract.redeemEnrolment, { body: { enrolment } })).token;
}

export async function eventually<T>(what: string, look: () => Promise<T | undefined>, withinMs = WAIT_MS): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) {
      throw new Problem({
        code: 'drill.timed_out',
        kind: 'unavailable',
        message: `${what} did not come within ${withinMs / 1000} seconds.`,
        hint: 'Run the drill again on a quieter machine; if it happens again, the flow beside the attack is broken.',
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
