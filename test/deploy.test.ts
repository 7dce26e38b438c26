import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Digest, digestOf, newId, Problem } from '#base';
import type { Caller } from '#identity';
import { rebuildAndCompare } from '#journal';
import {
  type AgentApi,
  type AgentEvent,
  type AgentOptions,
  createDeployments,
  type Deployment,
  deployModule,
  type Deployments,
  type PlanItem,
  runAgent,
  verifyDeployable,
} from '#deploy';
import { type Built, type House, PUBLIC_URL, withHouse } from './support/house.ts';

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const sleepProgram = await readFile('/bin/sleep');

interface Site {
  house: House;
  deployments: Deployments;
  dev: Caller;
  agent: Caller;
  target: string;
  api: AgentApi;
  directory: string;
}

async function withSite(work: (site: Site) => Promise<void>): Promise<void> {
  await withHouse(
    async (house) => {
      const { db, journal, identity, artifacts, releases, clock, owner, attest } = house;
      const deployments = createDeployments({
        db,
        journal,
        identity,
        artifacts,
        releases,
        clock,
        publicUrl: PUBLIC_URL,
      });
      const { caller: agent } = await house.machine('host-1', 'agent');
      const about = { project: 'acme', environment: 'dev', name: 'host-1', agent: 'host-1' };
      const { id: target } = await deployments.createTarget(owner, about);
      const api: AgentApi = {
        plan: () => deployments.plan(agent, target),
        bundle: async (digest) => (await attest.requireBundle(digest)).bytes,
        artifact: async ({ artifact }) => (await artifacts.download(agent, artifact)).stream,
        report: async (report) => void (await deployments.report(agent, target, report)),
      };
      const dev = await house.person('ann', 'maintainer');
      const directory = join(house.dir, 'agent');
      await work({ house, deployments, dev, agent, target, api, directory });
    },
    { modules: [deployModule] },
  );
}

const pins = (house: House) => ({
  trustedRoot: house.attest.trustedRoot(),
  publicUrl: PUBLIC_URL,
  project: 'acme',
  environment: 'dev',
});

async function promote(site: Site, built: Built, to = 'dev'): Promise<void> {
  const { releases, journal } = site.house;
  const { id } = await releases.requestPromotion(site.dev, { project: 'acme', artifact: built.digest, to });
  await journal.idle();
  assert.equal((await releases.promotion(site.dev, id)).status, 'promoted');
}

interface Running {
  events: AgentEvent[];
  until: (what: (event: AgentEvent) => boolean) => Promise<AgentEvent>;
  stop: () => Promise<void>;
}

function startAgent(site: Site, change: Partial<AgentOptions> = {}): Running {
  const ending = new AbortController();
  const events: AgentEvent[] = [];
  const options: AgentOptions = {
    api: site.api,
    pins: pins(site.house),
    directory: site.directory,
    programs: { 'acme/hello/program': { args: ['600'] } },
    planMs: 20,
    watchMs: 20,
    signal: ending.signal,
    onEvent: (event) => events.push(event),
    ...change,
  };
  const done = runAgent(options);
  return {
    events,
    async until(what) {
      for (const end = Date.now() + 8000; Date.now() < end;) {
        const event = events.find(what);
        if (event) return event;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error(`it did not happen: ${JSON.stringify(events)}`);
    },
    async stop() {
      ending.abort();
      await done;
    },
  };
}

async function withAgent(
  site: Site,
  work: (agent: Running) => Promise<void>,
  change: Partial<AgentOptions> = {},
): Promise<void> {
  const agent = startAgent(site, change);
  try {
    await work(agent);
  } finally {
    await agent.stop();
  }
}

const is = (kind: AgentEvent['kind']) => (event: AgentEvent) => event.kind === kind;
const pidOf = (event: AgentEvent) => (event.kind === 'deployed' ? event.pid! : 0);
const pathOf = (event: AgentEvent) => (event.kind === 'deployed' ? event.path : '');
const listed = async (site: Site, status?: Deployment['status']) =>
  (await site.deployments.deployments(site.dev, { project: 'acme', limit: 50, status })).items;

async function eventually(check: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 8000; Date.now() < end;) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail('it did not happen in time');
}

test('a promoted program is pulled, verified offline, started from the verified bytes with an empty environment', async () => {
  await withSite(async (site) => {
    const built = await site.house.build({ outputs: { program: sleepProgram } });
    await promote(site, built);
    await withAgent(site, async (agent) => {
      const deployed = await agent.until(is('deployed'));
      const pid = pidOf(deployed);
      assert.equal(digestOf(await readFile(`/proc/${pid}/exe`)), built.digest);
      assert.equal((await readFile(`/proc/${pid}/environ`)).length, 0);
      await assert.rejects(writeFile(pathOf(deployed), 'x'), /ETXTBSY|EACCES/);
      await eventually(async () => (await listed(site, 'running')).length === 1);
      const [deployment] = await listed(site);
      assert.deepEqual([deployment?.digest, deployment?.path], [built.digest, pathOf(deployed)]);
    });
    const [deployment] = await listed(site);
    assert.deepEqual([deployment?.status, deployment?.stopReason], ['stopped', 'agent_stopped']);
    assert.equal((await rebuildAndCompare({ db: site.house.db, modules: site.house.modules })).ok, true);
    assert.equal((await site.deployments.targets(site.dev, 'acme', 'dev'))[0]?.seenAt !== null, true);
  });
});

test('a file replaced under the running program, a switched link and a removed file are each reported', async () => {
  await withSite(async (site) => {
    await promote(site, await site.house.build({ outputs: { program: sleepProgram } }));
    await withAgent(site, async (agent) => {
      const path = pathOf(await agent.until(is('deployed')));
      await eventually(async () => (await listed(site, 'running')).length === 1);
      const folder = join(path, '..');
      await chmod(folder, 0o755);
      const altered = Buffer.from(sleepProgram);
      altered[altered.length - 1]! ^= 1;
      await writeFile(`${path}.new`, altered);
      const before = Date.now();
      await rename(`${path}.new`, path);
      const drift = await agent.until(is('drifted'));
      assert.ok(drift.kind === 'drifted' && drift.drift === 'file_altered' && drift.found === digestOf(altered));
      await eventually(async () => (await listed(site, 'drifted')).length === 1);
      assert.ok(Date.now() - before < 3000);
      const [deployment] = await listed(site);
      assert.deepEqual([deployment?.drift?.kind, deployment?.drift?.found], ['file_altered', digestOf(altered)]);
      await rm(path);
      await agent.until((event) => event.kind === 'drifted' && event.drift === 'file_gone');
      const link = join(site.directory, 'current', 'acme~hello~program');
      await rm(link);
      await symlink('/tmp', link);
      await agent.until((event) => event.kind === 'drifted' && event.drift === 'link_altered');
    });
    // Stopping later does not wash a drift away.
    const [deployment] = await listed(site);
    assert.deepEqual([deployment?.status, deployment?.stopReason], ['drifted', 'agent_stopped']);
    const facts = await site.house.journal.read({ types: ['deploy.drifted'], limit: 9 });
    assert.equal(facts.length, 3);
  });
});

test('a program that drifted can be stopped at once, and a new order of the same bytes puts the host right', async () => {
  await withSite(async (site) => {
    const built = await site.house.build({ outputs: { program: sleepProgram } });
    await promote(site, built);
    const change = { onDrift: 'stop' as const };
    await withAgent(
      site,
      async (agent) => {
        const path = pathOf(await agent.until(is('deployed')));
        await chmod(join(path, '..'), 0o755);
        await writeFile(`${path}.new`, 'something else');
        await rename(`${path}.new`, path);
        await agent.until((event) => event.kind === 'stopped' && event.reason === 'drifted');
        const order = { project: 'acme', environment: 'dev', artifact: `${built.name}@${built.version}` };
        await site.deployments.requestDeploy(site.dev, order);
        await eventually(async () => agent.events.filter(is('deployed')).length === 2);
        assert.equal(digestOf(await readFile(path)), built.digest);
        await eventually(async () => (await listed(site, 'running')).length === 1);
      },
      change,
    );
  });
});

test('a newer version replaces the older one; choosing the older one again rolls back', async () => {
  await withSite(async (site) => {
    const first = await site.house.build({ outputs: { program: sleepProgram } });
    const second = await site.house.build({ outputs: { program: '#!/bin/sh\nread line < /dev/zero\nsleep "$1"\n' } });
    await promote(site, first);
    await withAgent(site, async (agent) => {
      const versions = () => agent.events.flatMap((event) => (event.kind === 'deployed' ? [event.digest] : []));
      await agent.until(is('deployed'));
      await promote(site, second);
      await eventually(async () => versions().length === 2);
      const order = { project: 'acme', environment: 'dev', artifact: first.digest };
      await site.deployments.requestDeploy(site.dev, order);
      await eventually(async () => versions().length === 3);
      assert.deepEqual(versions(), [first.digest, second.digest, first.digest]);
      await eventually(async () => (await listed(site, 'stopped')).length === 2);
      await eventually(async () => (await listed(site, 'running')).length === 1);
      assert.deepEqual(
        (await listed(site, 'stopped')).map(({ stopReason }) => stopReason),
        ['replaced', 'replaced'],
      );
      assert.deepEqual(await listed(site, 'drifted'), []);
    });
  });
});

test('only what was promoted can be ordered, by who may, and only the target’s own agent is served', async () => {
  await withSite(async (site) => {
    const { deployments, dev, target, house } = site;
    const built = await house.build({ outputs: { program: sleepProgram } });
    const order = { project: 'acme', environment: 'dev', artifact: built.digest };
    await assert.rejects(deployments.requestDeploy(dev, order), codeIs('deploy.not_promoted'));
    await promote(site, built);
    const plain = await house.person('dan', 'developer');
    await assert.rejects(deployments.requestDeploy(plain, order), codeIs('identity.forbidden'));
    const other = await house.machine('host-2', 'agent');
    await assert.rejects(deployments.plan(other.caller, target), codeIs('deploy.not_your_target'));
    await assert.rejects(deployments.plan(dev, target), codeIs('deploy.not_your_target'));
    await assert.rejects(deployments.plan(plain, 'tgt_x'), codeIs('deploy.target_not_found'));
    const about = { project: 'acme', environment: 'dev', name: 'host-2', agent: 'host-2' };
    await assert.rejects(deployments.createTarget(dev, about), codeIs('identity.forbidden'));
    await assert.rejects(
      deployments.createTarget(house.owner, { ...about, agent: 'ann' }),
      codeIs('deploy.agent_not_found'),
    );
    await assert.rejects(
      deployments.createTarget(house.owner, { ...about, name: 'host-1' }),
      codeIs('deploy.target_exists'),
    );
  });
});

const reportOf = (item: PlanItem, change: object = {}) => ({
  kind: 'verified' as const,
  report: newId('rpt'),
  seenAt: Date.now(),
  deployment: newId('dep'),
  promotion: item.promotion,
  artifact: item.artifact,
  digest: item.digest,
  name: item.name,
  version: item.version,
  provenance: item.provenance,
  summary: item.summary,
  path: '/srv/program',
  started: true,
  checks: [],
  ...change,
});

test('an agent cannot report as deployed what was not promoted to its environment, and a report counts once', async () => {
  await withSite(async ({ house, deployments, agent, target, ...site }) => {
    const built = await house.build({ outputs: { program: 'a' } });
    await promote({ house, deployments, agent, target, ...site }, built);
    const [item] = (await deployments.plan(agent, target)).items;
    const report = reportOf(item!);
    const first = await deployments.report(agent, target, report);
    assert.deepEqual(await deployments.report(agent, target, report), first);
    for (const change of [
      { digest: digestOf('evil') },
      { promotion: 'pmt_x' },
      { artifact: 'art_x' },
      { name: 'acme/hello/other' },
    ]) {
      await assert.rejects(deployments.report(agent, target, reportOf(item!, change)), codeIs('deploy.not_promoted'));
    }
    const drift = {
      kind: 'drifted' as const,
      report: newId('rpt'),
      seenAt: 1,
      deployment: newId('dep'),
      digest: item!.digest,
      drift: 'file_altered' as const,
      path: '/x',
      expected: 'a',
      found: 'b',
    };
    await assert.rejects(deployments.report(agent, target, drift), codeIs('deploy.deployment_not_found'));
    const other = await house.machine('host-2', 'agent');
    await assert.rejects(deployments.report(other.caller, target, reportOf(item!)), codeIs('deploy.not_your_target'));
  });
});

/** A repository and a control plane that lie: each changes one thing between server and agent. */
const lies: [string, string, (site: Site, items: PlanItem[], other: PlanItem) => Partial<AgentApi>][] = [
  [
    'a flipped byte in the artifact',
    'deploy.digest_mismatch',
    () => ({
      async artifact() {
        const altered = Buffer.from(sleepProgram);
        altered[100]! ^= 1;
        return bytesOf(altered);
      },
    }),
  ],
  [
    'a truncated artifact',
    'deploy.digest_mismatch',
    () => ({ artifact: async () => bytesOf(sleepProgram.subarray(0, 1000)) }),
  ],
  [
    'an artifact that goes on for ever',
    'deploy.digest_mismatch',
    () => ({
      async artifact() {
        return (async function* () {
          for (;;) yield Buffer.alloc(65_536);
        })();
      },
    }),
  ],
  [
    'other bytes with a plan that names them',
    'attest.subject_wrong',
    (_site, [item]) => ({ plan: async () => planOf({ ...item!, digest: digestOf('evil'), size: 4, order: 99_999 }) }),
  ],
  [
    'the summary of another artifact',
    'attest.subject_wrong',
    (_site, [item], other) => ({ plan: async () => planOf({ ...item!, summary: other.summary, order: 99_999 }) }),
  ],
  [
    'the provenance of another artifact',
    'attest.subject_wrong',
    (_site, [item], other) => ({ plan: async () => planOf({ ...item!, provenance: other.provenance, order: 99_999 }) }),
  ],
  [
    'an identity of another project',
    'deploy.foreign_identity',
    (_site, [item]) => ({
      plan: async () =>
        planOf({ ...item!, order: 99_999, provenanceSan: item!.provenanceSan.replace('/acme/', '/evil/') }),
    }),
  ],
  [
    'a summary with one byte flipped',
    'attest.',
    (site, [item]) => ({
      async bundle(digest) {
        const { bytes } = await site.house.attest.requireBundle(digest);
        return digest === item!.summary ? flipPayload(bytes) : bytes;
      },
    }),
  ],
  [
    'an artifact under a name of another project',
    'deploy.foreign_artifact',
    (_site, [item]) => ({ plan: async () => planOf({ ...item!, name: 'evil/hello/program', order: 99_999 }) }),
  ],
];

const planOf = (item: PlanItem) => ({ target: 'tgt_x', project: 'acme', environment: 'dev', items: [item] });

async function* bytesOf(bytes: Uint8Array) {
  yield bytes;
}

function flipPayload(bytes: Uint8Array): Uint8Array {
  const bundle = JSON.parse(Buffer.from(bytes).toString()) as { dsseEnvelope: { payload: string } };
  const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString().replace('PASSED', 'FAILED');
  bundle.dsseEnvelope.payload = Buffer.from(payload).toString('base64');
  return Buffer.from(JSON.stringify(bundle));
}

test('a server that lies about anything is refused by the agent, and with verification off alone the same lie runs', async () => {
  await withSite(async (site) => {
    const built = await site.house.build({ outputs: { program: sleepProgram, other: 'something else' } });
    await promote(site, built);
    const { releases, journal } = site.house;
    const other = `acme/hello/other@${built.version}`;
    await releases.requestPromotion(site.dev, { project: 'acme', artifact: other, to: 'dev' });
    const foreign = await site.house.build({ outputs: { third: 'a third thing' } });
    await promote(site, foreign);
    await journal.idle();
    const items = (await site.api.plan()).items;
    const mine = items.filter(({ name }) => name === 'acme/hello/program');
    const third = items.find(({ name }) => name === 'acme/hello/third')!;
    for (const [what, code, lie] of lies) {
      const directory = join(site.directory, digestOf(what).slice(7, 19));
      await mkdir(directory, { recursive: true });
      const api = { ...site.api, report: async () => undefined, ...lie(site, mine, third) };
      const programs = { 'acme/hello/program': { args: ['600'] }, 'evil/hello/program': { args: ['600'] } };
      await withAgent(
        site,
        async (agent) => {
          const refused = await agent.until(is('refused'));
          assert.ok(
            refused.kind === 'refused' && refused.check.code?.startsWith(code),
            `${what}: ${JSON.stringify(refused)}`,
          );
          assert.deepEqual(agent.events.filter(is('deployed')), [], what);
        },
        { api, directory, programs },
      );
      if (code === 'deploy.digest_mismatch') continue;
      await mkdir(`${directory}-off`, { recursive: true });
      const off = {
        ...api,
        artifact: async (item: PlanItem) => (item.size === 4 ? bytesOf(Buffer.from('evil')) : site.api.artifact(item)),
      };
      await withAgent(site, async (agent) => void (await agent.until(is('deployed'))), {
        api: off,
        directory: `${directory}-off`,
        programs,
        controls: { verify: false },
      });
    }
  });
});

test('a summary for another environment, or none at all, does not open this one', async () => {
  await withSite(async (site) => {
    const built = await site.house.build({ outputs: { program: sleepProgram } });
    await promote(site, built);
    await promote(site, built, 'staging');
    const [item] = (await site.api.plan()).items;
    const bundles = {
      provenance: await site.api.bundle(item!.provenance as Digest),
      summary: await site.api.bundle(item!.summary as Digest),
    };
    const verdict = (change: object = {}, other = bundles) =>
      verifyDeployable({ ...pins(site.house), ...change }, item!, other).checks.filter(
        ({ status }) => status !== 'passed',
      );
    assert.deepEqual(verdict(), []);
    assert.deepEqual(
      verdict({ environment: 'staging' }).map(({ code }) => code),
      ['deploy.summary_for_other_resource'],
    );
    assert.deepEqual(
      verdict({ minLevel: 4 }).map(({ code }) => code),
      ['deploy.level_too_low'],
    );
    assert.notDeepEqual(verdict({}, { ...bundles, summary: bundles.provenance }), []);
    assert.notDeepEqual(verdict({ trustedRoot: {} }), []);
    assert.notDeepEqual(verdict({ publicUrl: 'https://evil.example' }), []);
  });
});

test('killed and started again, the agent takes over what runs and starts nothing twice', async () => {
  await withSite(async (site) => {
    await promote(site, await site.house.build({ outputs: { program: sleepProgram } }));
    const first = startAgent(site);
    const pid = pidOf(await first.until(is('deployed')));
    await eventually(async () => (await listed(site, 'running')).length === 1);
    // What a kill leaves: the state file as it is, the program running.
    const state = await readFile(join(site.directory, 'state.json'));
    await first.stop();
    assert.equal((await listed(site, 'stopped')).length, 1);
    const second = startAgent(site);
    await second.until(is('deployed'));
    await eventually(async () => (await listed(site, 'running')).length === 1);
    await second.stop();
    assert.notEqual(pid, 0);
    // A state file of a life in which the program still ran: it is gone now, which is said, and started anew.
    await writeFile(join(site.directory, 'state.json'), state);
    await withAgent(site, async (agent) => {
      await agent.until((event) => event.kind === 'stopped' && event.reason === 'gone');
      await agent.until(is('deployed'));
    });
  });
});

test('a program that cannot be started, and one that is killed, are reported as such', async () => {
  await withSite(async (site) => {
    await promote(
      site,
      await site.house.build({ outputs: { program: '#!/no/such/interpreter\n', second: sleepProgram } }),
    );
    const second = (await site.house.artifacts.list(site.dev, { name: 'acme/hello/second', limit: 1 })).items[0]!;
    await promote(site, { digest: second.digest } as Built);
    const programs = { 'acme/hello/program': {}, 'acme/hello/second': { args: ['600'] } };
    await withAgent(
      site,
      async (agent) => {
        await agent.until((event) => event.kind === 'stopped' && event.reason === 'start_failed');
        const deployed = await agent.until((event) => event.kind === 'deployed' && event.name === 'acme/hello/second');
        process.kill(pidOf(deployed), 'SIGKILL');
        await agent.until((event) => event.kind === 'stopped' && event.reason === 'killed');
        await eventually(async () => (await listed(site, 'stopped')).length === 2);
      },
      { programs },
    );
  });
});
