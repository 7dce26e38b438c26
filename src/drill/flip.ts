import { chmod, readFile, stat, writeFile } from 'node:fs/promises';

/** Flips one bit of a file, as root would or a bad disk; the answer puts it back. */
export async function flipByte(path: string, at = -1): Promise<() => Promise<void>> {
  const before = await readFile(path);
  const { mode } = await stat(path);
  const after = Buffer.from(before);
  const position = at < 0 ? after.length + at : at;
  after[position] = after[position]! ^ 1;
  await chmod(path, 0o600);
  await writeFile(path, after);
  await chmod(path, mode & 0o777);
  return async () => {
    await chmod(path, 0o600);
    await writeFile(path, before);
    await chmod(path, mode & 0o777);
  };
}
