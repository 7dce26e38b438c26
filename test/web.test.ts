import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { artifactContract } from '#artifact';
import { buildContract, runRunner } from '#build';
import type { Client } from '#client';
import { parseDigest } from '#base';
import { identityContract } from '#identity';
import { releaseContract } from '#release';
import { sourceContract } from '#source';
import { startTestServer, type TestServer } from './support/server.ts';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let server: TestServer;
let browser: Browser;
let context: BrowserContext;
let directory: string;
let adaToken: string;
/** Every message of every page's console; a blocked script or style would be one. */
const messages: string[] = [];
const paths: Record<string, string> = {};

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-web-'));
  // Started by root, the runner's sandbox belongs to another user, who has to get there.
  chmodSync(directory, 0o755);
  server = await startTestServer();
  await fill();
  console.error('filled');
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: CHROMIUM_FLAGS });
  context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  await signIn(context, (await invite('grace', 'maintainer')).link);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** With a role in the project, and one that reads the ledger of the whole instance. */
async function invite(name: string, role: 'maintainer' | 'reader') {
  const grants = [{ role, project: 'acme' }, { role: 'reader' as const }];
  return server.owner.call(identityContract.invitePerson, { body: { name, emails: [`${name}@example.org`], grants } });
}

/** A project with a push of each kind and an artifact, made as people make them: with git and the API. */
async function fill(): Promise<void> {
  await server.owner.call(identityContract.createProject, { body: { slug: 'acme' } });
  const params = { project: 'acme' };
  await server.owner.call(sourceContract.createRepository, { params, body: { name: 'hello' } });
  const { enrolment } = await invite('ada', 'maintainer');
  const { token } = await server.anonymous.call(identityContract.redeemEnrolment, { body: { enrolment } });
  adaToken = token;
  const ada = server.as(token);
  const git = prepareGit(token);
  const publicKey = readFileSync(join(directory, 'key.pub'), 'utf8');
  await ada.call(identityContract.enrolKey, { body: { publicKey } });
  await git('init', '-q', '-b', 'main');
  await git('remote', 'add', 'origin', `${server.url}/acme/hello.git`);
  await git('add', '.');
  await git('commit', '--no-gpg-sign', '-m', 'unsigned <script>alert(1)</script>');
  await git('push', 'origin', 'HEAD:main');
  await git('commit', '--amend', '-S', '-m', 'signed');
  await git('push', 'origin', 'HEAD:main');
  await buildOnce();
  const { items } = await ada.call(sourceContract.listPushes, { params });
  for (const push of items) paths[push.state] ??= `/pushes/${push.id}`;
  const uploaded = await ada.upload(
    artifactContract.uploadArtifact,
    {
      params: { project: 'acme', repository: 'playground' },
      query: { name: 'acme/hello/program', version: 'try-1', file: 'program' },
    },
    { content: Buffer.from('#!/bin/sh\necho tried by hand\n') },
  );
  paths['artifact'] = `/artifacts/${uploaded.digest}`;
  await promote(ada);
}

const LOG_LINES = 3000;
const WORKFLOW = `name: release
on: push
jobs:
  release:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Make it
        run: |
          echo '<script>alert("in the log")</script>'
          printf '\\033[31mred\\033[0m\\n'
          seq 1 ${LOG_LINES}
          printf '#!/bin/sh\\necho hello\\n' > program
      - uses: actions/upload-artifact@v4
        with:
          name: program
          path: program
`;

/** The real runner, for one job. */
async function buildOnce(): Promise<void> {
  const grants = [{ role: 'runner' as const }];
  const { token } = await server.owner.call(identityContract.createMachine, { body: { name: 'builder', grants } });
  const file = (name: string) => join(directory, name);
  writeFileSync(file('runner.token'), token, { mode: 0o600 });
  mkdirSync(file('work'));
  const giveUp = AbortSignal.timeout(60_000);
  const runner = { server: server.url, caFile: file('ca.pem'), credentialFile: file('runner.token') };
  await runRunner({ ...runner, workDir: file('work'), signal: giveUp, jobsMax: 1 });
  const { items } = await server.owner.call(buildContract.listRuns);
  paths['build'] = `/builds/${items[0]?.run}`;
}

async function promote(ada: Client): Promise<void> {
  const release = await eventually(async () => {
    const { items } = await ada.call(artifactContract.listArtifacts, { query: { kind: 'release' } });
    return items[0];
  });
  paths['release'] = `/artifacts/${release.digest}`;
  for (const to of ['dev', 'staging', 'production']) {
    const body = { artifact: release.digest, to };
    const { id } = await ada.call(releaseContract.requestPromotion, { params: { project: 'acme' }, body });
    paths[to] = `/promotions/${id}`;
    if (to !== 'production') await decided(ada, id);
  }
}

async function decided(caller: Client, promotion: string) {
  return eventually(async () => {
    const found = await caller.call(releaseContract.showPromotion, { params: { promotion } });
    return found.status === 'waiting' ? undefined : found;
  });
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const until = Date.now() + 20_000; Date.now() < until;) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(100);
  }
  throw new Error('it did not happen in time');
}

function prepareGit(token: string): (...args: string[]) => Promise<void> {
  const tree = join(directory, 'hello');
  mkdirSync(tree);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ada', '-f', join(directory, 'key')]);
  writeFileSync(join(directory, 'ca.pem'), server.ca);
  const settings = {
    'user.name': 'ada',
    'user.email': 'ada@example.org',
    'gpg.format': 'ssh',
    'user.signingkey': join(directory, 'key.pub'),
    'http.sslCAInfo': join(directory, 'ca.pem'),
    'http.extraHeader': `Authorization: Bearer ${token}`,
  };
  const config = Object.entries(settings).flatMap(([key, value], at) => [
    [`GIT_CONFIG_KEY_${at}`, key],
    [`GIT_CONFIG_VALUE_${at}`, value],
  ]);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: directory,
    GIT_CONFIG_COUNT: String(config.length / 2),
    GIT_TERMINAL_PROMPT: '0',
    ...(Object.fromEntries(config) as Record<string, string>),
  };
  // Not the synchronous kind: the server that it talks to runs in this process. A refused push is no failure here.
  const git = (...args: string[]) =>
    new Promise<void>((resolve) => execFile('git', args, { cwd: tree, env }, () => resolve()));
  mkdirSync(join(tree, '.github/workflows'), { recursive: true });
  writeFileSync(join(tree, '.github/workflows/release.yml'), WORKFLOW);
  return git;
}

async function signIn(where: BrowserContext, link: string): Promise<void> {
  const page = await open(where, link);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${server.url}/`);
  await page.close();
}

async function open(where: BrowserContext, url: string): Promise<Page> {
  const page = await where.newPage();
  page.on('console', (message) => messages.push(`${url}: ${message.text()}`));
  page.on('pageerror', (error) => messages.push(`${url}: ${error.message}`));
  await page.goto(url);
  return page;
}

/** Rules of axe that the page breaks, with the first element of each. */
async function violationsOf(page: Page, only?: readonly string[]): Promise<string[]> {
  await page.evaluate(axeSource);
  const rules = only === undefined ? '{}' : JSON.stringify({ runOnly: only });
  const found = await page.evaluate(`axe.run(document, ${rules})`);
  const { violations } = found as { violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] };
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}

/** What sticks out of the page, outside the tables that scroll by themselves. */
function widestOf(page: Page): Promise<string> {
  return page.evaluate<string>(`[...document.querySelectorAll('main *')]
    .filter((one) => one.getBoundingClientRect().right > innerWidth && !one.closest('.table'))
    .map((one) => one.outerHTML.slice(0, 80)).slice(0, 3).join(' | ')`);
}

const pages = () => [
  '/enrol',
  '/',
  '/projects',
  '/projects/acme',
  '/projects/acme/environments/dev',
  '/ledger',
  '/ledger/1',
  paths['accepted'] ?? '/pushes/missing',
  paths['refused'] ?? '/pushes/missing',
  paths['artifact'] ?? '/artifacts/missing',
  paths['build'] ?? '/builds/missing',
  paths['release'] ?? '/artifacts/missing',
  paths['dev'] ?? '/promotions/missing',
  paths['production'] ?? '/promotions/missing',
  '/trace',
  (paths['release'] ?? '/artifacts/missing').replace('/artifacts/', '/trace/'),
  '/nothing/here',
];

test('no page has an accessibility violation, in light, in dark and on a narrow screen', async () => {
  const page = await open(context, 'about:blank');
  const found: string[] = [];
  for (const url of pages()) {
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(url);
    for (const violation of await violationsOf(page)) found.push(`${url}: ${violation}`);
    await page.emulateMedia({ colorScheme: 'dark' });
    for (const violation of await violationsOf(page, ['color-contrast'])) found.push(`${url}, dark: ${violation}`);
    await page.setViewportSize({ width: 320, height: 640 });
    for (const violation of await violationsOf(page)) found.push(`${url}, narrow: ${violation}`);
    const width = await page.evaluate<number>('document.documentElement.scrollWidth');
    if (width > 320) found.push(`${url} is ${width} wide: ${await widestOf(page)}`);
  }
  await page.close();
  assert.deepEqual(found, []);
});

test('the policy of the pages stops nothing of ours', () => {
  assert.deepEqual(
    messages.filter((text) => !/status of 404/.test(text)),
    [],
  );
});

test('every page has the strict policy and says where the same is as data and as a command', async () => {
  for (const url of pages().filter((one) => one !== '/enrol' && one !== '/nothing/here')) {
    const page = await context.newPage();
    const response = await page.goto(url);
    const policy = response?.headers()['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'none'.*script-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(await page.locator('footer .command').count(), 1, url);
    const api = await page.locator('link[rel=alternate]').getAttribute('href');
    const data = await page.request.get(url, { headers: { accept: 'application/json' } });
    assert.equal(data.url(), `${server.url}${api}`, url);
    assert.equal(data.status(), 200, url);
    assert.match(data.headers()['content-type'] ?? '', /application\/json/);
    await page.close();
  }
});

test('a refused push says what was expected, found and how to fix it', async () => {
  const page = await open(context, paths['refused'] ?? '');
  const text = await page.locator('main').innerText();
  assert.match(text, /The gate refused this push/);
  assert.match(text, /Fix/);
  assert.equal((await page.locator('main .badge-no').count()) > 0, true);
  await page.close();
});

test('what came through the playground is never shown as verified', async () => {
  const page = await open(context, paths['artifact'] ?? '');
  const text = await page.locator('main').innerText();
  assert.match(text, /can never be promoted/);
  assert.equal(await page.locator('.banner-yes').count(), 0);
  assert.doesNotMatch(text.replace(/waybill artifact verify/g, ''), /verified/i);
  await page.close();
});

test('the log of a build is all there, as text, with links to its lines, and not all of it in the page', async () => {
  const page = await open(context, paths['build'] ?? '');
  await page.locator('details > summary').first().click();
  await page.getByText(/Complete, \d+ lines/).waitFor();
  const shown = await page.locator('log-stream .line').count();
  assert.ok(shown > 100 && shown <= 2000, String(shown));
  await page.getByRole('button', { name: 'Show earlier lines' }).click();
  await page.getByRole('button', { name: 'Show earlier lines' }).click();
  const log = await page.locator('log-stream .log').innerText();
  assert.ok(log.includes('<script>alert("in the log")</script>'));
  assert.ok(log.includes('red') && !log.includes('\u001b'));
  const job = await page.locator('log-stream').getAttribute('data-job');
  await page.goto(`${server.url}${paths['build']}#${job}-1500`);
  await page.reload();
  await page.locator('.line.chosen').waitFor();
  assert.equal(await page.locator('.line.chosen a').innerText(), '1500');
  await page.close();
});

test('a released artifact says first where it comes from, and that this was checked', async () => {
  const page = await open(context, paths['release'] ?? '');
  const answer = await page.locator('.banner .answer').innerText();
  assert.match(answer, /Built by run 1 of acme\/hello from commit [0-9a-f]{12}; the signed provenance holds/);
  assert.ok((await page.locator('.check-yes').count()) > 10);
  assert.equal(await page.locator('.check-no').count(), 0);
  await page.close();
});

test('an artifact whose provenance was altered on the disk is not shown as good', async () => {
  const digest = (paths['release'] ?? '').split('/').pop() ?? '';
  const [record] = await server.platform.artifacts.findRecords({ digest, limit: 1 });
  assert.ok(record?.provenance);
  const file = server.platform.objects.path(record.provenance);
  const bytes = readFileSync(file);
  const altered = Buffer.from(bytes);
  altered[100] = (altered[100] ?? 0) ^ 1;
  chmodSync(file, 0o600);
  writeFileSync(file, altered);
  try {
    const page = await context.newPage();
    await page.goto(paths['release'] ?? '');
    assert.equal(await page.locator('.banner-yes').count(), 0);
    assert.equal(await page.locator('.banner-no').count(), 1);
    await page.close();
  } finally {
    writeFileSync(file, bytes);
  }
});

test('a trace shows its verdict, a picture and the same as a list, and names the first broken hop', async () => {
  const url = (paths['release'] ?? '').replace('/artifacts/', '/trace/');
  const page = await open(context, url);
  assert.match(await page.locator('.banner-yes .answer').innerText(), /The chain holds: \d+ hops, each verified/);
  const hops = await page.locator('.chain > li').count();
  assert.ok(hops >= 6);
  assert.equal(await page.locator('svg.spine rect').count(), hops);
  const digest = url.split('/').pop() ?? '';
  const file = server.platform.objects.path(parseDigest(digest));
  const bytes = readFileSync(file);
  chmodSync(file, 0o600);
  writeFileSync(file, Buffer.concat([bytes, Buffer.from('!')]));
  try {
    await page.goto(url);
    assert.match(await page.locator('.banner-no .answer').innerText(), /breaks at the stored bytes/);
    assert.match(await page.locator('.chain > li.broken').innerText(), /Stored bytes/);
    assert.equal(await page.locator('.box-no').count(), 1);
  } finally {
    writeFileSync(file, bytes);
  }
  await page.close();
});

test('a promotion waits for an approval, and the page says who cannot give it and why', async () => {
  const page = await open(context, paths['production'] ?? '');
  assert.match(await page.locator('.banner-waiting').innerText(), /It waits for production/);
  assert.equal(await page.getByRole('button', { name: 'Approve' }).isDisabled(), true);
  assert.match(await page.locator('#obstacle').innerText(), /You cannot approve it: .*release:approve/);
  await page.close();
  const requester = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  const own = await open(requester, '/enrol');
  await own.getByLabel('Enrolment link or token').fill(adaToken);
  await own.getByRole('button', { name: 'Sign in' }).click();
  await own.waitForURL(`${server.url}/`);
  await own.goto(paths['production'] ?? '');
  assert.match(await own.locator('#obstacle').innerText(), /you requested it/);
  await requester.close();
});

test('somebody else finds it on the overview and approves it with a click', async () => {
  const grants = [{ role: 'release-approver' as const, project: 'acme' }, { role: 'reader' as const }];
  const body = { name: 'linus', emails: [], grants };
  const { link } = await server.owner.call(identityContract.invitePerson, { body });
  const approver = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  await signIn(approver, link);
  const page = await open(approver, '/');
  await page.getByRole('link', { name: /to production/ }).click();
  await page.getByLabel(/^Comment/).fill('looked at it');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('looked at it').waitFor();
  await decided(server.as(adaToken), (paths['production'] ?? '').split('/').pop() ?? '');
  await page.reload();
  assert.match(await page.locator('.banner-yes').innerText(), /It may run in production/);
  await approver.close();
});

test('without a session every page leads to the sign-in, and comes back after it', async () => {
  const fresh = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  const page = await open(fresh, '/projects/acme');
  assert.equal(new URL(page.url()).pathname, '/enrol');
  const { enrolment } = await invite('hedy', 'reader');
  await page.getByLabel('Enrolment link or token').fill(enrolment);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/projects\/acme/);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(/enrol/);
  assert.equal((await page.goto('/projects/acme'))?.url().includes('/enrol'), true);
  await fresh.close();
});

test('an enrolment link works once, and its secret is in no request address', async () => {
  const { link } = await invite('joan', 'reader');
  const first = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  const addresses: string[] = [];
  first.on('request', (request) => addresses.push(request.url()));
  await signIn(first, link);
  assert.deepEqual(
    addresses.filter((url) => url.includes('wbe_')),
    [],
  );
  const second = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  const page = await open(second, link);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('This enrolment link is not valid').waitFor();
  await first.close();
  await second.close();
});

test('the session cookie is out of reach of scripts and other sites', async () => {
  const [cookie] = await context.cookies();
  assert.equal(cookie?.name, '__Host-waybill');
  assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, 'Lax', '/']);
});

test('a form from another site is refused, with and without a session', async () => {
  for (const headers of [{ origin: 'https://evil.test' }, { 'sec-fetch-site': 'cross-site' }, {}]) {
    for (const where of [context, await browser.newContext({ ignoreHTTPSErrors: true })]) {
      const answer = await where.request.post(`${server.url}/sign-out`, {
        headers,
        maxRedirects: 0,
      });
      assert.equal(answer.status(), 403);
    }
  }
  const page = await open(context, '/');
  assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 1);
  await page.close();
});

test('a page without script still has everything but the live log', async () => {
  const plain = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url, javaScriptEnabled: false });
  await plain.addCookies(await context.cookies());
  const page = await open(plain, '/projects/acme');
  assert.match(await page.locator('main').innerText(), /acme\/hello/);
  assert.match(await page.locator('main time').first().innerText(), /UTC/);
  await plain.close();
});

test('somebody without rights is told so, and sees nothing', async () => {
  const { link } = await server.owner.call(identityContract.invitePerson, {
    body: { name: 'mallory', emails: [], grants: [] },
  });
  const outsider = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  await signIn(outsider, link);
  for (const url of ['/projects/acme', paths['accepted'] ?? '', paths['artifact'] ?? '', '/ledger']) {
    const page = await outsider.newPage();
    const response = await page.goto(url);
    assert.ok([403, 404].includes(response?.status() ?? 0), url);
    assert.doesNotMatch(await page.locator('main').innerText(), /hello/);
    await page.close();
  }
  await outsider.close();
});

test('the full address of a page leads nowhere else after the sign-in', async () => {
  const fresh = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: server.url });
  for (const next of ['//evil.test', '/\\evil.test', 'https://evil.test', '/%0d%0aset-cookie:x']) {
    const page = await open(fresh, `/enrol?next=${encodeURIComponent(next)}`);
    const kept = await page.locator('input[name=next]').getAttribute('value');
    assert.ok(kept !== null && new URL(kept, server.url).origin === server.url, next);
    await page.close();
  }
  await fresh.close();
});
