/**
 * The system call filter of a sandbox, assembled as classic BPF for `bwrap --seccomp FD` (man 2 seccomp, linux/filter.h).
 *
 * Default is allow: builds run arbitrary compilers. Refused are the calls that reach shared kernel state a namespace does
 * not split (keyrings, io_uring, perf, bpf, AF_VSOCK), the ways to gain new namespaces or mounts, tracing, terminal
 * injection, and the creation of set-uid files, which would survive on the host under the runner's uid.
 */
import {
  AUDIT_ARCHITECTURE,
  NEWEST_KNOWN_SYSCALL,
  syscallNumber,
  type Architecture,
  type SyscallName,
} from './syscalls.ts';

export const errno = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 } as const;
type Errno = keyof typeof errno;

/** What a rule looks at: all calls of that name, or those whose argument matches. */
type Rule =
  | { readonly call: SyscallName; readonly answer: Errno }
  | { readonly call: SyscallName; readonly answer: Errno; readonly argument: number; readonly anyBit: number }
  | {
      readonly call: SyscallName;
      readonly answer: Errno;
      readonly argument: number;
      readonly equals: readonly number[];
    }
  | {
      readonly call: SyscallName;
      readonly answer: Errno;
      readonly argument: number;
      readonly unlessOneOf: readonly number[];
    };

const refuseAlways = (answer: Errno, ...calls: SyscallName[]): Rule[] => calls.map((call) => ({ call, answer }));

const CLONE_NEWTIME_TO_NEWNET = 0x7e020080; // NEWNS, CGROUP, UTS, IPC, USER, PID, NET and TIME
const SET_ID_BITS = 0o6000;
const [TIOCSTI, TIOCLINUX] = [0x5412, 0x541c];
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const NETLINK_ROUTE = 0; // what getifaddrs needs; the other netlink protocols are kernel surface no build needs

export const rules: readonly Rule[] = [
  // New namespaces and mounts. clone3 hides its flags behind a pointer: ENOSYS makes libc fall back to clone.
  { call: 'clone', answer: 'EPERM', argument: 0, anyBit: CLONE_NEWTIME_TO_NEWNET },
  { call: 'unshare', answer: 'EPERM', argument: 0, anyBit: CLONE_NEWTIME_TO_NEWNET },
  ...refuseAlways(
    'ENOSYS',
    'clone3',
    'fsopen',
    'fsconfig',
    'fsmount',
    'fspick',
    'move_mount',
    'open_tree',
    'mount_setattr',
  ),
  ...refuseAlways('EPERM', 'setns', 'mount', 'umount2', 'pivot_root', 'chroot'),
  // Kernel objects that are shared by uid or by machine, not by namespace.
  ...refuseAlways(
    'EPERM',
    'keyctl',
    'add_key',
    'request_key',
    'bpf',
    'perf_event_open',
    'userfaultfd',
    'fanotify_init',
    'syslog',
  ),
  ...refuseAlways('ENOSYS', 'io_uring_setup', 'io_uring_enter', 'io_uring_register'),
  ...refuseAlways(
    'EPERM',
    'name_to_handle_at',
    'open_by_handle_at',
    'lookup_dcookie',
    'quotactl',
    'quotactl_fd',
    'acct',
  ),
  ...refuseAlways('EPERM', 'init_module', 'finit_module', 'delete_module', 'kexec_load', 'kexec_file_load', 'reboot'),
  ...refuseAlways('EPERM', 'swapon', 'swapoff', 'sethostname', 'setdomainname', 'iopl', 'ioperm', 'uselib', 'vhangup'),
  ...refuseAlways('EPERM', 'settimeofday', 'clock_settime', 'clock_adjtime', 'adjtimex'),
  // Looking into, or taking from, other processes.
  ...refuseAlways('EPERM', 'ptrace', 'process_vm_readv', 'process_vm_writev', 'process_madvise', 'kcmp', 'pidfd_getfd'),
  // Sockets: the network namespace splits these four families; AF_VSOCK and others reach past it.
  { call: 'socket', answer: 'EAFNOSUPPORT', argument: 0, unlessOneOf: [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] },
  { call: 'socketpair', answer: 'EAFNOSUPPORT', argument: 0, unlessOneOf: [AF_UNIX] },
  { call: 'ioctl', answer: 'EPERM', argument: 1, equals: [TIOCSTI, TIOCLINUX] },
  // Set-uid and set-gid files. openat2 hides its mode behind a pointer.
  { call: 'chmod', answer: 'EPERM', argument: 1, anyBit: SET_ID_BITS },
  { call: 'fchmod', answer: 'EPERM', argument: 1, anyBit: SET_ID_BITS },
  { call: 'fchmodat', answer: 'EPERM', argument: 2, anyBit: SET_ID_BITS },
  { call: 'mknod', answer: 'EPERM', argument: 1, anyBit: SET_ID_BITS },
  { call: 'mknodat', answer: 'EPERM', argument: 2, anyBit: SET_ID_BITS },
  { call: 'creat', answer: 'EPERM', argument: 1, anyBit: SET_ID_BITS },
  ...refuseAlways('ENOSYS', 'openat2'),
];

/** open and openat carry a mode only with O_CREAT or O_TMPFILE; without them the register holds whatever was there. */
const opens = [
  { call: 'open', flags: 1, mode: 2 },
  { call: 'openat', flags: 2, mode: 3 },
] as const;
const O_CREAT_OR_TMPFILE = 0o100 | 0o20000000;

const BPF_LD_W_ABS = 0x20;
const BPF_JEQ = 0x15;
const BPF_JGE = 0x35;
const BPF_JGT = 0x25;
const BPF_JSET = 0x45;
const BPF_RET = 0x06;
const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const OFFSET_NR = 0;
const OFFSET_ARCHITECTURE = 4;
const offsetOfArgument = (index: number): number => 16 + 8 * index; // low 32 bits, little endian
const X32_BIT = 0x40000000;

interface Instruction {
  readonly code: number;
  readonly whenTrue: number;
  readonly whenFalse: number;
  readonly k: number;
}

const load = (offset: number): Instruction => ({ code: BPF_LD_W_ABS, whenTrue: 0, whenFalse: 0, k: offset });
const jump = (code: number, k: number, whenTrue: number, whenFalse: number): Instruction => ({
  code,
  whenTrue,
  whenFalse,
  k,
});
const ret = (k: number): Instruction => ({ code: BPF_RET, whenTrue: 0, whenFalse: 0, k });
const refuse = (answer: Errno): Instruction => ret(0x00050000 | errno[answer]);

/** The filter as the bytes of `struct sock_filter[]`. */
export function buildFilter(architecture: Architecture): Buffer {
  const program: Instruction[] = [
    load(OFFSET_ARCHITECTURE),
    jump(BPF_JEQ, AUDIT_ARCHITECTURE[architecture], 1, 0),
    ret(KILL_PROCESS),
    load(OFFSET_NR),
    jump(BPF_JGE, X32_BIT, 0, 1),
    ret(KILL_PROCESS),
    jump(BPF_JGT, NEWEST_KNOWN_SYSCALL, 0, 1),
    refuse('ENOSYS'),
  ];
  for (const rule of rules) {
    const number = syscallNumber(architecture, rule.call);
    if (number !== undefined) program.push(...guardedBy(number, matchOf(rule)));
  }
  for (const { call, flags, mode } of opens) {
    const number = syscallNumber(architecture, call);
    if (number === undefined) continue;
    program.push(
      ...guardedBy(number, [
        load(offsetOfArgument(flags)),
        jump(BPF_JSET, O_CREAT_OR_TMPFILE, 0, 3),
        load(offsetOfArgument(mode)),
        jump(BPF_JSET, SET_ID_BITS, 0, 1),
        refuse('EPERM'),
      ]),
    );
  }
  program.push(
    ...guardedBy(required(architecture, 'socket'), [
      load(offsetOfArgument(0)),
      jump(BPF_JEQ, AF_NETLINK, 0, 3),
      load(offsetOfArgument(2)),
      jump(BPF_JEQ, NETLINK_ROUTE, 1, 0),
      refuse('EPERM'),
    ]),
    ret(ALLOW),
  );
  return encode(program);
}

function required(architecture: Architecture, call: SyscallName): number {
  const number = syscallNumber(architecture, call);
  if (number === undefined) throw new Error(`${architecture} has no ${call}`);
  return number;
}

/** Instructions that end in a refusal when the rule's argument matches and fall through otherwise. */
function matchOf(rule: Rule): Instruction[] {
  if ('anyBit' in rule) {
    return [load(offsetOfArgument(rule.argument)), jump(BPF_JSET, rule.anyBit, 0, 1), refuse(rule.answer)];
  }
  if ('equals' in rule) {
    const tests = rule.equals.flatMap((value) => [jump(BPF_JEQ, value, 0, 1), refuse(rule.answer)]);
    return [load(offsetOfArgument(rule.argument)), ...tests];
  }
  if ('unlessOneOf' in rule) {
    const count = rule.unlessOneOf.length;
    const tests = rule.unlessOneOf.map((value, index) => jump(BPF_JEQ, value, count - index, 0));
    return [load(offsetOfArgument(rule.argument)), ...tests, refuse(rule.answer)];
  }
  return [refuse(rule.answer)];
}

/** Runs `body` for one call number only, then restores the number for the rules that follow. */
function guardedBy(number: number, body: readonly Instruction[]): Instruction[] {
  const reload = body.length > 1 ? [load(OFFSET_NR)] : [];
  return [jump(BPF_JEQ, number, 0, body.length + reload.length), ...body, ...reload];
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, whenTrue, whenFalse, k }, index) => {
    if (whenTrue > 255 || whenFalse > 255) throw new Error('seccomp jump out of range');
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
  });
  return bytes;
}
