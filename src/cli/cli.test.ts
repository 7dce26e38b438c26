import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as fc from 'fast-check';
import { flagsOf, nameOf } from './command.ts';
import { commands } from './commands.ts';
import { completionWords, renderCompletion, shells } from './completion.ts';
import { exitCodes, exitOf, failureOf } from './exit.ts';
import { openHome } from './home.ts';
import { parseSecret } from './login.ts';
import { renderChecks, renderJson, renderTable } from './output.ts';
import { nearest } from './parse.ts';
import { parseGrant } from './person.ts';
import { printable, printableLog } from './printable.ts';
import { renderCliReference } from './reference.ts';
import { parseDuration } from './token.ts';
import { transcribe } from './transcript.ts';
import { generateToken } from '#identity';

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

const quiet = { env: {}, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr };
const plain = { ...quiet, env: { NO_COLOR: '1' } };

test('every command has a summary, an example that names it, and a file that loads', async () => {
  const names = commands.map(nameOf);
  assert.equal(new Set(names).size, names.length);
  for (const command of commands) {
    assert.match(command.summary, /^[A-Z].*\.$/s, nameOf(command));
    assert.ok(command.examples.length > 0, nameOf(command));
    for (const example of command.examples)
      assert.ok(example.line.includes(`waybill ${nameOf(command)}`), example.line);
    assert.equal(typeof (await command.load()), 'function', nameOf(command));
  }
});

test('flags are unique, lower case, and no flag can carry a secret', () => {
  for (const command of commands) {
    const flags = flagsOf(command).map((flag) => flag.name);
    assert.equal(new Set(flags).size, flags.length, nameOf(command));
    for (const flag of flags) {
      assert.match(flag, /^[a-z]+(-[a-z]+)*$/);
      assert.doesNotMatch(flag, /^(token|password|secret|insecure|skip|no-verify)/, `${nameOf(command)} --${flag}`);
    }
  }
});

test('a command reads only arguments and flags that a command of its file declares', () => {
  const byFile = Map.groupBy(commands, (command) => /'\.\/([a-z-]+\.ts)'/.exec(command.load.toString())?.[1] ?? '');
  for (const [file, group] of byFile) {
    const source = readFileSync(new URL(file, import.meta.url), 'utf8');
    const declared = {
      argument: new Set(group.flatMap((command) => (command.args ?? []).map((arg) => arg.name))),
      flag: new Set(group.flatMap((command) => flagsOf(command).map((flag) => flag.name))),
    };
    for (const [, reader, name] of source.matchAll(/invocation\.(required|argument|flag|list|isSet)\('([^']+)'\)/g)) {
      const kind = reader === 'required' || reader === 'argument' ? 'argument' : 'flag';
      assert.ok(declared[kind].has(name ?? ''), `${file} reads ${kind} ${name}`);
    }
  }
});

test('optional arguments come last', () => {
  for (const command of commands) {
    const optional = (command.args ?? []).map((arg) => arg.optional === true);
    assert.deepEqual(optional, [...optional.filter((one) => !one), ...optional.filter((one) => one)], nameOf(command));
  }
});

test('help is shown for no words, for a noun, for a command and for a topic', async () => {
  for (const [line, shown] of [
    [[], 'Usage: waybill NOUN VERB'],
    [['project'], 'project create PROJECT'],
    [['project', 'create', '--help'], 'Arguments:'],
    [['help', 'artifact', 'pull'], '--out FILE'],
    [['help', 'exit-codes'], '3    Ran correctly, and the verdict is no'],
    [['help', 'environment'], 'WAYBILL_TOKEN_FILE'],
  ] as const) {
    const { status, stdout, stderr } = await transcribe(line);
    assert.ok(stdout.includes(shown), stdout);
    assert.deepEqual([status, stderr], [0, '']);
  }
});

test('wrong usage ends with status 2 and says what to do', async () => {
  for (const [line, message] of [
    [['projet'], 'Did you mean `waybill project`?'],
    [['project', 'creat'], 'Did you mean `waybill project create`?'],
    [['project', 'create'], 'PROJECT is missing'],
    [['project', 'create', 'a', 'b'], '"b" is one argument too many'],
    [['project', 'list', '--insecure'], "Unknown option '--insecure'"],
    [['machine', 'create', 'r', '--credential', 'f'], '--role ROLE[@PROJECT] is missing'],
    [['artifact', 'list', '--kind', 'other'], '--kind is one of release, playground'],
    [['completion', 'tcsh'], 'It is one of bash, zsh, fish'],
    [['help', 'nothing'], 'There is no help on "nothing"'],
  ] as const) {
    const { status, stdout, stderr } = await transcribe(line);
    assert.ok(stderr.includes(message), stderr);
    assert.deepEqual([status, stdout], [2, '']);
  }
});

test('--json prints exactly one document on failure too, with the same status', async () => {
  for (const [line, status, code] of [
    [['projet', '--json'], 2, 'cli.usage'],
    [['whoami', '--json'], 4, 'cli.not_logged_in'],
    [['login', '--server', 'https://localhost:1', '--json'], 2, 'cli.token_malformed'],
    [['key', 'enrol', join(directory, 'missing.pub'), '--json'], 2, 'cli.file_unusable'],
  ] as const) {
    const left = await transcribe(line, { env: { WAYBILL_HOME: directory } });
    const document = JSON.parse(left.stdout) as { error: { code: string; hint: string } };
    assert.deepEqual([left.status, document.error.code, left.stderr], [status, code, '']);
    assert.ok(document.error.hint.length > 0);
  }
});

test('a server that is not there is status 7', async () => {
  writeFileSync(join(directory, 'token.txt'), generateToken('access'));
  const env = {
    WAYBILL_HOME: directory,
    WAYBILL_SERVER: 'https://localhost:1',
    WAYBILL_TOKEN_FILE: join(directory, 'token.txt'),
  };
  const { status, stderr } = await transcribe(['project', 'list'], { env });
  assert.equal(status, 7);
  assert.match(stderr, /cannot be reached/);
});

test('--json=field keeps only that field', async () => {
  const { stdout } = await transcribe(['version', '--json=version']);
  assert.deepEqual(Object.keys(JSON.parse(stdout) as object), ['version']);
  assert.deepEqual(JSON.parse(renderJson({ items: [{ a: 1, b: 2 }], next: null }, ['b', 'c'])), {
    items: [{ b: 2, c: null }],
    next: null,
  });
});

test('every kind of problem has its exit status', () => {
  const statusOf = (kind: 'invalid', details = {}) =>
    exitCodes[exitOf({ code: 'x.y', kind, message: '', hint: '', details })].status;
  const kinds = {
    invalid: 2,
    unauthenticated: 4,
    forbidden: 4,
    not_found: 5,
    conflict: 6,
    rejected: 3,
    limited: 1,
    unavailable: 7,
  };
  for (const [kind, status] of Object.entries(kinds)) assert.equal(statusOf(kind as 'invalid'), status, kind);
  assert.equal(statusOf('limited' as 'invalid', { status: 429 }), 7);
  assert.equal(exitOf(failureOf(new TypeError('x is not a function'))), 'failed');
});

test('a mistake of ours is one line without a stack', () => {
  const { message } = failureOf(new TypeError('first\n    at file:1'));
  assert.equal(message, 'Waybill made a mistake: first');
});

test('text from elsewhere cannot drive the terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(printable(text), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(printableLog(text, false), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    }),
  );
  assert.equal(printableLog('\u001b[31mred\u001b[0m\u001b[2J\tx\r\n', true), '\u001b[31mred\u001b[0m\ufffd[2J\tx\n');
  assert.equal(printableLog('\u001b[31mred\u001b[0m', false), 'red');
});

test('a table is aligned, and an empty one says what to do next', () => {
  const columns = [
    { title: 'A', cell: (row: string[]) => row[0] },
    { title: 'B', cell: (row: string[]) => row[1] },
  ];
  const rows = [
    ['one', 'x\u001b[2J'],
    ['seventeen', ''],
  ];
  assert.equal(
    renderTable(plain, rows, columns, 'none'),
    ['A          B', 'one        x\ufffd[2J', 'seventeen  –'].join('\n'),
  );
  assert.equal(renderTable(plain, [], columns, 'Nothing. Next: do it'), 'Nothing. Next: do it');
});

test('a failed check shows expected, found, reason and fix; one that was not made says so', () => {
  const text = renderChecks(plain, [
    { name: 'digest', status: 'passed', detail: 'sha256:00' },
    { name: 'signer', status: 'failed', code: 'attest.signer', expected: 'a', found: 'b', fix: 'sign it' },
    { name: 'log', status: 'not_checked', detail: 'no proof' },
  ]);
  assert.equal(
    text,
    [
      '✓ passed      digest: sha256:00',
      '✗ failed      signer',
      '    expected: a',
      '    found: b',
      '    reason: attest.signer',
      '    fix: sign it',
      '– not checked log: no proof',
    ].join('\n'),
  );
});

test('an enrolment link and a bare token are understood, anything else is refused', () => {
  const token = generateToken('enrolment');
  assert.deepEqual(parseSecret(`https://localhost:8443/enrol#${token}`), { token, server: 'https://localhost:8443' });
  assert.deepEqual(parseSecret(token), { token, server: undefined });
  for (const wrong of ['', 'hello', `http://localhost/enrol#${token}`, token.slice(0, -1), `${token.slice(0, -1)}~`]) {
    assert.throws(() => parseSecret(wrong), { code: 'cli.token_malformed' });
  }
});

test('roles and times are read as they are written', () => {
  assert.deepEqual(parseGrant('developer@acme'), { role: 'developer', project: 'acme' });
  assert.deepEqual(parseGrant('owner'), { role: 'owner' });
  for (const wrong of ['king', 'developer@', 'developer@a@b', '']) assert.throws(() => parseGrant(wrong));
  assert.deepEqual(['30m', '12h', '7d'].map(parseDuration), [1800, 43_200, 604_800]);
  for (const wrong of ['', '0m', '5', 'h', '1w', '-1d']) assert.throws(() => parseDuration(wrong));
});

test('a login is kept in files that nobody else can read, and one that others can read is refused', async () => {
  const home = openHome({ env: { WAYBILL_HOME: join(directory, 'home') } });
  await home.saveLogin({ server: 'https://localhost:8443', ca: 'PEM' }, 'the token');
  assert.deepEqual(await home.login(), { server: 'https://localhost:8443', ca: 'PEM' });
  assert.equal(await home.token(), 'the token');
  assert.equal(statSync(join(home.directory, 'token')).mode & 0o777, 0o600);
  assert.equal(statSync(home.directory).mode & 0o777, 0o700);
  spawnSync('chmod', ['644', join(home.directory, 'token')]);
  await assert.rejects(home.token(), { code: 'cli.token_exposed' });
  assert.equal(await home.forgetLogin(), true);
  assert.equal(await home.token(), undefined);
});

test('the stored token is not sent to another server', async () => {
  const home = openHome({ env: { WAYBILL_HOME: join(directory, 'other') } });
  await home.saveLogin({ server: 'https://localhost:1', ca: undefined }, generateToken('access'));
  const env = { WAYBILL_HOME: home.directory };
  assert.equal((await transcribe(['project', 'list'], { env })).status, 7);
  const elsewhere = await transcribe(['project', 'list', '--server', 'https://localhost:2'], { env });
  assert.equal(elsewhere.status, 4);
  assert.match(elsewhere.stderr, /not logged in to https:\/\/localhost:2/);
});

test('the nearest word is offered only when it is near', () => {
  assert.equal(nearest('proyect', ['project', 'person']), 'project');
  assert.equal(nearest('xyz', ['project', 'person']), undefined);
});

test('completions know every noun, verb and flag', () => {
  const words = completionWords(commands);
  for (const command of commands) {
    assert.ok(words.get('')?.includes(command.noun));
    if (command.verb !== undefined) assert.ok(words.get(command.noun)?.includes(command.verb));
    for (const flag of flagsOf(command)) assert.ok(words.get(nameOf(command))?.includes(`--${flag.name}`));
  }
  for (const shell of shells) assert.ok(renderCompletion(shell, commands).includes('artifact'));
});

test('bash completes nouns, verbs and flags', () => {
  const script = renderCompletion('bash', commands);
  const complete = (...words: string[]): string[] => {
    const program = `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waybill; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', program, 'bash', 'waybill', ...words], { encoding: 'utf8' });
    return stdout.trim().split('\n');
  };
  assert.deepEqual(complete('art'), ['artifact']);
  assert.deepEqual(complete('artifact', 'pu'), ['push', 'pull']);
  assert.deepEqual(complete('artifact', 'pull', 'x', '--o'), ['--out']);
  assert.deepEqual(complete('version', '--j'), ['--json']);
  assert.deepEqual(complete('help', 'exit'), ['exit-codes']);
});

test('the reference page has every command and every exit status', () => {
  const page = renderCliReference();
  for (const command of commands) assert.ok(page.includes(`## waybill ${nameOf(command)}\n`));
  for (const { status } of Object.values(exitCodes)) assert.ok(page.includes(`| ${status} |`));
});
