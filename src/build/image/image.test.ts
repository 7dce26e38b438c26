import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { assembleImage } from './assemble.ts';
import { parseDockerfile } from './dockerfile.ts';

const dockerfile = `# comment
FROM scratch
WORKDIR /srv
COPY --help /x`;

describe('waybill/build-image', () => {
  const recipe = parseDockerfile(
    'FROM scratch\nWORKDIR /srv\nCOPY a b/\nENV A=1 B="two words" \\\n  C=3\nUSER 1:1\nEXPOSE 80\nLABEL t=x\nENTRYPOINT ["/a", "-x"]\nCMD ["y"]',
  );
  const files = new Map([
    ['/srv/b/a', { mode: 0o755, bytes: Buffer.from('program') }],
    [`/${'d'.repeat(90)}/${'f'.repeat(60)}`, { mode: 0o644, bytes: Buffer.from('long') }],
  ]);
  const input = { recipe, files, name: 'n', tag: 't', architecture: 'amd64', createdSeconds: 1_700_000_000 };

  test('the recipe is read as a Dockerfile says', () => {
    assert.deepEqual(recipe.copies, [{ from: ['a'], to: '/srv/b/' }]);
    assert.deepEqual(recipe.env, [
      ['A', '1'],
      ['B', 'two words'],
      ['C', '3'],
    ]);
    assert.deepEqual(
      [recipe.workdir, recipe.user, recipe.ports, recipe.entrypoint],
      ['/srv', '1:1', ['80/tcp'], ['/a', '-x']],
    );
  });

  test('what needs a download or a shell is refused with its line', () => {
    for (const [text, message] of [
      ['FROM debian', /line 1: only one stage/],
      ['FROM scratch\nRUN make', /line 2: RUN is not supported/],
      ['FROM scratch\n\nCMD run me', /line 3: write it as a list/],
      [dockerfile, /line 4: options of COPY/],
      ['COPY a b', /FROM scratch has to come first/],
      ['', /empty/],
    ] as const)
      assert.throws(() => parseDockerfile(text), message);
  });

  test('the same input gives the same bytes, and tar and digests agree with them', () => {
    const { archive, manifestDigest } = assembleImage(input);
    assert.deepEqual(assembleImage({ ...input, files: new Map([...files].toReversed()) }).archive, archive);
    const dir = mkdtempSync(join(tmpdir(), 'waybill-image-'));
    try {
      writeFileSync(join(dir, 'i.tar'), archive);
      execFileSync('tar', ['xf', 'i.tar'], { cwd: dir });
      const read = (digest: string): Buffer => {
        const bytes = readFileSync(join(dir, 'blobs/sha256', digest.slice(7)));
        assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest);
        return bytes;
      };
      const index = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
      assert.equal(index.manifests[0]!.digest, manifestDigest);
      const manifest = JSON.parse(read(manifestDigest).toString()) as {
        config: { digest: string };
        layers: { digest: string }[];
      };
      const config = JSON.parse(read(manifest.config.digest).toString()) as {
        rootfs: { diff_ids: string[] };
        config: object;
      };
      assert.deepEqual(config.rootfs.diff_ids, [manifest.layers[0]!.digest]);
      writeFileSync(join(dir, 'layer.tar'), read(manifest.layers[0]!.digest));
      const listing = execFileSync('tar', ['tvf', 'layer.tar', '--numeric-owner'], { cwd: dir }).toString();
      assert.match(listing, /-rwxr-xr-x 0\/0 +7 \S+ \S+ srv\/b\/a\n/);
      assert.match(listing, /d{90}\/f{60}/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
