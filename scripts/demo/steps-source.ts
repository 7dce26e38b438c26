// Steps 1 to 4: first start, people and keys, the push, the gate.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { Evidence } from './report.ts';
import {
  createPerson,
  expectStatus,
  git,
  type Person,
  root,
  run,
  type Stage,
  startUp,
  StepFailed,
  waybill,
} from './stage.ts';

export const PROJECT = 'acme';
export const REPOSITORY = 'hello';

export interface People {
  owner: Person;
  /** Keeps the project: may change protected paths. */
  mia: Person;
  /** Writes the code. */
  dana: Person;
  /** Lets releases into production. */
  remy: Person;
}

export async function firstStart(stage: Stage, listen: string): Promise<{ people: People; evidence: Evidence }> {
  const server = await startUp(stage, listen);
  if (server.link === undefined) throw new StepFailed('the first start printed no enrolment link');
  const anonymous = await statusOf(stage, '/api/v1/projects');
  if (anonymous !== 401) throw new StepFailed(`an anonymous request was answered with ${anonymous}`);

  const owner = await createPerson(stage, 'owner');
  const login = ['login', '--server', stage.url, '--ca', stage.caFile];
  await waybill(owner, login, { input: server.link });
  const thief = await createPerson(stage, 'second-use');
  await waybill(thief, login, { input: server.link, status: 4 });

  const { people, evidence } = await invitePeople(stage, owner);
  const ledger = await waybill(owner, ['ledger', 'status']);
  return {
    people,
    evidence: {
      server: stage.url,
      'data directory': stage.data,
      'ledger key': ledger['vkey'],
      'ledger size': ledger['size'],
      'without a credential': `refused (HTTP ${anonymous})`,
      'enrolment link': 'worked once; its second use was refused',
      ...evidence,
    },
  };
}

async function invitePeople(stage: Stage, owner: Person): Promise<{ people: People; evidence: Evidence }> {
  await waybill(owner, ['project', 'create', PROJECT]);
  const roles = { mia: `maintainer@${PROJECT}`, dana: `developer@${PROJECT}`, remy: `release-approver@${PROJECT}` };
  const people: Record<string, Person> = { owner };
  for (const [name, role] of Object.entries(roles)) {
    const person = await createPerson(stage, name);
    const invited = await waybill(owner, ['person', 'invite', name, '--email', person.email, '--role', role]);
    await waybill(person, ['login', '--server', stage.url, '--ca', stage.caFile], { input: String(invited['link']) });
    people[name] = person;
  }
  return {
    people: people as unknown as People,
    evidence: { people: Object.entries(roles).map((entry) => entry.join(': ')) },
  };
}

export async function createProject(stage: Stage, people: People): Promise<Evidence> {
  const keys: string[] = [];
  for (const person of [people.mia, people.dana]) {
    expectStatus(
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', person.email, '-f', person.keyFile]),
      0,
      'ssh-keygen',
    );
    const key = await waybill(person, ['key', 'enrol', `${person.keyFile}.pub`]);
    keys.push(`${person.name}: ${key['fingerprint']}`);
  }
  const repository = await waybill(people.mia, ['repository', 'create', `${PROJECT}/${REPOSITORY}`]);
  return {
    project: PROJECT,
    repository: repository['cloneUrl'],
    'signing keys': keys,
    'protected paths': (repository['protectedPaths'] as string[]).slice(0, 6).join(', '),
  };
}

/** Replays the sample's history as signed commits of the maintainer, and pushes it. */
export async function pushSample(stage: Stage, people: People): Promise<{ clone: string; evidence: Evidence }> {
  const clone = join(stage.dir, 'mia-hello');
  await mkdir(clone);
  const must = async (...words: string[]) =>
    expectStatus(await git(stage, people.mia, clone, words), 0, `git ${words[0]}`);
  await must('init', '-q');
  const history = JSON.parse(await readFile(join(root, 'examples/hello.history.json'), 'utf8')) as {
    message: string;
    paths: string[];
  }[];
  for (const { message, paths } of history) {
    for (const path of paths) await cp(join(root, 'examples/hello', path), join(clone, path), { recursive: true });
    await must('add', '--all');
    await must('commit', '-q', '-m', message);
  }
  const url = `${stage.url}/${PROJECT}/${REPOSITORY}.git`;
  await must('remote', 'add', 'origin', url);
  await must('push', '-q', 'origin', 'main');
  const head = (await must('rev-parse', 'HEAD')).stdout.trim();
  return {
    clone,
    evidence: {
      pushed: `${history.length} signed commits to ${url}`,
      head,
      client: (await run('git', ['--version'])).stdout.trim(),
      ...(await tlsEvidence(stage)),
    },
  };
}

async function tlsEvidence(stage: Stage): Promise<Evidence> {
  const ca = await readFile(stage.caFile, 'utf8');
  const port = Number(new URL(stage.url).port);
  const attempt = (options: object) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, ...options }, () => {
        resolve(socket.getProtocol() ?? 'none');
        socket.destroy();
      });
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(`refused (${error.code ?? error.message})`));
    });
  const [modern, old, foreign] = [
    await attempt({}),
    await attempt({ maxVersion: 'TLSv1.2' }),
    await attempt({ ca: [] }),
  ];
  if (modern !== 'TLSv1.3' || !old.startsWith('refused') || !foreign.startsWith('refused')) {
    throw new StepFailed(`TLS is not as it should be: ${modern}, ${old}, ${foreign}`);
  }
  return { tls: `${modern}; TLS 1.2 ${old}; without our CA ${foreign}` };
}

function statusOf(stage: Stage, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    readFile(stage.caFile, 'utf8').then((ca) => {
      const sent = request(new URL(path, stage.url), { ca }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.once('error', reject);
      sent.end();
    }, reject);
  });
}

/** Three pushes that must be refused, then the one that travels on, with the tag that names the release. */
export async function pushThroughGate(
  stage: Stage,
  people: People,
  version: string,
): Promise<{ commit: string; evidence: Evidence }> {
  const { dana } = people;
  const clone = join(stage.dir, 'dana-hello');
  const url = `${stage.url}/${PROJECT}/${REPOSITORY}.git`;
  expectStatus(await git(stage, dana, stage.dir, ['clone', '-q', url, clone]), 0, 'git clone');
  const must = async (...words: string[]) =>
    expectStatus(await git(stage, dana, clone, words), 0, `git ${words.join(' ')}`);
  const refused = async (expected: RegExp, what: string): Promise<string> => {
    const pushed = await git(stage, dana, clone, ['push', 'origin', 'HEAD:main']);
    if (pushed.status === 0) throw new StepFailed(`the gate accepted ${what}`);
    const said = pushed.stderr.split('\n').filter((line) => line.startsWith('remote:'));
    if (!expected.test(said.join('\n')))
      throw new StepFailed(`${what} was refused with another message:\n${pushed.stderr}`);
    await must('reset', '-q', '--hard', 'origin/main');
    const rules = said.map((line) => line.replace(/^remote:\s?/, '').trimEnd()).filter((line) => line.length > 0);
    return rules.slice(1, 6).join('\n');
  };

  await writeFile(join(clone, 'notes.txt'), 'unsigned\n');
  await must('add', '--all');
  await must('commit', '-q', '--no-gpg-sign', '-m', 'Add notes');
  const unsigned = await refused(/source.not_signed/, 'an unsigned commit');

  // Made here and now, so that no secret stands in this repository.
  const planted = `ghp_${await githubLikeToken()}`;
  await writeFile(join(clone, 'settings.ini'), `[service]\ntoken = ${planted}\n`);
  await must('add', '--all');
  await must('commit', '-q', '-m', 'Add settings');
  const secret = await refused(/source.secret/, 'a planted secret');
  if (secret.includes(planted)) throw new StepFailed('the refusal shows the secret it found');

  const dockerfile = join(clone, 'Dockerfile');
  await writeFile(dockerfile, `${await readFile(dockerfile, 'utf8')}LABEL changed="by somebody who may not"\n`);
  await must('commit', '-q', '-a', '-m', 'Change the image');
  const protectedPath = await refused(/source.path_protected/, 'a change of the protected Dockerfile');

  const readme = join(clone, 'README.md');
  await writeFile(readme, `${await readFile(readme, 'utf8')}\nReleased as ${version}.\n`);
  await must('commit', '-q', '-a', '-m', `Release ${version}`);
  await must('tag', '-s', '-m', `hello ${version}`, `v${version}`);
  await must('push', '-q', 'origin', 'HEAD:main', `v${version}`);
  const commit = (await must('rev-parse', 'HEAD')).stdout.trim();
  return {
    commit,
    evidence: {
      '1 unsigned commit': unsigned,
      '2 planted secret': secret,
      '3 protected file': protectedPath,
      '4 accepted': `${commit} and the signed tag v${version}`,
    },
  };
}

/** The shape of a GitHub token, checksum included, of random characters. */
async function githubLikeToken(): Promise<string> {
  const { checksum62, randomBase62 } = await import('#base');
  const body = randomBase62(30);
  return body + checksum62(body);
}
