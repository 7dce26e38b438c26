import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { artifactContract } from '#artifact';
import { identityContract } from '#identity';
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
/** Every message of every page's console; a blocked script or style would be one. */
const messages: string[] = [];
const paths: Record<string, string> = {};

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-web-'));
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
async function invite(name: string, role: 'maintainer' | 'developer' | 'reader') {
  const grants = [{ role, project: 'acme' }, { role: 'reader' as const }];
  return server.owner.call(identityContract.invitePerson, { body: { name, emails: [`${name}@example.org`], grants } });
}

/** A project with a push of each kind and an artifact, made as people make them: with git and the API. */
async function fill(): Promise<void> {
  await server.owner.call(identityContract.createProject, { body: { slug: 'acme' } });
  const params = { project: 'acme' };
  await server.owner.call(sourceContract.createRepository, { params, body: { name: 'hello' } });
  const { enrolment } = await invite('ada', 'developer');
  const { token } = await server.anonymous.call(identityContract.redeemEnrolment, { body: { enrolment } });
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
  const { items } = await ada.call(sourceContract.listPushes, { params });
  for (const push of items) paths[push.state] ??= `/pushes/${push.id}`;
  const uploaded = await ada.upload(
    artifactContract.uploadArtifact,
    {
      params: { project: 'acme', repository: 'playground' },
      query: { name: 'acme/hello/program', version: 'try-1', file: 'program' },
    },
    { content: Buffer.from('#!/bin/sh\necho hello\n') },
  );
  paths['artifact'] = `/artifacts/${uploaded.digest}`;
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
  writeFileSync(join(tree, 'README'), 'hello\n');
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
async function violationsOf(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const found = await page.evaluate('axe.run(document)');
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
  '/nothing/here',
];

for (const [look, options] of Object.entries({
  light: { colorScheme: 'light' as const, viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: 'dark' as const, viewport: { width: 1280, height: 900 } },
  'on a narrow screen': { colorScheme: 'light' as const, viewport: { width: 320, height: 640 } },
})) {
  test(`no page has an accessibility violation, ${look}`, async () => {
    const found: string[] = [];
    for (const url of pages()) {
      const page = await open(context, 'about:blank');
      await page.setViewportSize(options.viewport);
      await page.emulateMedia({ colorScheme: options.colorScheme });
      await page.goto(url);
      for (const violation of await violationsOf(page)) found.push(`${url}: ${violation}`);
      const width = await page.evaluate<number>('document.documentElement.scrollWidth');
      if (width > options.viewport.width) found.push(`${url} is ${width} wide: ${await widestOf(page)}`);
      await page.close();
    }
    assert.deepEqual(found, []);
  });
}

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
    assert.equal(new URL(data.url()).pathname, api, url);
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
