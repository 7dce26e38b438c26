import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildFilter, errno } from './seccomp.ts';
import { AUDIT_ARCHITECTURE, type Architecture, syscallNumber } from './syscalls.ts';

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;

/** A classic BPF interpreter for the few instructions the filter uses; the kernel's answer is tested in sandbox.test.ts. */
function interpret(filter: Buffer, arch: number, nr: number, args: readonly number[] = []): number {
  const input = Buffer.alloc(64);
  input.writeUInt32LE(nr >>> 0, 0);
  input.writeUInt32LE(arch, 4);
  args.forEach((value, index) => input.writeUInt32LE(value >>> 0, 16 + index * 8));
  let a = 0;
  for (let pc = 0; pc * 8 < filter.length; pc++) {
    const code = filter.readUInt16LE(pc * 8);
    const k = filter.readUInt32LE(pc * 8 + 4);
    const test = { 0x15: a === k, 0x35: a >= k, 0x25: a > k, 0x45: (a & k) !== 0 }[code];
    if (code === 0x20) a = input.readUInt32LE(k);
    else if (code === 0x06) return k;
    else if (test !== undefined) pc += filter.readUInt8(pc * 8 + (test ? 2 : 3));
    else throw new Error(`unknown instruction ${code}`);
  }
  throw new Error('the filter has no end');
}

for (const architecture of ['x86_64', 'aarch64'] satisfies Architecture[]) {
  describe(`system call filter, ${architecture}`, () => {
    const filter = buildFilter(architecture);
    const call = (name: Parameters<typeof syscallNumber>[1], ...args: number[]): number =>
      interpret(filter, AUDIT_ARCHITECTURE[architecture], syscallNumber(architecture, name) ?? -1, args);
    const refusal = (name: keyof typeof errno): number => 0x00050000 | errno[name];

    test('a foreign architecture and the x32 ABI are killed', () => {
      assert.equal(interpret(filter, 0x40000003, 1), KILL);
      assert.equal(interpret(filter, AUDIT_ARCHITECTURE[architecture], 0x40000000 + 39), KILL);
    });
    test('a call without a rule is allowed, one from a newer kernel does not exist', () => {
      assert.equal(interpret(filter, AUDIT_ARCHITECTURE[architecture], 63), ALLOW);
      assert.equal(interpret(filter, AUDIT_ARCHITECTURE[architecture], 451), refusal('ENOSYS'));
    });
    test('threads and forks are allowed, new namespaces are not', () => {
      assert.equal(call('clone', 0x3d0f00), ALLOW);
      for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
        assert.equal(call('clone', flag | 17), refusal('EPERM'));
        assert.equal(call('unshare', flag), refusal('EPERM'));
      }
    });
    test('four socket families are allowed, netlink only to the routing table', () => {
      for (const family of [1, 2, 10]) assert.equal(call('socket', family, 1, 0), ALLOW);
      assert.equal(call('socket', 16, 3, 0), ALLOW);
      assert.equal(call('socket', 16, 3, 12), refusal('EPERM'));
      for (const family of [0, 3, 17, 38, 40]) assert.equal(call('socket', family, 1, 0), refusal('EAFNOSUPPORT'));
    });
    test('a mode counts only where the call creates a file', () => {
      assert.equal(call('openat', 0, 0, 0, 0o4755), ALLOW);
      assert.equal(call('openat', 0, 0, 0o101, 0o755), ALLOW);
      assert.equal(call('openat', 0, 0, 0o101, 0o4755), refusal('EPERM'));
      assert.equal(call('fchmod', 3, 0o2755), refusal('EPERM'));
    });
    test('keyrings, io_uring, tracing and terminal injection are refused', () => {
      assert.equal(call('keyctl'), refusal('EPERM'));
      assert.equal(call('io_uring_setup'), refusal('ENOSYS'));
      assert.equal(call('ptrace'), refusal('EPERM'));
      assert.equal(call('ioctl', 0, 0x5412), refusal('EPERM'));
      assert.equal(call('ioctl', 0, 0x5401), ALLOW);
    });
  });
}
