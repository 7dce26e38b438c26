/**
 * The toolchain a build sees: the host's /usr, read-only, and an /etc of our own making.
 * The host's /etc holds secrets and names of the machine, so nothing of it is mounted; what programs need is copied by fixed name.
 */
import { cp, lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { insideUser } from './profile.ts';

const written: Readonly<Record<string, string>> = {
  passwd: `root:x:0:0:root:/:/usr/sbin/nologin\n${insideUser.name}:x:${insideUser.uid}:${insideUser.gid}:build:/home/build:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
  group: `root:x:0:\n${insideUser.name}:x:${insideUser.gid}:\nnogroup:x:65534:\n`,
  hosts: `127.0.0.1 localhost ${insideUser.hostname}\n::1 localhost\n`,
  hostname: `${insideUser.hostname}\n`,
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n',
  'resolv.conf': '',
  'machine-id': '',
  timezone: 'Etc/UTC\n',
  'host.conf': 'multi on\n',
};

/** Public files of the distribution that programs look for; absent ones are skipped. */
const copiedFiles = ['ld.so.cache', 'services', 'protocols', 'mime.types', 'magic', 'debian_version', 'bash.bashrc'];
const copiedTrees = [
  /^ld\.so\.conf\.d$/,
  /^java-\d+-openjdk$/,
  /^alternatives$/,
  /^perl$/,
  /^python3(\.\d+)?$/,
  /^ca-certificates$/,
];

/** Builds the directory anew. It must lie where no build can write. */
export async function buildEtc(target: string, source = '/etc'): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(written)) await writeFile(join(target, name), text, { mode: 0o644 });
  for (const name of copiedFiles) await copyPublic(join(source, name), join(target, name));
  for (const name of await readdir(source)) {
    if (copiedTrees.some((pattern) => pattern.test(name))) await copyPublic(join(source, name), join(target, name));
  }
  await mkdir(join(target, 'ssl/certs'), { recursive: true });
  await copyPublic(join(source, 'ssl/certs/ca-certificates.crt'), join(target, 'ssl/certs/ca-certificates.crt'));
  await copyPublic(join(source, 'ssl/certs/java'), join(target, 'ssl/certs/java'));
  await symlink('/usr/share/zoneinfo/Etc/UTC', join(target, 'localtime'));
}

const OTHERS_MAY_READ = 0o004;

/** Copies what every user of the host may read anyway; symlinks stay symlinks, and only those into /usr or /etc are kept. */
async function copyPublic(from: string, to: string): Promise<void> {
  const stat = await lstat(from).catch(() => undefined);
  if (stat === undefined) return;
  if (stat.isSymbolicLink()) {
    const aim = await readlink(from);
    if (!aim.startsWith('/') || aim.startsWith('/usr/') || aim.startsWith('/etc/')) await symlink(aim, to);
  } else if ((stat.mode & OTHERS_MAY_READ) === 0) {
    return;
  } else if (stat.isDirectory()) {
    await mkdir(to, { mode: 0o755, recursive: true });
    for (const name of await readdir(from)) await copyPublic(join(from, name), join(to, name));
  } else if (stat.isFile()) {
    await cp(from, to);
  }
}

/** Version of each Debian package among `names` that is installed, for provenance. Empty where there is no dpkg. */
export async function installedPackages(
  names: readonly string[],
): Promise<Record<string, { version: string; architecture: string }>> {
  const text = await readFile('/var/lib/dpkg/status', 'utf8').catch(() => '');
  const wanted = new Set(names);
  const found: Record<string, { version: string; architecture: string }> = {};
  for (const paragraph of text.split('\n\n')) {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1];
    const name = field('Package');
    const version = field('Version');
    if (name === undefined || version === undefined || !wanted.has(name)) continue;
    if (field('Status') === 'install ok installed')
      found[name] = { version, architecture: field('Architecture') ?? 'all' };
  }
  return found;
}
