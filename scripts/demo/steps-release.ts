// Steps 8 to 10: promotion, deployment and drift, trace and tampering.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Evidence } from './report.ts';
import { type Artifact, poll } from './steps-build.ts';
import { type People, PROJECT } from './steps-source.ts';
import { root, type Stage, StepFailed, waybill } from './stage.ts';

/** The exit statuses of the command line that this part meets (waybill help exit-codes). */
const EXIT = { yes: 0, no: 3, notAllowed: 4, pending: 8 } as const;

/** dev → staging → production; production waits for somebody other than the requester. */
export async function promote(stage: Stage, people: People, artifact: Artifact): Promise<Evidence> {
  const name = `${artifact.name}@${artifact.version}`;
  const evidence: Evidence = {};
  const request = (environment: string, status: number) =>
    waybill(people.dana, ['promote', 'request', name, '--to', environment], { status });
  for (const environment of ['dev', 'staging']) {
    if (environment === 'staging') {
      evidence['staging left out'] = `production refused: ${failuresOf(await request('production', EXIT.no))}`;
    }
    const promotion = await request(environment, EXIT.yes);
    evidence[environment] = `${checksOf(promotion)}; summary ${String(promotion['summary']).slice(0, 19)}…`;
  }
  const waiting = await request('production', EXIT.pending);
  // Dana may approve releases in general, but not her own request.
  await waybill(people.owner, ['access', 'grant', `release-approver@${PROJECT}`, '--person', 'dana']);
  const own = await waybill(people.dana, ['promote', 'approve', String(waiting['id'])], { status: EXIT.notAllowed });
  evidence['own approval'] = `${own['error'].code}: ${own['error'].message}`;
  const production = await waybill(people.remy, ['promote', 'approve', String(waiting['id'])]);
  evidence['production'] =
    `${checksOf(production)}; approved by remy; summary ${String(production['summary']).slice(0, 19)}…`;
  return evidence;
}

const checksOf = (promotion: Record<string, any>) =>
  `${(promotion['checks'] as { status: string }[]).filter((check) => check.status === 'passed').length} checks passed`;
const failuresOf = (promotion: Record<string, any>) =>
  (promotion['checks'] as { status: string; name: string; code?: string }[])
    .filter((check) => check.status === 'failed')
    .map((check) => check.code ?? check.name)
    .join(', ');

export interface Deployment {
  file: string;
  agent: ChildProcess;
}

const DEPLOY_MS_MAX = 60_000;

/** An agent with its own identity and its own copy of the trust root; then one byte of the running file changes. */
export async function deploy(
  stage: Stage,
  people: People,
  artifact: Artifact,
  out: string,
): Promise<{ deployment: Deployment; evidence: Evidence }> {
  const credential = join(stage.dir, 'agent.token');
  const role = ['--role', `agent@${PROJECT}`, '--credential', credential];
  await waybill(people.owner, ['machine', 'create', 'production-1', ...role]);
  const target = await waybill(people.owner, ['deploy', 'target', `${PROJECT}/production`, 'production-1']);
  const words = [
    join(root, 'src/cli/main.ts'),
    ...['agent', 'start', '--server', stage.url, '--ca', stage.caFile, '--credential', credential],
    ...[
      '--target',
      String(target['id']),
      '--environment',
      `${PROJECT}/production`,
      '--trusted-root',
      join(out, 'trusted_root.json'),
    ],
    ...['--directory', join(stage.dir, 'production'), '--start', `${artifact.name}=--serve`],
  ];
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: stage.dir };
  const log = await open(join(stage.dir, 'agent.log'), 'a');
  const agent = spawn(process.execPath, words, { env, stdio: ['ignore', log.fd, log.fd] });
  await log.close();

  const running = await poll(DEPLOY_MS_MAX, () => deploymentIn(people, 'running', agent, stage));
  const file = String(running['path']);
  const whole = await waybill(people.dana, ['trace', file]);
  const tampered = Date.now();
  await replaceWithOneByteChanged(file);
  const drifted = await poll(DEPLOY_MS_MAX, () => deploymentIn(people, 'drifted', agent, stage));
  return {
    deployment: { file, agent },
    evidence: {
      agent: 'production-1, holding only its credential and the trust root',
      placed: file,
      artifact: `${String(running['name'])}@${String(running['version'])}`,
      verified: `offline by the agent at ${String(running['verifiedAt'])}`,
      'trace of the running file': `holds: ${(whole['hops'] as unknown[]).length} hops, back to the signed commit`,
      tampered: 'one byte of the file that runs',
      drift: `reported after ${((Date.now() - tampered) / 1000).toFixed(1)} s: ${`${String(drifted['drift']?.kind)}, expected ${String(drifted['drift']?.expected).slice(0, 19)}…, found ${String(drifted['drift']?.found).slice(0, 19)}…`}`,
    },
  };
}

async function deploymentIn(
  people: People,
  state: string,
  agent: ChildProcess,
  stage: Stage,
): Promise<Record<string, any> | undefined> {
  if (agent.exitCode !== null) {
    throw new StepFailed(`the agent ended:\n${await readFile(join(stage.dir, 'agent.log'), 'utf8')}`);
  }
  const { items } = await waybill(people.dana, ['deploy', 'list', `${PROJECT}/production`], { status: [0, 3] });
  return (items as Record<string, any>[]).find((one) => one['status'] === state);
}

/** A running file cannot be written to, so whoever tampers with it puts a changed copy in its place. */
async function replaceWithOneByteChanged(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = bytes[middle]! ^ 1;
  const copy = join(dirname(path), '.changed');
  await writeFile(copy, bytes, { mode: (await stat(path)).mode & 0o777 });
  await rename(copy, path);
}

/** Changes one byte in place, keeping size and mode, and returns how to put it back. */
export async function flipByte(path: string, offset: number): Promise<() => Promise<void>> {
  const { mode } = await stat(path);
  await chmod(path, 0o600);
  const bytes = await readFile(path);
  const genuine = bytes[offset]!;
  const write = async (value: number) => {
    await chmod(path, 0o600);
    const file = await open(path, 'r+');
    await file.write(Buffer.from([value]), 0, 1, offset);
    await file.sync();
    await file.close();
    await chmod(path, mode & 0o777);
  };
  await write(genuine ^ 1);
  return () => write(genuine);
}

/** The whole chain, then three attacks on what it rests on: each is named, and nothing else is. */
export async function traceAndTamper(
  stage: Stage,
  people: People,
  artifact: Artifact,
  deployment: Deployment,
  out: string,
): Promise<Evidence> {
  const target = `${artifact.name}@${artifact.version}`;
  const whole = await waybill(people.dana, ['trace', target]);
  await writeFile(join(out, 'trace.json'), `${JSON.stringify(whole, null, 2)}\n`);
  const byDigest = await waybill(people.dana, ['trace', artifact.digest]);
  const running = await waybill(people.dana, ['trace', deployment.file], { status: 3 });

  const blob = join(stage.data, 'objects', 'sha256', artifact.digest.slice(7, 9), artifact.digest.slice(9));
  const restoreBlob = await flipByte(blob, 100);
  const brokenBlob = await brokenHop(people, target);
  await restoreBlob();

  const restoreRow = editRow(stage, artifact);
  const brokenRow = await brokenHop(people, target);
  restoreRow();

  const restoreEntry = await editEntry(stage, whole);
  const brokenEntry = await brokenHop(people, target);
  await restoreEntry();

  await waybill(people.dana, ['trace', target]);
  return {
    trace: (whole['hops'] as Record<string, any>[]).map(
      (hop) => `${mark(hop)} ${String(hop['kind'])}: ${String(hop['title'])}`,
    ),
    'by digest': `the same ${(byDigest['hops'] as unknown[]).length} hops`,
    'by running file': `exit status 3, broken at: ${brokenOf(running)}`,
    'blob on disk': `exit status 3, broken at: ${brokenBlob}`,
    'row in the database': `exit status 3, broken at: ${brokenRow}`,
    'entry of the log': `exit status 3, broken at: ${brokenEntry}`,
    'put back': 'exit status 0 again',
  };
}

const mark = (hop: Record<string, any>) => (hop['ok'] === true ? '✓' : '✗');

async function brokenHop(people: People, target: string): Promise<string> {
  return brokenOf(await waybill(people.dana, ['trace', target], { status: 3 }));
}

function brokenOf(trace: Record<string, any>): string {
  const broken = trace['broken'] as Record<string, any> | null;
  if (!broken) throw new StepFailed('trace said no without naming the broken hop');
  return `${String(broken['hop'])}: ${String(broken['check'])} (${String(broken['code'])})`;
}

/** As somebody with write access to the database file would: past the server, straight into a table. */
function editRow(stage: Stage, artifact: Artifact): () => void {
  const database = new DatabaseSync(join(stage.data, 'waybill.db'));
  const change = database.prepare('update artifact_record set run = ? where id = ?');
  const before = database.prepare('select run from artifact_record where id = ?').get(artifact.id) as { run: string };
  change.run('run_aaaaaaaaaaaaaaaaaaaa', artifact.id);
  return () => {
    change.run(before.run, artifact.id);
    database.close();
  };
}

/** One byte of the log's own entry for the publication of the artifact. */
async function editEntry(stage: Stage, trace: Record<string, any>): Promise<() => Promise<void>> {
  const hop = (trace['hops'] as Record<string, any>[]).find((one) => one['kind'] === 'publication');
  const number = Number((hop?.['facts'] as { number: number }[] | undefined)?.[0]?.number);
  const directory = join(stage.data, 'ledger', 'events', 'tile', 'entries');
  const names = await readdir(directory, { recursive: true });
  const name = names.find((one) => /^000(\.p\/\d+)?$/.test(one) && !one.endsWith('.p'));
  if (name === undefined) throw new StepFailed('the entry bundle of the log was not found');
  const path = join(directory, name);
  const bytes = await readFile(path);
  let offset = 0;
  for (let index = 0; index < number - 1; index++) offset += 2 + bytes.readUInt16BE(offset);
  return await flipByte(path, offset + 2 + 20);
}
