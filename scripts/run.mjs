// The one entry of every npm script. Plain JavaScript without dependencies: it runs on the Node that a fresh machine has,
// installs what the task needs, and hands over to Node 24 (which is one of the npm packages).
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [task = 'help', ...args] = process.argv.slice(2);

/** A file that shows a package is there → the Debian package that brings it. */
const buildTools = {
  '/usr/bin/git': 'git',
  '/usr/bin/bwrap': 'bubblewrap',
  '/usr/bin/prlimit': 'util-linux',
  '/usr/bin/ssh-keygen': 'openssh-client',
  '/usr/bin/gcc': 'gcc',
  '/usr/bin/make': 'make',
  '/usr/include/stdio.h': 'libc6-dev',
  '/usr/bin/javac': 'openjdk-17-jdk-headless',
  '/usr/bin/jar': 'openjdk-17-jdk-headless',
};
const testTools = {
  ...buildTools,
  '/usr/bin/openssl': 'openssl',
  '/usr/bin/curl': 'curl',
  '/usr/bin/chromium': 'chromium',
  '/usr/bin/skopeo': 'skopeo',
};

const unit = ['--test', '--test-isolation=none', '--test-force-exit', 'src/**/*.test.ts', 'test/architecture.test.ts'];
const whole = ['--test', '--test-concurrency=2', '--test-force-exit', 'test/*.test.ts'];

const tasks = {
  start: { tools: buildTools, run: () => node(['src/cli/main.ts', 'up', ...args]) },
  demo: { tools: buildTools, run: () => node(['scripts/demo.ts', ...args]) },
  drill: { tools: testTools, run: () => node(['src/cli/main.ts', 'drill', ...args]) },
  bench: { tools: testTools, run: () => node(['bench/run.ts', ...args]) },
  check: { tools: buildTools, run: check },
  test: { tools: testTools, run: () => node(['scripts/test.ts', ...args]) },
  unit: { tools: buildTools, run: () => node(unit) },
  whole: { tools: testTools, run: () => node([...whole, ...args]) },
  fix: { tools: {}, run: () => bin('oxlint', ['--type-aware', '--fix']) || bin('oxfmt', ['.']) },
  interop: { tools: testTools, run: () => node(['test/interop.ts', ...args]) },
  verifier: { tools: {}, run: () => node(['scripts/build-verifier.ts', ...args]) },
  generate: { tools: {}, run: () => node(['scripts/generate.ts', ...args]) },
};

const chosen = tasks[task];
if (!chosen) {
  console.error(`Tasks: ${Object.keys(tasks).join(', ')}`);
  process.exit(2);
}
requireLinux();
installPackages();
installTools(chosen.tools);
process.exit(chosen.run());

function requireLinux() {
  if (process.platform === 'linux') return;
  console.error('Waybill builds in Linux sandboxes: run it on Linux (Debian 12 is what it is tested on).');
  process.exit(1);
}

/** `npm ci` when the lock file changed since the last one. */
function installPackages() {
  const stamp = join(root, 'node_modules', '.waybill-installed');
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(nodePath())) return;
  say('Installing the npm packages named in package-lock.json …');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci failed; its message is above.');
  if (!existsSync(nodePath())) {
    console.error(`npm brought no Node 24 for ${process.arch}: x64 and arm64 with glibc are supported.`);
    process.exit(1);
  }
  spawnSync(nodePath(), ['-e', `require('fs').writeFileSync(${JSON.stringify(stamp)}, ${JSON.stringify(wanted)})`]);
}

function installTools(tools) {
  const missing = [
    ...new Set(
      Object.entries(tools)
        .filter(([file]) => !existsSync(file))
        .map(([, name]) => name),
    ),
  ].toSorted((a, b) => a.localeCompare(b));
  if (missing.length === 0) return;
  const root_ = process.getuid?.() === 0;
  const sudo = !root_ && canSudo();
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing];
  if (!root_ && !sudo) {
    console.error(
      `These Debian packages are needed first:\n\n  sudo ${command.join(' ')}\n\nThen run the same command again.`,
    );
    process.exit(1);
  }
  say(`Installing Debian packages: ${missing.join(' ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const prefix = sudo ? ['sudo', '-n', '--preserve-env=DEBIAN_FRONTEND'] : [];
  const apt = (rest) => {
    const [program, ...words] = [...prefix, 'apt-get', ...rest];
    return spawnSync(program, words, { env, stdio: ['ignore', 'ignore', 'inherit'] }).status ?? 1;
  };
  apt(['update', '-q']);
  if (apt(command.slice(1)) !== 0) {
    console.error(`That failed. Install them by hand, then run this again:\n\n  ${command.join(' ')}`);
    process.exit(1);
  }
}

function canSudo() {
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
}

function check() {
  return (
    node([join('node_modules', 'typescript', 'bin', 'tsc'), '--noEmit']) ||
    node([join('node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '-p', 'src/web/client']) ||
    bin('oxlint', ['--type-aware', '--quiet']) ||
    bin('oxfmt', ['--check', '.']) ||
    node(unit)
  );
}

function nodePath() {
  const own = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  if (existsSync(own)) return own;
  return Number(process.versions.node.split('.')[0]) >= 24 ? process.execPath : own;
}

function node(words) {
  return program(nodePath(), words);
}

function bin(name, words) {
  return program(nodePath(), [join(root, 'node_modules', name, 'bin', name), ...words]);
}

function program(path, words) {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    console.error(`${path} cannot be run.`);
    return 1;
  }
  const env = { ...process.env, PATH: `${dirname(nodePath())}:${process.env.PATH ?? '/usr/bin:/bin'}` };
  const result = spawnSync(path, words, { cwd: root, stdio: 'inherit', env });
  return result.status ?? 1;
}

function run(command, words, message) {
  const result = spawnSync(command, words, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (result.status === 0) return;
  console.error(message);
  process.exit(1);
}

function say(text) {
  // Not to standard output: with --json that carries one document and nothing else.
  console.error(text);
}
