import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { verifyBundle } from '#attest';
import { digestOf } from '#base';
import type { JobFinished } from '../src/build/facts.ts';
import { PUBLIC_URL, withHouse } from '../src/build/testhouse.ts';

describe('build, from push to provenance', () => {
  test('the sample project builds to four outputs with provenance that verifies offline', () =>
    withHouse(async ({ push, work, build, owner, logOf, journal, objects, attest }) => {
      const { commit, runs } = await push(
        { copyOf: join(import.meta.dirname, '../examples/hello') },
        'refs/tags/v1.0.0',
      );
      assert.equal(runs.length, 1);
      const lines = await work();
      assert.match(lines[0] ?? '', /^sandbox self-test: (\d+) of \1 checks passed/);
      const run = await build.showRun(owner, runs[0]!);
      const log = await logOf(runs[0]!);
      assert.equal(run.state, 'success', log);
      assert.deepEqual(
        run.outputs.map(({ name, file, mediaType }) => [name, file, mediaType]),
        [
          ['hello', 'hello', 'application/x-executable'],
          ['hello-archive', 'hello.tar.gz', 'application/gzip'],
          ['hello-image', 'hello.oci.tar', 'application/vnd.oci.image.layout.v1.tar'],
          ['hello-jar', 'hello.jar', 'application/java-archive'],
        ],
      );
      for (const { digest } of run.outputs) assert.equal(digestOf(await objects.read(digest as never)), digest);
      assert.match(log, /ok {3}refuses an empty name/);
      const bundle = JSON.parse((await objects.read(run.provenance as never)).toString());
      const expect = {
        issuer: attest!.controlIssuer,
        san: `${PUBLIC_URL}/acme/hello/.github/workflows/release.yml@refs/tags/v1.0.0`,
      };
      const verified = verifyBundle({
        bundle,
        trustedRoot: attest!.trustedRoot(),
        expect,
        artifact: run.outputs[0]!.digest as never,
      });
      const { ok, checks, statement } = verified;
      assert.ok(ok, JSON.stringify(checks));
      const predicate = statement!.predicate as unknown as {
        buildDefinition: { externalParameters: unknown; resolvedDependencies: { digest: { gitCommit: string } }[] };
      };
      assert.deepEqual(predicate.buildDefinition.externalParameters, {
        workflow: {
          repository: `${PUBLIC_URL}/acme/hello`,
          path: '.github/workflows/release.yml',
          ref: 'refs/tags/v1.0.0',
        },
      });
      assert.equal(predicate.buildDefinition.resolvedDependencies[0]!.digest.gitCommit, commit);
      const types = (await journal.byStream(`run/${run.run}`)).map((fact) => fact.type);
      assert.deepEqual(types, [
        'build.run_queued',
        'build.job_started',
        'build.job_finished',
        'build.run_finished',
        'build.provenance_signed',
      ]);
      const end = (await journal.byStream(`run/${run.run}`))[2]!.payload as JobFinished;
      assert.equal(end.log?.digest, digestOf(log));
    }));
});
