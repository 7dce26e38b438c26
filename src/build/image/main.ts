/**
 * waybill/build-image, inside the sandbox: context, Dockerfile, output, name, tag → an OCI layout archive in the workspace.
 * Runs alone there: only Node's own modules and its neighbours.
 */
import { lstatSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { assembleImage } from './assemble.ts';
import { DockerfileError, type ImageRecipe, parseDockerfile } from './dockerfile.ts';

type Files = Map<string, { mode: number; bytes: Buffer }>;

const IMAGE_BYTES_MAX = 1024 ** 3;

function readContext(context: string, recipe: ImageRecipe): Files {
  const root = realpathSync(context);
  const files: Files = new Map();
  let total = 0;
  function add(from: string, to: string): void {
    const stat = lstatSync(from);
    if (stat.isDirectory()) {
      for (const name of readdirSync(from).toSorted()) add(join(from, name), `${to.replace(/\/$/, '')}/${name}`);
    } else if (stat.isFile()) {
      const bytes = readFileSync(from);
      total += bytes.length;
      if (total > IMAGE_BYTES_MAX) throw new DockerfileError('the image is larger than 1 GiB');
      files.set(to, { mode: (stat.mode & 0o111) === 0 ? 0o644 : 0o755, bytes });
    } else {
      throw new DockerfileError(`${from} is neither a file nor a directory`);
    }
  }
  for (const { from, to } of recipe.copies) {
    for (const source of from) {
      const path = realpathSync(resolve(root, source.replace(/^\/+/, '')));
      if (path !== root && !path.startsWith(`${root}/`)) throw new DockerfileError(`${source} is outside the context`);
      const isDirectory = lstatSync(path).isDirectory();
      add(path, to.endsWith('/') && !isDirectory ? `${to}${basename(source)}` : to.replace(/(.)\/$/, '$1'));
    }
  }
  return files;
}

function main([
  context = '.',
  dockerfile = 'Dockerfile',
  output = 'image.oci.tar',
  name = 'image',
  tag = 'latest',
]: string[]): void {
  const recipe = parseDockerfile(readFileSync(resolve(context, dockerfile), 'utf8'));
  const files = readContext(context, recipe);
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const createdSeconds = Number(process.env['SOURCE_DATE_EPOCH'] ?? '0');
  const { archive, manifestDigest } = assembleImage({ recipe, files, name, tag, architecture, createdSeconds });
  writeFileSync(output, archive);
  console.log(`${output}: ${archive.length} bytes, ${files.size} files, manifest ${manifestDigest}`);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.log(`::error::${error instanceof Error ? error.message : 'the image could not be built'}`);
  process.exitCode = 1;
}
