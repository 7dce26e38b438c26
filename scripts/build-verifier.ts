// Makes dist/waybill-verify.mjs: the verifier in one readable file, without any part of the server.
// Another place for it can be given as the first argument. esbuild only joins modules and drops what is not used: names stay, nothing is minified, each part says which file it is from.
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OUT = process.argv[2]?.endsWith('.mjs') ? process.argv[2] : join(root, 'dist', 'waybill-verify.mjs');

/** Of modules that belong to the server, the few files that name things or describe what was recorded. */
const BORROWED = [
  'artifact/publication.ts',
  'journal/fact.ts',
  'policy/predicate.ts',
  'release/environment.ts',
  ...['artifact', 'journal', 'policy', 'release'].map((module) => `${module}/index.ts`),
  ...['build-hops', 'capsule', 'capsule-facts', 'chain', 'gather', 'hop', 'promotion-hop'].map(
    (name) => `trace/${name}.ts`,
  ),
  ...['standalone', 'verify-capsule'].map((name) => `trace/${name}.ts`),
].map((path) => `src/${path}`);
const isForbidden = (path: string) =>
  /^node_modules\/(?:kysely|fastify)/.test(path) ||
  (path.startsWith('src/') && !/^src\/(?:attest|base|ledger)\//.test(path) && !BORROWED.includes(path));
const FORBIDDEN_BUILTINS = ['node:sqlite', 'node:http', 'node:https', 'node:net', 'node:tls', 'node:child_process'];
const LICENCES =
  'Contains zod (MIT), canonicalize (Apache-2.0), @sigstore/* (Apache-2.0), @bufbuild/protobuf (Apache-2.0).';

interface Bundler {
  build(options: object): Promise<{
    outputFiles: { text: string }[];
    metafile: { inputs: Record<string, unknown>; outputs: Record<string, { inputs: Record<string, unknown> }> };
  }>;
}

/** Typed here, so that the tree compiles before the package is installed. */
async function loadBundler(): Promise<Bundler> {
  const name = process.env['WAYBILL_ESBUILD'] ?? 'esbuild';
  try {
    return (await import(name)) as Bundler;
  } catch {
    throw new Error('esbuild is not installed. It is a development dependency: npm install.');
  }
}

/** Our modules do nothing when they are loaded, so one that nothing is used of can be left out as a whole. */
const pureModules = {
  name: 'pure-modules',
  setup(build: {
    onResolve(
      filter: object,
      run: (found: { path: string; resolveDir: string; kind: string }) => object | undefined,
    ): void;
  }) {
    build.onResolve({ filter: /^#/ }, ({ path }) => ({
      path: join(root, 'src', path.slice(1), 'index.ts'),
      sideEffects: false,
    }));
    build.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir, kind }) =>
      kind !== 'entry-point' && resolveDir.startsWith(join(root, 'src'))
        ? { path: join(resolveDir, path), sideEffects: false }
        : undefined,
    );
  },
};

const bundler = await loadBundler();
const { outputFiles, metafile } = await bundler.build({
  entryPoints: [join(root, 'src', 'trace', 'standalone.ts')],
  bundle: true,
  write: false,
  outfile: OUT,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  metafile: true,
  legalComments: 'inline',
  charset: 'utf8',
  plugins: [pureModules],
  absWorkingDir: root,
  // The CommonJS packages inside ask for Node's modules.
  banner: {
    js: `#!/usr/bin/env node
// waybill-verify: verifies Sigstore bundles and Waybill capsules offline. Built by scripts/build-verifier.ts; ${LICENCES}
import { createRequire as createRequireForBundle } from 'node:module';
const require = createRequireForBundle(import.meta.url);`,
  },
});

const text = outputFiles[0]!.text;
const inputs = Object.values(metafile.outputs).flatMap((output) => Object.keys(output.inputs));
const unwanted = inputs.filter(isForbidden);
const builtins = FORBIDDEN_BUILTINS.filter((name) => text.includes(`"${name}"`) || text.includes(`"${name.slice(5)}"`));
if (unwanted.length > 0 || builtins.length > 0) {
  throw new Error(`The verifier would contain ${[...unwanted, ...builtins].join(', ')}.`);
}
await mkdir(dirname(OUT), { recursive: true });
await writeFile(OUT, text);
await chmod(OUT, 0o755);
const digest = createHash('sha256')
  .update(await readFile(OUT))
  .digest('hex');
const ours = inputs.filter((path) => path.startsWith('src/'));
console.log(
  `${relative(root, OUT)}  ${Math.round(text.length / 1024)} kB, ${ours.length} files of ours, sha256:${digest}`,
);
if (process.argv.includes('--list')) for (const path of inputs.toSorted()) console.log(path);
