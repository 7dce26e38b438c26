import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildContract } from '#build';
import { type Client, createClient } from '#client';
import { Problem } from '#base';
import { consoleCaller, identityContract, type Role } from '#identity';
import { artifactContract } from '#artifact';
import { type Controls, parseServerOptions, type RunningServer, startLocalRunner, startServer } from '#server';
import { sourceContract } from '#source';
import type { z } from 'zod';
import { createDeveloper, type Developer } from './developer.ts';

export type Artifact = z.output<typeof artifactContract.ArtifactView>;
export type Run = z.output<typeof buildContract.showRun.response>;

/** A throw-away installation with people in it: own keys, own log, a free port, a directory that is removed afterwards. */
export interface House {
  dir: string;
  data: string;
  ca: string;
  server: RunningServer;
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
  close(): Promise<void>;
}

export const PROJECT = 'acme';
export const REPOSITORY = 'hello';
const WAIT_MS = 90_000;

export interface HouseOptions {
  controls?: Controls;
  onLine?: (line: string) => void;
}

export async function openHouse({ controls = {}, onLine = () => undefined }: HouseOptions = {}): Promise<House> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-drill-'));
  const data = join(dir, 'data');
  const server = await startServer(parseServerOptions({ data, listen: '127.0.0.1:0', logLevel: 'error' }), {
    controls,
  });
  const ca = await readFile(server.caPath, 'utf8');
  const as = (token: string | undefined) =>
    createClient({ url: server.url, ca, ...(token === undefined ? {} : { token }) });
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

  async function machine(name: string, role: Role, project?: string): Promise<string> {
    const made = await owner.call(identityContract.createMachine, {
      body: { name, grants: [{ role, ...(project === undefined ? {} : { project }) }] },
    });
    return made.token;
  }

  return {
    dir,
    data,
    ca,
    server,
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
    async close() {
      await runner?.stop();
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
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
