/** The hostile program of the self-test: what it tries inside the sandbox, and what must come of it. */
import { errno } from './seccomp.ts';
import { syscallNumber, type Architecture, type SyscallName } from './syscalls.ts';

export interface SyscallProbe {
  readonly name: string;
  readonly call: SyscallName | number;
  /** Numbers, `buf` for a zeroed buffer, or `str:TEXT`. */
  readonly args: readonly (number | string)[];
  readonly expect: keyof typeof errno | 'allowed';
}

const CLONE_NEWUSER = 0x10000000;
const SIGCHLD = 17;
const AT_FDCWD = -100;
const O_CREAT_WRONLY = 0o101;
const FIRST_UNKNOWN_SYSCALL = 463;

export const syscallProbes: readonly SyscallProbe[] = [
  { name: 'unshare(user)', call: 'unshare', args: [CLONE_NEWUSER], expect: 'EPERM' },
  { name: 'clone(user)', call: 'clone', args: [CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0], expect: 'EPERM' },
  { name: 'clone3', call: 'clone3', args: ['buf', 64], expect: 'ENOSYS' },
  { name: 'setns', call: 'setns', args: [-1, 0], expect: 'EPERM' },
  { name: 'keyctl', call: 'keyctl', args: [0, -3, 1], expect: 'EPERM' },
  { name: 'add_key', call: 'add_key', args: ['str:user', 'str:waybill', 'buf', 1, -3], expect: 'EPERM' },
  { name: 'io_uring_setup', call: 'io_uring_setup', args: [1, 'buf'], expect: 'ENOSYS' },
  { name: 'ptrace', call: 'ptrace', args: [16, 999_999, 0, 0], expect: 'EPERM' },
  { name: 'process_vm_readv', call: 'process_vm_readv', args: [1, 0, 0, 0, 0, 0], expect: 'EPERM' },
  { name: 'pidfd_getfd', call: 'pidfd_getfd', args: [-1, 0, 0], expect: 'EPERM' },
  { name: 'perf_event_open', call: 'perf_event_open', args: ['buf', 0, -1, -1, 0], expect: 'EPERM' },
  { name: 'bpf', call: 'bpf', args: [0, 'buf', 0], expect: 'EPERM' },
  { name: 'userfaultfd', call: 'userfaultfd', args: [0], expect: 'EPERM' },
  { name: 'mount', call: 'mount', args: ['str:none', 'str:/tmp', 'str:tmpfs', 0, 0], expect: 'EPERM' },
  { name: 'umount2', call: 'umount2', args: ['str:/tmp', 2], expect: 'EPERM' },
  { name: 'fsopen', call: 'fsopen', args: ['str:tmpfs', 0], expect: 'ENOSYS' },
  { name: 'pivot_root', call: 'pivot_root', args: ['str:/tmp', 'str:/tmp'], expect: 'EPERM' },
  { name: 'chroot', call: 'chroot', args: ['str:/tmp'], expect: 'EPERM' },
  { name: 'socket(AF_VSOCK)', call: 'socket', args: [40, 1, 0], expect: 'EAFNOSUPPORT' },
  { name: 'socket(AF_PACKET)', call: 'socket', args: [17, 3, 0], expect: 'EAFNOSUPPORT' },
  { name: 'socket(AF_NETLINK, netfilter)', call: 'socket', args: [16, 3, 12], expect: 'EPERM' },
  { name: 'socket(AF_NETLINK, route)', call: 'socket', args: [16, 3, 0], expect: 'allowed' },
  { name: 'socket(AF_INET)', call: 'socket', args: [2, 1, 0], expect: 'allowed' },
  { name: 'socket(AF_UNIX)', call: 'socket', args: [1, 1, 0], expect: 'allowed' },
  { name: 'ioctl(TIOCSTI)', call: 'ioctl', args: [0, 0x5412, 'buf'], expect: 'EPERM' },
  { name: 'ioctl(TIOCLINUX)', call: 'ioctl', args: [0, 0x541c, 'buf'], expect: 'EPERM' },
  { name: 'fchmodat(set-uid)', call: 'fchmodat', args: [AT_FDCWD, 'str:/tmp', 0o4755], expect: 'EPERM' },
  {
    name: 'openat(set-uid)',
    call: 'openat',
    args: [AT_FDCWD, 'str:/tmp/suid', O_CREAT_WRONLY, 0o4755],
    expect: 'EPERM',
  },
  {
    name: 'openat(create)',
    call: 'openat',
    args: [AT_FDCWD, 'str:/tmp/plain', O_CREAT_WRONLY, 0o755],
    expect: 'allowed',
  },
  { name: 'openat2', call: 'openat2', args: [AT_FDCWD, 'str:/tmp', 'buf', 24], expect: 'ENOSYS' },
  { name: 'a call newer than Linux 6.1', call: FIRST_UNKNOWN_SYSCALL, args: [], expect: 'ENOSYS' },
];

/** The probes as arguments of the Perl program: `name|number|arg|arg…`. */
export function encodeProbes(architecture: Architecture): string[] {
  return syscallProbes.flatMap(({ name, call, args }) => {
    const number = typeof call === 'number' ? call : syscallNumber(architecture, call);
    return number === undefined ? [] : [[name, number, ...args].join('|')];
  });
}

/**
 * Perl, because perl-base is on every Debian and can make any system call. It prints `key TAB value` lines.
 * Arguments: host file, host TCP port, abstract socket name, then the encoded system call probes.
 */
export const probeProgram = String.raw`
use strict; use Socket;
$| = 1;
my ($host_file, $port, $abstract, @calls) = @ARGV;
sub tell_line { my ($k, $v) = @_; $v =~ s/[\n\t]/ /g; print "$k\t$v\n"; }
sub slurp { open(my $f, '<', $_[0]) or return undef; local $/; my $t = <$f>; $t }
sub names { opendir(my $d, $_[0]) or return (); grep { $_ ne '.' && $_ ne '..' } readdir $d }

tell_line('uid', "$< $>");
my $status = slurp('/proc/self/status');
for my $field (qw(CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp)) { tell_line($field, $status =~ /^$field:\s*(\S+)/m ? $1 : '') }
my $environ = slurp('/proc/1/environ');
tell_line('init-environment', defined $environ ? length $environ : 'unreadable');
tell_line('environment', join ',', sort keys %ENV);
tell_line('descriptors', join ',', sort { $a <=> $b } grep { defined readlink "/proc/self/fd/$_" } names('/proc/self/fd'));
tell_line('hostname', (slurp('/proc/sys/kernel/hostname') =~ s/\n//r));
tell_line('processes', join ',', sort { $a <=> $b } grep { /^\d+$/ } names('/proc'));
tell_line('interfaces', join ',', sort map { /^\s*(\S+):/ ? $1 : () } split /\n/, slurp('/proc/net/dev') // '');
tell_line('routes', scalar(grep { /\S/ } split /\n/, slurp('/proc/net/route') // '') - 1);
tell_line('root', join ',', sort { $a cmp $b } names('/'));
tell_line('host-file', join ',', grep { -e "$_$host_file" } '', map { "/$_" } names('/'));
tell_line('host-secrets', join ',', grep { -e $_ } qw(/etc/shadow /etc/sudoers /etc/ssh /root /var /run /sys /boot /srv /mnt));
for my $dir ('/', '/usr', '/etc', '/dev', '/opt/waybill', '/proc/sys/kernel') {
  my $made = open(my $f, '>', "$dir/waybill-probe") ? 1 : 0;
  tell_line("write $dir", $made ? 'allowed' : 'refused');
}
for my $dir ('/ws', '/home/build', '/tmp', '/dev/shm') {
  my $made = open(my $f, '>', "$dir/waybill-probe") ? 1 : 0;
  tell_line("write $dir", $made ? 'allowed' : 'refused'); unlink "$dir/waybill-probe";
}
sub try_connect {
  my ($family, $address) = @_;
  socket(my $s, $family, SOCK_STREAM, 0) or return "no socket: $!";
  local $SIG{ALRM} = sub { die "timed out\n" };
  my $answer = eval { alarm 2; my $r = connect($s, $address) ? 'connected' : "$!"; alarm 0; $r } // 'timed out';
  return $answer;
}
tell_line('connect loopback', try_connect(PF_INET, pack_sockaddr_in($port, inet_aton('127.0.0.1'))));
tell_line('connect metadata', try_connect(PF_INET, pack_sockaddr_in(80, inet_aton('169.254.169.254'))));
tell_line('connect abstract', try_connect(PF_UNIX, pack('S a*', PF_UNIX, "\0$abstract")));
my %limit_of = ('address space' => 'as', 'processes' => 'nproc', 'file size' => 'fsize', 'cpu time' => 'cpu', 'open files' => 'nofile', 'core file size' => 'core');
for my $line (split /\n/, slurp('/proc/self/limits')) { $line =~ /^Max (.+?)\s{2,}(\S+)\s+(\S+)/ and $limit_of{$1} and tell_line("limit $limit_of{$1}", "$2 $3") }
for my $dir ('/tmp', '/dev/shm') { my $size = qx(/usr/bin/df -B1 --output=size $dir); tell_line("size $dir", $size =~ /(\d+)\s*$/ ? $1 : ''); }

for my $spec (@calls) {
  my ($name, $number, @args) = split /\|/, $spec;
  my @real = map { $_ eq 'buf' ? "\0" x 256 : /^str:(.*)/s ? "$1\0" : $_ + 0 } @args;
  $! = 0;
  my $result = syscall($number, @real);
  my $error = $! + 0;
  if ($name =~ /^clone/ && $result == 0) { kill 9, $$ }
  tell_line("syscall $name", $result == -1 ? $error : 'allowed');
}
tell_line('done', 1);
`;
