/** The actions Waybill runs itself. All work on the build's files happens inside the sandbox, as for any step. */
import { createWriteStream } from 'node:fs';
import { chmod, chown, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { insidePaths } from '#sandbox';
import type { StepPlan } from '../plan.ts';
import { BUNDLE_REF } from '../sources.ts';
import { collectFiles, type CollectedFile } from './collect.ts';
import { type JobScene, mountsOf, render, runCommand, type StepCall, type StepEnd, stepFailed } from './step.ts';

type UsesCall = StepCall & { plan: Extract<StepPlan, { kind: 'uses' }> };

export async function runAction(scene: JobScene, call: UsesCall): Promise<StepEnd> {
  if (call.plan.action === 'actions/checkout') return await checkOut(scene, call);
  if (call.plan.action === 'actions/upload-artifact') return await uploadArtifact(scene, call);
  return await buildImage(scene, call);
}

const input = (call: UsesCall, name: string): string | undefined => {
  const text = call.plan.with[name];
  return text === undefined ? undefined : render(text, call.contexts, call.status);
};

/** No hooks, no filters, no configuration but this; the objects' ids are computed anew, so the commit id vouches for the tree. */
const CHECKOUT = `set -eu
find /ws -mindepth 1 -delete
git init -q --initial-branch=build .
git fetch -q --no-tags --no-write-fetch-head /ci/source.bundle "+$WAYBILL_REF:refs/remotes/origin/build"
test "$(git rev-parse 'refs/remotes/origin/build^{commit}')" = "$GITHUB_SHA"
git -c advice.detachedHead=false checkout -q --detach "$GITHUB_SHA"
git fsck --connectivity-only --no-progress "$GITHUB_SHA" >/dev/null
git log -1 --format='HEAD is now at %h %s'
echo "date=$(git log -1 --format=%ct)" >> "$GITHUB_OUTPUT"
`;

const GIT_ENVIRONMENT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_CONFIG_COUNT: '2',
  GIT_CONFIG_KEY_0: 'core.hooksPath',
  GIT_CONFIG_VALUE_0: '/dev/null',
  GIT_CONFIG_KEY_1: 'protocol.allow',
  GIT_CONFIG_VALUE_1: 'user',
} as const;

async function checkOut(scene: JobScene, call: UsesCall): Promise<StepEnd> {
  for (const name of ['submodules', 'lfs']) {
    const value = input(call, name);
    if (value !== undefined && value !== 'false')
      throw stepFailed(`checkout: ${name} is not supported.`, 'Leave it out.');
  }
  const env = { ...GIT_ENVIRONMENT, WAYBILL_REF: BUNDLE_REF };
  const bundle = join(scene.dir, 'source.bundle');
  await pipeline(await scene.api.fetchSource(), createWriteStream(bundle, { mode: 0o600 }));
  await chmod(bundle, 0o400);
  const { runAs } = scene.sandbox;
  if (runAs) await chown(bundle, runAs.uid, runAs.gid);
  const withBundle = { ...scene, tools: { ...scene.tools, 'source-bundle': bundle } };
  const script = CHECKOUT.replaceAll('/ci/source.bundle', `${insidePaths.tools}/source-bundle`);
  const end = await runCommand(
    withBundle,
    { ...call, env: { ...call.env, ...env } },
    ['/bin/sh', `${insidePaths.commands}/script`],
    script,
  );
  await rm(bundle, { force: true });
  if (end.success) scene.sourceDate = end.outputs['date'];
  return { ...end, outputs: { commit: scene.commit } };
}

/** Every matching file becomes an output of the run. It is uploaded now and counts only if the whole run succeeds. */
async function uploadArtifact(scene: JobScene, call: UsesCall): Promise<StepEnd> {
  const name = input(call, 'name') ?? 'artifact';
  const patterns = (input(call, 'path') ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (patterns.length === 0) throw stepFailed('upload-artifact: path is missing.', 'Name at least one file.');
  const files = await collectFiles(mountsOf(scene).workspace, patterns);
  try {
    if (files.length === 0) {
      const message = `upload-artifact: no file matches ${patterns.join(', ')}.`;
      if (!['warn', 'ignore'].includes(input(call, 'if-no-files-found') ?? 'error'))
        throw stepFailed(message, 'Check the path.');
      scene.log.line(`##[warning]${message}`);
    }
    for (const file of files) {
      const outputName = files.length === 1 ? name : `${name}-${basename(file.path)}`;
      const { digest, size } = await scene.api.putOutput(
        { name: outputName, file: basename(file.path), mediaType: mediaTypeOf(file) },
        file.stream(),
        file.size,
      );
      scene.outputs.push({ name: outputName, digest });
      scene.log.line(`${outputName}: ${file.path}, ${size} bytes, ${digest}`);
    }
  } finally {
    for (const file of files) await file.close();
  }
  return { exitCode: 0, success: true, outputs: {} };
}

function mediaTypeOf({ path, start }: CollectedFile): string {
  const byName: readonly (readonly [RegExp, string])[] = [
    [/\.oci\.tar$/, 'application/vnd.oci.image.layout.v1.tar'],
    [/\.(tar\.gz|tgz)$/, 'application/gzip'],
    [/\.jar$/, 'application/java-archive'],
    [/\.zip$/, 'application/zip'],
    [/\.tar$/, 'application/x-tar'],
    [/\.json$/, 'application/json'],
    [/\.txt$/, 'text/plain'],
  ];
  const known = byName.find(([pattern]) => pattern.test(path))?.[1];
  if (known !== undefined) return known;
  return start.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))
    ? 'application/x-executable'
    : 'application/octet-stream';
}

async function buildImage(scene: JobScene, call: UsesCall): Promise<StepEnd> {
  const argv = [
    `${insidePaths.tools}/node`,
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
    `${insidePaths.tools}/image/main.ts`,
    input(call, 'context') ?? '.',
    input(call, 'file') ?? 'Dockerfile',
    input(call, 'output') ?? 'image.oci.tar',
    input(call, 'name') ?? 'image',
    input(call, 'tag') ?? 'latest',
  ];
  return await runCommand(scene, call, argv);
}
