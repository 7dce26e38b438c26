/** What every sandbox gets to see of this program: Node, and the builder of images. */
import { chmod, copyFile, cp, link, mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from '#sandbox';

export type Tools = Readonly<Record<string, string>>;

const image = join(dirname(dirname(fileURLToPath(import.meta.url))), 'image');

/**
 * Paths of the tools on this machine. Sandboxes that run under a uid of their own may not be able to reach the program (a clone
 * in a directory of root's alone), so for them the tools are put into the runner's directory.
 */
export async function stageTools(workDir: string, { runAs }: Pick<Sandbox, 'runAs'>): Promise<Tools> {
  if (runAs === undefined) return { node: process.execPath, image };
  const dir = join(workDir, 'tools');
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { mode: 0o711 });
  const staged = { node: join(dir, 'node'), image: join(dir, 'image') };
  await stageProgram(process.execPath, staged.node);
  await cp(image, staged.image, { recursive: true, filter: (path) => !path.endsWith('.test.ts') });
  return staged;
}

/** A link costs nothing; where it is not possible, or others may not run the program, a copy. */
async function stageProgram(from: string, to: string): Promise<void> {
  const isForAll = ((await stat(from)).mode & 0o005) === 0o005;
  if (
    isForAll &&
    (await link(from, to).then(
      () => true,
      () => false,
    ))
  )
    return;
  await copyFile(from, to);
  await chmod(to, 0o755);
}
