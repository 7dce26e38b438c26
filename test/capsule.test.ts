// A chain as one file: verified by the single-file verifier where there is neither network nor Waybill, refused when it was touched.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { digestOf } from '#base';
import {
  type Capsule,
  type CapsuleTrust,
  type CapsuleVerdict,
  policyOfKey,
  traceContract,
  verifyCapsule,
} from '#trace';
import { type Chain, PATH, withChain } from './support/chain.ts';
import { startTestServer } from './support/server.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

interface Packed extends Chain {
  capsule: Capsule;
  trust: Required<Omit<CapsuleTrust, 'believeCapsule'>>;
}

/** A chain as a server keeps it, exported by somebody who may see all of it. */
async function withCapsule(work: (packed: Packed) => Promise<void>): Promise<void> {
  await withChain(
    async (chain) => {
      const { house, traces, built } = chain;
      const capsule = await traces.capsule(house.owner, { digest: built.digest });
      const trust = {
        policy: policyOfKey(house.ledger.events.verifier.vkey),
        trustedRoot: house.attest.trustedRoot(),
        artifact: built.digest,
      };
      await work({ ...chain, capsule: JSON.parse(JSON.stringify(capsule)) as Capsule, trust });
    },
    { assurance: true },
  );
}

const verify = (capsule: unknown, trust: CapsuleTrust) => verifyCapsule(JSON.stringify(capsule), trust);
const refusals = ({ checks }: CapsuleVerdict) => checks.filter(({ status }) => status !== 'passed');
const firstOf = (verdict: CapsuleVerdict) => refusals(verdict)[0];

test('a capsule holds a whole chain, and what comes out is what the server says', async () => {
  await withCapsule(async ({ capsule, trust, trace, built, traces, house }) => {
    const verdict = await verify(capsule, trust);
    assert.deepEqual(refusals(verdict), []);
    assert.equal(verdict.ok, true);
    assert.deepEqual(verdict.pinned, { ledger: true, trustedRoot: true });
    const live = await trace({ digest: built.digest });
    const hopsOf = (hops: readonly { kind: string; id: string }[]) => hops.map(({ kind, id }) => `${kind} ${id}`);
    assert.deepEqual(hopsOf(verdict.trace!.hops), hopsOf(live.hops));
    assert.equal(capsule.policies.length, 3);
    assert.equal(capsule.bundles.length, 4);
    const ofFile = await traces.capsule(house.owner, { path: PATH });
    const fileVerdict = await verify(ofFile, trust);
    assert.deepEqual([refusals(fileVerdict), fileVerdict.trace?.hops[0]?.kind], [[], 'file']);
  });
});

test('what the auditor does not bring along is not checked, and the answer is no', async () => {
  await withCapsule(async ({ capsule, trust, house }) => {
    const { policy, trustedRoot, artifact } = trust;
    const cases: [CapsuleTrust, string, string][] = [
      [{ policy, trustedRoot }, 'artifact', 'not_checked'],
      [{ trustedRoot, artifact }, 'ledger key', 'not_checked'],
      [{ policy, artifact }, 'trusted root', 'not_checked'],
      [{ ...trust, artifact: digestOf('evil') }, 'artifact', 'failed'],
      [{ ...trust, policy: policyOfKey(house.attest.signaturesLog.verifier.vkey) }, 'ledger key', 'failed'],
      [{ ...trust, trustedRoot: {} }, 'trusted root', 'failed'],
    ];
    for (const [given, name, status] of cases) {
      const verdict = await verify(capsule, given);
      assert.deepEqual([verdict.ok, firstOf(verdict)?.name, firstOf(verdict)?.status], [false, name, status]);
    }
    const believed = await verify(capsule, { artifact, believeCapsule: true });
    assert.deepEqual([believed.ok, believed.pinned], [true, { ledger: false, trustedRoot: false }]);
    assert.equal(believed.checks.filter(({ detail }) => detail?.startsWith('NOT PINNED')).length, 2);
  });
});

test('whichever fact is left out, the capsule is refused', async () => {
  await withCapsule(async ({ capsule, trust }) => {
    assert.ok(capsule.facts.length > 20);
    for (const [index, { leaf }] of capsule.facts.entries()) {
      const verdict = await verify({ ...capsule, facts: capsule.facts.toSpliced(index, 1) }, trust);
      assert.equal(verdict.ok, false, leaf);
      const codes = ['ledger.leaf_omitted', 'trace.capsule_incomplete', 'trace.link_missing', 'trace.link_broken'];
      const { code = '' } = verdict.checks.find(({ status }) => status === 'failed') ?? {};
      assert.ok(codes.includes(code), `${leaf}: ${JSON.stringify(firstOf(verdict))}`);
    }
    // Nor does it help to take out the proof that the stream is whole.
    for (const [index, { stream }] of capsule.streams.entries()) {
      const verdict = await verify({ ...capsule, streams: capsule.streams.toSpliced(index, 1) }, trust);
      assert.deepEqual([verdict.ok, firstOf(verdict)?.code], [false, 'trace.capsule_incomplete'], stream);
    }
    const unmapped = await verify({ ...capsule, heads: null, streams: [] }, trust);
    assert.deepEqual([unmapped.ok, firstOf(unmapped)?.name], [false, 'nothing is left out']);
  });
});

test('a revoked key cannot be hidden by a capsule that ends before it', async () => {
  await withCapsule(async ({ capsule, trust, house, traces, dev, built }) => {
    const [enrolled] = await house.journal.read({ types: ['identity.key_enrolled'], limit: 1 });
    const { fingerprint } = enrolled!.payload as { fingerprint: string };
    await house.identity.revokeKey(dev, fingerprint, 'lost');
    const now = await traces.capsule(house.owner, { digest: built.digest });
    assert.deepEqual(refusals(await verify(now, trust)), []);
    assert.ok(now.facts.length > capsule.facts.length);
    const revoked = now.facts.findIndex(({ leaf }) => leaf.includes('identity.key_revoked'));
    const verdict = await verify({ ...now, facts: now.facts.toSpliced(revoked, 1) }, trust);
    assert.deepEqual([verdict.ok, firstOf(verdict)?.code], [false, 'ledger.leaf_omitted']);
  });
});

/** Where in the document a value stands, and the check that has to refuse when it is altered. */
const altered: readonly (readonly [field: RegExp, check: RegExp])[] = [
  [/^(v|kind|mediaType)$/, /^capsule$/],
  [/^digest$/, /^artifact$/],
  [/^path$/, /^(summary|hop: file)$/],
  [/^publicUrl$/, /^server$/],
  [/^ledger\.vkey$/, /^(ledger key|capsule)$/],
  [/^ledger\.checkpoint$/, /^ledger\.checkpoint$/],
  [/^facts\.\d+\.(leaf|private|salt|path|withheld)/, /^facts are in the log$/],
  [/^heads$/, /^nothing is left out$/],
  [/^streams\./, /^nothing is left out$/],
  [/^(bundles|policies)\./, /^bundles and policies hash to their names$/],
  [/^commit\.(id|bytes)$/, /^hop: commit$/],
  [/^summary\./, /^(summary|capsule)$/],
];

type Path = readonly (string | number)[];

function* valuesOf(value: unknown, path: Path = []): Generator<{ path: Path; value: unknown }> {
  if (typeof value !== 'object' || value === null) yield { path, value };
  else for (const [key, inner] of Object.entries(value)) yield* valuesOf(inner, [...path, key]);
}

function alter(value: unknown): unknown {
  if (value === null) return 'permission';
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  const text = value as string;
  const at = Math.floor(text.length / 2);
  return `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
}

/** Of fields that repeat, so many are altered, spread over the document. */
const EACH_MAX = 4;

test('whatever is altered in a capsule, the check that looks at it refuses', async () => {
  await withCapsule(async ({ capsule, trust }) => {
    const { trustedRoot: _ignored, ...looked } = capsule;
    const byShape = Map.groupBy([...valuesOf(looked)], ({ path }) =>
      path.map((key) => (/^\d+$/.test(String(key)) ? '*' : key)).join('.'),
    );
    let count = 0;
    for (const found of byShape.values()) {
      const step = Math.max(1, Math.floor(found.length / EACH_MAX));
      for (const { path, value } of found.filter((_, index) => index % step === 0).slice(0, EACH_MAX)) {
        const copy = structuredClone(capsule) as unknown as Record<string, unknown>;
        let place = copy;
        for (const key of path.slice(0, -1)) place = place[key] as Record<string, unknown>;
        place[path.at(-1)!] = alter(value);
        const name = path.join('.');
        const verdict = await verify(copy, trust);
        assert.equal(verdict.ok, false, name);
        const [, expected] = altered.find(([field]) => field.test(name)) ?? [];
        const said = refusals(verdict).map((check) => check.name);
        assert.ok(expected, `${name} is not in the table`);
        assert.ok(
          said.some((check) => expected.test(check)) || said[0] === 'capsule',
          `${name}: ${JSON.stringify(refusals(verdict))}`,
        );
        count += 1;
      }
    }
    assert.ok(count > 60, `${count} fields`);
  });
});

test('keys inside a capsule are altered in vain: unpinned they do not fit, pinned they are not used', async () => {
  await withCapsule(async ({ capsule, trust: { artifact, ...pins } }) => {
    type Keys = { publicKey: { rawBytes: string } }[];
    for (const logs of ['tlogs', 'ctlogs'] as const) {
      const copy = structuredClone(capsule);
      const [log] = copy.trustedRoot[logs] as Keys;
      log!.publicKey.rawBytes = String(alter(log!.publicKey.rawBytes));
      assert.equal((await verify(copy, { artifact, believeCapsule: true })).ok, false, logs);
      assert.equal((await verify(copy, { artifact, ...pins })).ok, true, logs);
    }
  });
});

test('payloads that whoever asks may not see are left out, named, and missed by the verifier', async () => {
  await withCapsule(async ({ capsule, trust, traces, dev, built, house }) => {
    const theirs = await traces.capsule(dev, { digest: built.digest });
    const hidden = theirs.facts.filter(({ withheld }) => withheld === 'permission');
    assert.ok(hidden.length > 0 && hidden.length < theirs.facts.length);
    assert.ok(hidden.every((fact) => fact.private === null && fact.salt === null));
    assert.equal(theirs.facts.length >= capsule.facts.length, true);
    const verdict = await verify(theirs, trust);
    assert.deepEqual([verdict.ok, firstOf(verdict)?.name], [false, 'nothing is withheld']);
    assert.match(firstOf(verdict)?.detail ?? '', /\(permission\)/);
    const stranger = await house.person('eve');
    await assert.rejects(traces.capsule(stranger, { digest: built.digest }), { code: 'trace.not_found' });
  });
});

test('the server packs nothing for strangers, and nothing that it never saw', async () => {
  const server = await startTestServer();
  try {
    const query = { digest: digestOf('never seen') };
    await assert.rejects(server.anonymous.call(traceContract.showCapsule, { query }), { kind: 'unauthenticated' });
    await assert.rejects(server.owner.call(traceContract.showCapsule, { query }), { code: 'trace.not_found' });
    await assert.rejects(server.owner.call(traceContract.showCapsule, { query: {} }), { code: 'trace.nothing_asked' });
  } finally {
    await server.stop();
  }
});

const hasBundler = (() => {
  try {
    return Boolean(process.env['WAYBILL_ESBUILD'] ?? createRequire(import.meta.url).resolve('esbuild'));
  } catch {
    return false;
  }
})();
/** A namespace without a network, where one can be had. */
const isolation = spawnSync('unshare', ['-n', 'true']).status === 0 ? ['unshare', '-n'] : [];

test('the single file verifies it without network and without Waybill, and so does the command', async (context) => {
  const dir = mkdtempSync(join(tmpdir(), 'waybill-capsule-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  const verifier = join(dir, 'waybill-verify.mjs');
  if (hasBundler) execFileSync(process.execPath, ['scripts/build-verifier.ts', verifier], { cwd: root });
  let vkey = '';
  await withCapsule(async ({ capsule, trust, house }) => {
    vkey = house.ledger.events.verifier.vkey;
    writeFileSync(join(dir, 'capsule.json'), JSON.stringify(capsule));
    writeFileSync(join(dir, 'root.json'), JSON.stringify(trust.trustedRoot));
    writeFileSync(join(dir, 'program'), 'the program');
    writeFileSync(join(dir, 'evil'), 'the progran');
  });
  // From here on the installation is gone.
  const run = (...words: string[]) => {
    const [command, ...args] = [...isolation, process.execPath, ...words];
    return spawnSync(command!, args, { cwd: dir, env: { HOME: dir, PATH: '/usr/bin:/bin' }, encoding: 'utf8' });
  };
  const pins = ['--trusted-root', 'root.json', '--vkey', vkey];
  const ways = [
    [join(root, 'src', 'cli', 'main.ts'), 'trace', 'verify'],
    ...(hasBundler ? [[verifier, 'capsule']] : []),
  ];
  for (const way of ways) {
    const yes = run(...way, 'capsule.json', ...pins, '--artifact', 'program');
    assert.equal(yes.status, 0, yes.stderr + yes.stdout);
    assert.match(yes.stdout, /hop: commit/);
    assert.equal(run(...way, 'capsule.json', ...pins, '--artifact', 'evil').status, 3);
    const unpinned = run(...way, 'capsule.json', '--unpinned', '--artifact', 'program');
    assert.equal(unpinned.status, 0, unpinned.stderr);
    assert.match(unpinned.stdout, /NOT PINNED/);
  }
});
