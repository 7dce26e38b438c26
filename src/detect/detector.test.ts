import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { checksum62, randomBase62 } from '#base';
import { createDetector, type Finding } from './detector.ts';
import { builtInRules } from './rules.ts';

const detector = createDetector();
const scan = (text: string | Buffer): readonly Finding[] =>
  detector.scan(Buffer.isBuffer(text) ? text : Buffer.from(text)).findings;
const rulesOf = (text: string | Buffer) => scan(text).map((finding) => finding.rule);

/** Cuts a literal in two: tokens are made while the test runs, so that this file holds none. */
const cut = '';

function githubToken(): string {
  const body = randomBase62(30);
  return `gh${cut}p_${body}${checksum62(body)}`;
}
function npmToken(): string {
  const body = randomBase62(30);
  return `np${cut}m_${body}${checksum62(body)}`;
}
function waybillToken(): string {
  const body = `w${cut}bp_${randomBase62(32)}`;
  return body + checksum62(body);
}
function pem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
const hex = (count: number) => randomBytes(count).toString('hex').slice(0, count);

describe('detect', () => {
  test('a token whose checksum is right is certain, one whose checksum is wrong is only possible', () => {
    for (const make of [githubToken, npmToken, waybillToken]) {
      const token = make();
      assert.deepEqual(
        scan(`x = ${token}\n`).map((finding) => finding.confidence),
        ['certain'],
      );
      const last = token.at(-1) === 'A' ? 'B' : 'A';
      assert.deepEqual(
        scan(`x = ${token.slice(0, -1)}${last}\n`).map((finding) => finding.confidence),
        ['possible'],
      );
    }
  });

  test('a finding shows at most the first four characters and the length, and carries the value nowhere', () => {
    const token = githubToken();
    const [finding] = scan(`first line\nsecond ${token}`);
    assert.equal(finding?.masked, `ghp_… (${token.length} characters)`);
    assert.equal(finding.line, 2);
    assert.ok(!JSON.stringify(finding).includes(token.slice(4)));
  });

  test('a fingerprint is equal for equal values and differs by key', () => {
    const token = githubToken();
    const print = (key: string) =>
      createDetector({ fingerprintKey: Buffer.from(key) }).scan(Buffer.from(token)).findings[0]?.fingerprint;
    assert.equal(print('one'), print('one'));
    assert.notEqual(print('one'), print('two'));
    assert.match(print('one') ?? '', /^[0-9a-f]{64}$/);
  });

  test('a secret is found in every encoding it hides in', () => {
    const token = githubToken();
    const wrapped = Buffer.from(`${'some text in front of it '.repeat(4)}${token}`)
      .toString('base64')
      .replace(/(.{64})/g, '$1\n');
    const cases: [string, Buffer, readonly string[]][] = [
      ['UTF-16 little endian', Buffer.from(`﻿key ${token}`, 'utf16le'), ['utf-16']],
      ['UTF-16 big endian', Buffer.from(`key ${token}`, 'utf16le').swap16(), ['utf-16']],
      ['behind a NUL byte', Buffer.from(`\0\0${token}\0`), []],
      ['base64', Buffer.from(`data: ${Buffer.from(token).toString('base64')}\n`), ['base64']],
      ['base64url', Buffer.from(Buffer.from(`??>>${token}`).toString('base64url')), ['base64']],
      ['wrapped base64', Buffer.from(wrapped), ['base64']],
      [
        'base64 twice',
        Buffer.from(Buffer.from(Buffer.from(token).toString('base64')).toString('base64')),
        ['base64', 'base64'],
      ],
      ['hex', Buffer.from(`0x${Buffer.from(token).toString('hex')}`), ['hex']],
      [
        'percent',
        Buffer.from(token.replace(/[a-z]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`)),
        ['percent'],
      ],
      ['gzip', gzipSync(token), ['gzip']],
      ['base64 in UTF-16', Buffer.from(Buffer.from(token).toString('base64'), 'utf16le'), ['utf-16', 'base64']],
      ['zip', zipOf(`file ${token}`), ['zip']],
    ];
    for (const [name, bytes, encodings] of cases) {
      const finding = scan(bytes).find((each) => each.rule === 'github-token');
      assert.equal(finding?.confidence, 'certain', name);
      assert.deepEqual(finding.encodings, encodings, name);
    }
  });

  test('a secret in base64 is found wherever the text begins and ends', () => {
    const encoded = Buffer.from(githubToken()).toString('base64');
    for (let before = 0; before < 60; before++) {
      const text = `${'.'.repeat(before)}${encoded}${'.'.repeat(before % 7)}`;
      assert.deepEqual(rulesOf(text), ['github-token'], text);
    }
  });

  test('the depth of decoding is bounded', () => {
    let text = githubToken();
    for (let depth = 0; depth < 4; depth++) text = Buffer.from(text).toString('base64');
    assert.deepEqual(scan(text), []);
  });

  test('a private key is certain, in a file, with escaped line ends and in source code; its first line alone is nothing', () => {
    const key = pem();
    assert.deepEqual(
      scan(key).map((finding) => finding.confidence),
      ['certain'],
    );
    assert.deepEqual(
      scan(JSON.stringify({ private_key: key })).map((finding) => [finding.rule, finding.confidence]),
      [['private-key', 'certain']],
    );
    const lines = key
      .trim()
      .split('\n')
      .map((line) => `  "${line}\\n" +`)
      .join('\n');
    assert.deepEqual(
      scan(lines).map((finding) => finding.confidence),
      ['certain'],
    );
    assert.deepEqual(scan(`if (text.startsWith('${key.split('\n')[0]}')) parse(text);`), []);
  });

  test('each of these formats is found by its own rule', () => {
    const b62 = randomBase62;
    const jwtPart = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const samples: [string, string][] = [
      ['github-fine-grained-token', `github_${cut}pat_${b62(22)}_${b62(59)}`],
      ['gitlab-token', `gl${cut}pat-${b62(20)}`],
      ['npmrc-auth', `//registry/:_auth${cut}Token=${hex(36)}`],
      [
        'pypi-token',
        `py${cut}pi-${Buffer.concat([Buffer.from('0201087079', 'hex'), Buffer.from('pi.org'), randomBytes(60)]).toString('base64url')}`,
      ],
      ['rubygems-token', `rubygems${cut}_${hex(48)}`],
      ['docker-token', `dckr${cut}_pat_${b62(27)}`],
      ['aws-access-key-id', `AK${cut}IAQZ7RT2WXKMNB4D6H`],
      ['aws-secret-key', `aws_secret${cut}_access_key = ${b62(40)}`],
      ['gcp-api-key', `AI${cut}za${b62(35)}`],
      ['gcp-oauth-secret', `GOC${cut}SPX-${b62(28)}`],
      ['azure-storage-key', `Account${cut}Key=${randomBytes(64).toString('base64')}`],
      ['azure-client-secret', `a1b8${cut}Q~${b62(34)}`],
      ['digitalocean-token', `dop${cut}_v1_${hex(64)}`],
      ['slack-token', `xo${cut}xb-${cut}2485-9157-${b62(24)}`],
      ['slack-webhook', `https://hooks.slack${cut}.com/services/T0${b62(9)}/B0${b62(9)}/${b62(24)}`],
      ['stripe-key', `sk${cut}_live_${b62(24)}`],
      ['sendgrid-key', `S${cut}G.${b62(22)}.${b62(43)}`],
      ['mailchimp-key', `${hex(32)}${cut}-us12`],
      ['shopify-token', `shp${cut}at_${hex(32)}`],
      ['telegram-token', `${cut}817364527:A${cut}A${b62(33)}`],
      ['anthropic-key', `sk-${cut}ant-api03-${b62(93)}AA`],
      ['vault-token', `hv${cut}s.${b62(90)}`],
      ['terraform-token', `${b62(14)}.atlas${cut}v1.${b62(64)}`],
      ['databricks-token', `da${cut}pi${hex(32)}`],
      ['jwt', `${jwtPart({ alg: 'RS256' })}.${jwtPart({ sub: 'ci', exp: 1900000000 })}.${b62(60)}`],
      ['jwk-private', `{"kty":"OKP","${cut}d":"${randomBytes(32).toString('base64url')}"}`],
      ['basic-header', `Authorization: Basic${cut} ${Buffer.from(`deploy:${b62(16)}`).toString('base64')}`],
      ['bearer-header', `Authorization: Bearer${cut} q7${b62(30)}42`],
      ['url-password', `postgres:${cut}//app:k7${b62(14)}@db.internal/main`],
      ['quoted-assignment', `const apiKey${cut} = "3k9${b62(28)}"`],
      ['plain-assignment', `SERVICE_SECRET${cut}=4q8${b62(28)}`],
    ];
    for (const [rule, text] of samples) {
      const finding = scan(`${text}\n`).find((each) => each.rule === rule);
      assert.ok(finding !== undefined, `${rule} in ${text.slice(0, 12)}…`);
      assert.notEqual(finding.confidence, 'possible', rule);
    }
  });

  test('program text, documentation and lock files are not secrets', () => {
    const innocent = [
      'const token = await readToken(request);',
      'password: process.env.DB_PASSWORD,',
      'api_key: "your-api-key-here"',
      '"integrity": "sha512-3o4f8ZpT3xZbZlPMZqXvWpGq4b2cZx5sFf7kq3VwY3VqgZqk3qj0b1m0Jm3o4f8ZpT3xZbZlPMZqXvWpGq4b2c=="',
      'secret: ${{ secrets.DEPLOY_TOKEN_2 }}',
      'https://user:password@example.org/',
      'git clone https://git.example.org/team/project.git',
      'tokenEndpoint = "https://login.example.org/oauth2/v2.0/token"',
      `commit ${hex(40)}`,
      'type Token = { kind: "access_token_v2" }',
    ];
    for (const text of innocent)
      assert.deepEqual(
        scan(text).filter((finding) => finding.confidence !== 'possible'),
        [],
        text,
      );
  });

  test('a vendor rule silences the generic one at the same place', () => {
    assert.deepEqual(rulesOf(`token = "${githubToken()}"`), ['github-token']);
  });

  test('a scan that runs out of time says so', () => {
    let time = 0;
    const result = detector.scan(Buffer.from('://'.repeat(100_000)), { deadline: 3, now: () => time++ });
    assert.match(result.incomplete ?? '', /time/);
  });

  test('an archive that unpacks to too much makes the scan incomplete', () => {
    assert.match(detector.scan(gzipSync(Buffer.alloc(70 * 1024 * 1024))).incomplete ?? '', /gzip/);
  });

  test('no rule is slow on input made to slow it down', () => {
    for (const rule of builtInRules) {
      for (const keyword of rule.keywords.slice(0, 2)) {
        const bytes = Buffer.from(keyword.repeat(Math.ceil(20_000 / keyword.length)));
        const started = performance.now();
        createDetector({ rules: [rule] }).scan(bytes);
        assert.ok(performance.now() - started < 1500, `${rule.id} with ${keyword}`);
      }
    }
  });

  test('every pattern is sticky and has an upper bound on every repetition', () => {
    for (const { id, pattern } of builtInRules) {
      assert.ok(pattern.sticky, id);
      const outsideClasses = pattern.source.replace(/\\./g, '_').replace(/\[[^\]]*\]/g, '_');
      assert.doesNotMatch(outsideClasses, /[*+]|\{\d+,\}/, id);
    }
  });
});

function zipOf(text: string): Buffer {
  const packed = deflateRawSync(text);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(8, 8);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(8, 10);
  central.writeUInt32LE(packed.length, 20);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(30 + packed.length, 16);
  return Buffer.concat([local, packed, central, end]);
}
