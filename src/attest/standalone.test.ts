import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runVerifier, type VerdictDocument } from './standalone.ts';
import { type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';

let house: House;
let dir: string;
const path = (name: string) => join(dir, name);
const ISSUER = `${PUBLIC_URL}/oidc/control`;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'waybill-standalone-'));
  house = await openHouse(dir);
  const content = 'the program';
  const sha256 = createHash('sha256').update(content).digest('hex');
  const { bundle } = await house.attest.sign(provenance({ subjects: [{ name: 'program', digest: { sha256 } }] }));
  await writeFile(path('program'), content);
  await writeFile(path('program.sigstore.json'), (await house.attest.requireBundle(bundle)).bytes);
  await writeFile(path('root.json'), JSON.stringify(house.attest.trustedRoot()));
});
after(async () => {
  await house.close();
  await rm(dir, { recursive: true, force: true });
});

async function run(...words: string[]) {
  let [out, err] = ['', ''];
  const status = await runVerifier(words, { out: (text) => void (out += text), err: (text) => void (err += text) });
  return { status, out, err };
}

const expected = () => ['--trusted-root', path('root.json'), '--issuer', ISSUER, '--identity', SAN];

describe('the verifier alone', () => {
  test('verifies a file with the bundle beside it and says every check', async () => {
    const { status, out } = await run(path('program'), ...expected());
    assert.equal(status, 0, out);
    assert.match(out, /passed +certificate chain/);
    assert.match(out, /program is verified\.\n$/);
  });

  test('gives one stable document', async () => {
    const { out } = await run(path('program'), ...expected(), '--json');
    const document = JSON.parse(out) as VerdictDocument;
    assert.deepEqual(Object.keys(document), [
      ...['format', 'subject', 'digest', 'ok', 'checks', 'signer', 'statement', 'signedAt', 'entry'],
    ]);
    assert.equal(document.format, 'waybill.verdict/v1');
    assert.deepEqual(
      document.checks.map(({ name }) => name),
      [
        'bundle',
        'trusted root',
        'certificate',
        'certificate chain',
        'certificate purpose',
        'certificate log',
        'timestamp',
        'log entry',
        'log',
        'log inclusion',
        'log checkpoint',
        'log promise',
        'certificate validity',
        'signature',
        'signer',
        'signer issuer',
        'statement',
        'subject',
        'sigstore-js agrees',
      ],
    );
  });

  test('says no with status 3: another file, signer, issuer or kind of claim', async () => {
    await writeFile(path('other'), 'another program');
    const bundle = ['--bundle', path('program.sigstore.json')];
    assert.equal((await run(path('other'), ...bundle, ...expected())).status, 3);
    assert.equal((await run(path('program'), ...expected(), '--identity', `${SAN}x`)).status, 3);
    assert.equal((await run(path('program'), ...expected(), '--issuer', `${PUBLIC_URL}/oidc/jobs`)).status, 3);
    assert.equal((await run(path('program'), ...expected(), '--predicate-type', 'https://x')).status, 3);
    const { status, out } = await run(`sha256:${'0'.repeat(64)}`, ...bundle, ...expected(), '--json');
    assert.equal(status, 3);
    assert.equal((JSON.parse(out) as VerdictDocument).statement, undefined, 'nothing is claimed');
  });

  test('says with status 2 that it was asked wrongly or cannot read something', async () => {
    for (const words of [
      [],
      ['a', 'b'],
      [path('program')],
      [`sha256:${'0'.repeat(64)}`, ...expected()],
      ['--nonsense'],
    ])
      assert.equal((await run(...words)).status, 2, words.join(' '));
    assert.equal((await run(path('missing'), ...expected())).status, 2);
  });

  test('prints nothing a terminal would obey', async () => {
    const { out, err } = await run(`${path('program')}`, ...expected(), '--identity', '\u001b[31mred');
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(out + err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});
