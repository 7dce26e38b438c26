import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProcesses, openSandbox, type Protection, type Sandbox } from '#sandbox';
import type { Attempt, Drill, Stage } from './drill.ts';

/** A machine with a runner's sandbox on it, and somebody's workspace. */
interface Cell {
  sandbox: Sandbox;
  /** The workspace, as the host sees it. */
  workspace: string;
  /** Runs a Perl program as a step; what it prints is the answer. Perl is on every Debian and can make any system call. */
  perl(program: string, ...words: string[]): Promise<string>;
}

async function openCell({ dir, switches }: Stage, name = 'job'): Promise<Cell> {
  const { sandbox: without } = switches;
  const sandbox = await openSandbox({
    dir: join(dir, 'sandbox'),
    limits: { wallClockMs: 20_000 },
    ...(without === undefined ? {} : { without }),
  });
  const [workspace, home] = [join(dir, name, 'ws'), join(dir, name, 'home')];
  // A sandbox under a uid of its own has to reach its directory; it can list nothing on the way.
  await mkdir(join(dir, name), { mode: 0o711 });
  for (const path of [workspace, home]) await sandbox.createDirectory(path);
  return {
    sandbox,
    workspace,
    async perl(program, ...words) {
      let text = '';
      const argv = ['/usr/bin/perl', '-e', `use strict; use Socket; $| = 1; ${program}`, '--', ...words];
      await sandbox.run({ argv, mounts: { workspace, home }, onOutput: (bytes) => void (text += bytes.toString()) });
      return text.trim();
    },
  };
}

/** The program prints `got …` when it got through and otherwise what stopped it. */
function judge(printed: string, hasGot = printed.startsWith('got')): Attempt {
  return { succeeded: hasGot, detail: printed || 'it printed nothing', ...(printed === '' ? {} : { code: printed }) };
}

async function listenOn(where: number | string): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined).end('welcome'));
  server.listen(typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where });
  await once(server, 'listening');
  return server;
}

const CONNECT = `sub try_it { my ($family, $address) = @_; socket(my $s, $family, SOCK_STREAM, 0) or return "no socket: $!";
  local $SIG{ALRM} = sub { die "timed out" }; alarm 3; my $ok = eval { connect($s, $address) }; my $why = "$!"; alarm 0;
  return $ok ? 'got through' : $why; }`;

interface SandboxDrill {
  id: string;
  title: string;
  threats: readonly string[];
  control: string;
  refusal: RegExp;
  without: Protection;
  attack: (cell: Cell, stage: Stage) => Promise<Attempt>;
}

const sandboxDrill = ({ without, attack, ...drill }: SandboxDrill): Drill => ({
  ...drill,
  controlOff: { sandbox: without },
  attack: async (stage) => attack(await openCell(stage), stage),
  async legitimate(stage) {
    const cell = await openCell(stage, 'honest');
    const printed = await cell.perl('open(my $f, ">", "/ws/out") or die $!; print $f "built"; close $f; print "done"');
    const built = await readFile(join(cell.workspace, 'out'), 'utf8');
    if (printed !== 'done' || built !== 'built') throw new Error(`an honest step printed ${printed}`);
    return 'an honest step writes its output';
  },
});

const network = { control: 'no network in a build', without: 'network', threats: ['B27', 'SEC-5', 'N10'] } as const;

const networkDrills: readonly Drill[] = [
  sandboxDrill({
    ...network,
    id: 'build-tcp',
    title: 'A build connects to a service of the host by TCP',
    refusal: /refused|unreachable/i,
    async attack(cell) {
      const server = await listenOn(0);
      const { port } = server.address() as AddressInfo;
      const program = `${CONNECT} print try_it(PF_INET, pack_sockaddr_in($ARGV[0], inet_aton("127.0.0.1")));`;
      return judge(await cell.perl(program, String(port)).finally(() => server.close()));
    },
  }),
  sandboxDrill({
    ...network,
    id: 'build-udp',
    title: 'A build sends a datagram, as a name look-up would',
    refusal: /^nothing arrived/,
    async attack(cell) {
      const socket = createSocket('udp4');
      let heard = '';
      socket.on('message', (message) => (heard += message.toString()));
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      const program = `socket(my $s, PF_INET, SOCK_DGRAM, 0) or die "no socket: $!";
        send($s, "secret", 0, pack_sockaddr_in($ARGV[0], inet_aton("127.0.0.1"))) ? print "sent" : print "not sent: $!";`;
      const printed = await cell.perl(program, String(socket.address().port));
      await sleep(100);
      socket.close();
      return judge(heard === 'secret' ? 'got out' : `nothing arrived (${printed})`);
    },
  }),
  sandboxDrill({
    ...network,
    id: 'build-abstract-socket',
    title: 'A build connects to an abstract socket of the host, as a message bus has',
    refusal: /refused/i,
    async attack(cell, { dir }) {
      const name = dir.replaceAll('/', '-');
      const server = await listenOn(`\0${name}`);
      const program = `${CONNECT} print try_it(PF_UNIX, pack('S a*', PF_UNIX, "\\0$ARGV[0]"));`;
      return judge(await cell.perl(program, name).finally(() => server.close()));
    },
  }),
  sandboxDrill({
    id: 'build-vsock',
    title: 'A build opens an AF_VSOCK socket, the way out of a virtual machine',
    threats: ['B27', 'SEC-5'],
    control: 'system call filter',
    refusal: /not supported/i,
    without: 'seccomp',
    attack: async (cell) =>
      judge(await cell.perl('socket(my $s, 40, SOCK_STREAM, 0) ? print "got a socket" : print "no socket: $!"')),
  }),
];

const ownFiles = {
  control: 'no files of the host but /usr',
  without: 'own-files',
  threats: ['B3', 'B30', 'SEC-7'],
} as const;

/** Under its own path, or wherever a part of the host may be mounted. */
const FIND = 'my ($path) = grep { -e $_ } map { "$_$ARGV[0]" } "", map { "/$_" } qw(host oldroot newroot mnt run);';

const fileDrills: readonly Drill[] = [
  sandboxDrill({
    ...ownFiles,
    id: 'build-unix-socket',
    title: 'A build connects to a socket file of the host, as a container engine has',
    refusal: /^no such socket/,
    async attack(cell, { dir }) {
      const path = join(dir, 'engine.sock');
      const server = await listenOn(path);
      await chmod(path, 0o777);
      const program = `${CONNECT} ${FIND} print defined $path ? try_it(PF_UNIX, pack_sockaddr_un($path)) : "no such socket";`;
      return judge(await cell.perl(program, path).finally(() => server.close()));
    },
  }),
  sandboxDrill({
    ...ownFiles,
    id: 'build-host-file',
    title: 'A build reads a file of the host that everybody may read',
    refusal: /^no such file/,
    async attack(cell, { dir }) {
      const path = join(dir, 'host-file');
      await writeFile(path, 'a secret of the host', { mode: 0o644 });
      return judge(await cell.perl(READ, path));
    },
  }),
  sandboxDrill({
    ...ownFiles,
    id: 'build-other-build',
    title: 'A build reads the workspace of another build on the same machine',
    refusal: /^no such file/,
    async attack(cell, stage) {
      const other = await openCell(stage, 'other');
      await other.perl('open(my $f, ">", "/ws/wip") or die $!; print $f "work of somebody else"');
      return judge(await cell.perl(READ, join(other.workspace, 'wip')));
    },
  }),
  sandboxDrill({
    id: 'build-setuid',
    title: 'A build leaves a set-uid program behind',
    threats: ['B34', 'SEC-5'],
    control: 'system call filter',
    refusal: /not permitted/i,
    without: 'seccomp',
    async attack(cell) {
      const program = `open(my $f, ">", "/ws/suid") or die $!; close $f; my $ok = chmod(04755, "/ws/suid"); print $ok ? "got it" : "$!";`;
      const printed = await cell.perl(program);
      const { mode } = await stat(join(cell.workspace, 'suid'));
      return judge(printed, (mode & 0o4000) !== 0);
    },
  }),
];

const READ = `${FIND} if (!defined $path) { print "no such file"; exit } open(my $f, "<", $path) or do { print "$!"; exit }; print "got ", <$f>;`;

const processes = {
  control: 'a build sees its own processes alone',
  without: 'processes',
  threats: ['B3', 'B30', 'N2'],
} as const;

const processDrills: readonly Drill[] = [
  sandboxDrill({
    id: 'build-runner-environment',
    title: 'A build reads the environment of every process it can see',
    threats: ['B3', 'B30', 'N2', 'TANSTACK-2026'],
    control: 'the runner’s environment stays outside',
    refusal: /^nothing in \d+ processes$/,
    without: 'empty-environment',
    async attack(cell) {
      // Of the process that starts the sandbox, which is this one; not a secret, but it lies where secrets would.
      const known = `PATH=${process.env['PATH'] ?? ''}`;
      const program = `opendir(my $d, "/proc"); my @pids = grep { /^\\d+$/ } readdir $d; for my $pid (@pids) {
        open(my $f, "<", "/proc/$pid/environ") or next; local $/; my $text = <$f> // '';
        if (grep { $_ eq $ARGV[0] } split /\\0/, $text) { print "got the environment of process $pid"; exit } }
        print "nothing in ", scalar @pids, " processes";`;
      return judge(await cell.perl(program, known));
    },
  }),
  sandboxDrill({
    ...processes,
    id: 'build-other-processes',
    title: 'A build reads the command lines of other processes on the machine',
    refusal: /^nothing in \d+ processes$/,
    async attack(cell, { dir }) {
      const marker = `drill-victim-${dir.split('/').at(-1)}`;
      const victim = spawn('/bin/sh', ['-c', 'sleep 30; true', marker], { env: {}, stdio: 'ignore', cwd: '/' });
      try {
        await once(victim, 'spawn');
        const program = `opendir(my $d, "/proc"); my @pids = grep { /^\\d+$/ && $_ != $$ } readdir $d; for my $pid (@pids) {
          open(my $f, "<", "/proc/$pid/cmdline") or next; local $/; my $text = <$f> // '';
          if ($text =~ /^\\/bin\\/sh\\0.*\\Q$ARGV[0]\\E/s) { print "got the command line of process $pid"; exit } }
          print "nothing in ", scalar @pids, " processes";`;
        return judge(await cell.perl(program, marker));
      } finally {
        victim.kill('SIGKILL');
      }
    },
  }),
  sandboxDrill({
    ...processes,
    id: 'build-daemon',
    title: 'A build leaves a daemon behind that outlives its step',
    refusal: /^no process is left$/,
    async attack(cell, { dir }) {
      const marker = `waybill-drill-daemon-${dir.split('/').at(-1)}`;
      const program = `use POSIX; $SIG{HUP} = $SIG{TERM} = 'IGNORE'; if (fork == 0) { POSIX::setsid(); if (fork == 0) {
        open(STDIN, "<", "/dev/null"); open(STDOUT, ">", "/dev/null"); open(STDERR, ">", "/dev/null"); sleep 30 } exit } sleep 1; print "left";`;
      await cell.perl(program, marker);
      const left = await findProcesses(marker);
      for (const pid of left) process.kill(pid, 'SIGKILL');
      return judge(left.length > 0 ? `got ${left.length} processes` : 'no process is left');
    },
  }),
];

export const sandboxDrills: readonly Drill[] = [...networkDrills, ...fileDrills, ...processDrills];
