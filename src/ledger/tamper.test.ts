import assert from 'node:assert/strict';
import { appendFile, chmod, copyFile, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#base';
import type { Verdict } from '#base';
import { renderCheckpoint } from './checkpoint.ts';
import { leafHash } from './hash.ts';
import { growingSource, testSigner, withDirectory } from './testlog.ts';
import { openTileLog } from './tilelog.ts';
import type { TileLog, TileLogOptions } from './tilelog.ts';
import { signNote } from './vkey.ts';

const origin = 'events.test';

type Options = TileLogOptions & { source: ReturnType<typeof growingSource> };

/** A closed log of 600 entries: two full tiles and a right edge on two levels. */
async function withLog(work: (options: Options, dir: string) => Promise<void>): Promise<void> {
  await withDirectory(async (dir) => {
    const options = { dir, origin, signer: testSigner(origin), source: growingSource(0), clock: systemClock };
    const log = await openTileLog(options);
    for (const size of [100, 300, 600]) {
      options.source.length = size;
      await log.publish();
    }
    await log.close();
    await work(options, dir);
  });
}

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  const position = at < 0 ? bytes.length + at : at;
  bytes[position] = (bytes[position] as number) ^ 1;
  await chmod(path, 0o644);
  await writeFile(path, bytes);
}

async function openForReading(options: Options): Promise<TileLog> {
  return await openTileLog({ ...options, access: 'read' });
}

async function verify(options: Options): Promise<Verdict> {
  const log = await openForReading(options);
  const verdict = await log.verify();
  await log.close();
  return verdict;
}

/** Exactly these checks fail, with these details; no check is left out silently. */
function assertFailed(verdict: Verdict, expected: Record<string, RegExp>): void {
  const refused = verdict.checks.filter(({ status }) => status !== 'passed');
  assert.deepEqual(
    refused.map(({ name }) => name),
    Object.keys(expected),
    JSON.stringify(verdict.checks),
  );
  assert.equal(verdict.ok, refused.length === 0);
  for (const { name, detail = '', found = '' } of refused) assert.match(`${detail} ${found}`, expected[name] as RegExp);
}

test('an untouched log passes every check', () =>
  withLog(async (options) => {
    const verdict = await verify(options);
    assertFailed(verdict, {});
    assert.deepEqual(
      verdict.checks.map(({ name }) => name),
      ['ledger.checkpoint', 'ledger.history', 'ledger.inclusion', 'ledger.entry', 'ledger.tile', 'ledger.source'],
    );
  }));

test('an altered entry is named, in a full bundle and at the right edge', () =>
  withLog(async (options, dir) => {
    await flipByte(join(dir, 'tile/entries/000'), 2 + 3);
    assertFailed(await verify(options), { 'ledger.entry': /altered: entry 0 / });
    await flipByte(join(dir, 'tile/entries/002.p/88'), -1);
    assertFailed(await verify(options), { 'ledger.entry': /entry 0 and 1 more/ });
    const log = await openForReading(options);
    assert.notEqual(leafHash(await log.entry(599)), await log.leafHash(599), 'an entry is read anew');
    await log.close();
  }));

test('an altered length, a cut bundle, a longer bundle and a removed bundle are found', () =>
  withLog(async (options, dir) => {
    const bundle = join(dir, 'tile/entries/001');
    const good = await readFile(bundle);
    await flipByte(bundle, 1);
    assertFailed(await verify(options), { 'ledger.entry': /entry 256/ });
    for (const wrong of [good.subarray(0, -1), Buffer.concat([good, Buffer.of(0)])]) {
      await writeFile(bundle, wrong);
      assertFailed(await verify(options), { 'ledger.entry': /altered: entry 511 / });
    }
    await rm(bundle);
    assertFailed(await verify(options), { 'ledger.entry': /entry 256 and 255 more/ });
  }));

test('an altered, cut or removed tile is named by its path, on any level', () =>
  withLog(async (options, dir) => {
    for (const [path, at] of [
      ['tile/0/000', 5],
      ['tile/0/001', -1],
      ['tile/0/002.p/88', 40],
      ['tile/1/000.p/2', 0],
    ] as const) {
      const file = join(dir, path);
      const good = await readFile(file);
      const named = { 'ledger.tile': new RegExp(`altered: ${path.replaceAll('.', '\\.')} `) };
      await flipByte(file, at);
      assertFailed(await verify(options), named);
      await writeFile(file, good.subarray(0, -1));
      assertFailed(await verify(options), named);
      await rm(file);
      assertFailed(await verify(options), named);
      await writeFile(file, good);
    }
    assertFailed(await verify(options), {});
  }));

test('altered entry, altered tile and altered source are told apart when they come together', () =>
  withLog(async (options, dir) => {
    options.source.altered.set(41, Buffer.from('rewritten'));
    assertFailed(await verify(options), { 'ledger.source': /source row of entry 41/ });
    await flipByte(join(dir, 'tile/entries/000'), 2);
    assertFailed(await verify(options), { 'ledger.entry': /entry 0 /, 'ledger.source': /entry 41 / });
    await flipByte(join(dir, 'tile/0/001'), 7);
    assertFailed(await verify(options), {
      'ledger.entry': /entry 0 /,
      'ledger.tile': /tile\/0\/001/,
      'ledger.source': /entry 41 /,
    });
  }));

test('when entry, tile and source of one leaf are all altered, nothing is trusted', () =>
  withLog(async (options, dir) => {
    options.source.altered.set(0, Buffer.from('entry A'));
    await flipByte(join(dir, 'tile/entries/000'), 8);
    await flipByte(join(dir, 'tile/0/000'), 1);
    const verdict = await verify(options);
    assert.equal(verdict.ok, false);
    assert.equal(verdict.checks.find(({ name }) => name === 'ledger.inclusion')?.status, 'failed');
    assert.equal(verdict.checks.find(({ name }) => name === 'ledger.entry')?.status, 'not_checked');
  }));

test('an altered or removed checkpoint fails alone: the record of checkpoints tells what it was', () =>
  withLog(async (options, dir) => {
    const path = join(dir, 'checkpoint');
    const good = await readFile(path);
    for (const at of [3, origin.length + 2, origin.length + 9, -10]) {
      await flipByte(path, at);
      assertFailed(await verify(options), { 'ledger.checkpoint': / / });
      await writeFile(path, good);
    }
    await rm(path);
    assertFailed(await verify(options), { 'ledger.checkpoint': /no file/ });
    await writeFile(
      path,
      await signNote(renderCheckpoint({ origin, size: 600, root: leafHash(Buffer.of(1)) }), [options.signer]),
    );
    const forked = await verify(options);
    assertFailed(forked, { 'ledger.checkpoint': /signed as well/ });
    assert.equal(forked.checks[0]?.code, 'ledger.fork_detected');
  }));

test('every recorded checkpoint must be one of this tree', () =>
  withLog(async (options, dir) => {
    const path = join(dir, 'checkpoints');
    const good = await readFile(path, 'utf8');
    const [first, second, ...rest] = good.split('\n');
    await writeFile(path, [first, second?.replace('\\n100\\n', '\\n101\\n'), ...rest].join('\n'));
    assertFailed(await verify(options), { 'ledger.history': /line 2/ });
    await writeFile(path, [first, 'garbage', ...rest].join('\n'));
    assertFailed(await verify(options), { 'ledger.history': /line 2/ });
    const forged = await signNote(renderCheckpoint({ origin, size: 200, root: leafHash(Buffer.of(1)) }), [
      options.signer,
    ]);
    await writeFile(path, `${good}${JSON.stringify({ at: 0, note: forged })}\n`);
    const verdict = await verify(options);
    assertFailed(verdict, { 'ledger.history': /checkpoint of size 200/ });
    assert.equal(verdict.checks[1]?.code, 'ledger.fork_detected');
  }));

test('a log does not go on when its newest checkpoint, right edge or source was altered, but can be read', async () => {
  const cases: [string, string, (options: Options, dir: string) => Promise<void>][] = [
    ['source', 'ledger.fork_detected', async ({ source }) => void source.altered.set(599, Buffer.from('rewritten'))],
    ['older source', 'ledger.rolled_back', async ({ source }) => void (source.length = 599)],
    ['entry', 'ledger.fork_detected', (_, dir) => flipByte(join(dir, 'tile/entries/002.p/88'), -1)],
    ['tile', 'ledger.fork_detected', (_, dir) => flipByte(join(dir, 'tile/0/002.p/88'), 3)],
    ['upper tile', 'ledger.fork_detected', (_, dir) => flipByte(join(dir, 'tile/1/000.p/2'), 3)],
    ['no tile', 'ledger.damaged', (_, dir) => rm(join(dir, 'tile/0/002.p'), { recursive: true })],
    ['checkpoint', 'ledger.fork_detected', (_, dir) => flipByte(join(dir, 'checkpoint'), -10)],
    ['record', 'ledger.fork_detected', (_, dir) => flipByte(join(dir, 'checkpoints'), -10)],
    [
      'cut record',
      'ledger.fork_detected',
      async (_, dir) => {
        const lines = (await readFile(join(dir, 'checkpoints'), 'utf8')).split('\n');
        await writeFile(join(dir, 'checkpoints'), `${lines.slice(0, -2).join('\n')}\n`);
      },
    ],
    ['key', 'ledger.fork_detected', async (options) => void Object.assign(options, { signer: testSigner(origin) })],
  ];
  for (const [name, code, tamper] of cases) {
    await withLog(async (options, dir) => {
      await tamper(options, dir);
      await assert.rejects(openTileLog(options), { code }, name);
      const verdict = await verify(options);
      assert.equal(verdict.ok, false, name);
    });
  }
});

test('a restored old copy of the log files is only behind: it catches up to the very same tree', () =>
  withLog(async (options, dir) => {
    await withDirectory(async (copy) => {
      await cp(dir, copy, { recursive: true });
      options.source.length = 700;
      const log = await openTileLog(options);
      const { root } = await log.publish();
      await log.close();
      const old = await openTileLog({ ...options, dir: copy });
      assert.equal((await old.publish()).root, root);
      await old.close();
    });
  }));

test('a running log does not paper over an altered right edge, and goes on when it is put back', () =>
  withLog(async (options, dir) => {
    const log = await openTileLog(options);
    const path = join(dir, 'tile/entries/002.p/88');
    await copyFile(path, join(dir, 'kept'));
    await flipByte(path, -1);
    options.source.length = 601;
    await assert.rejects(log.waitFor(600), { code: 'ledger.damaged' });
    assert.equal(log.size(), 600);
    assert.equal(log.trouble()?.code, 'ledger.damaged');
    await chmod(path, 0o644);
    await copyFile(join(dir, 'kept'), path);
    assert.equal((await log.waitFor(600)).size, 601);
    await log.publish();
    assert.equal(log.trouble(), undefined);
    await log.close();
  }));

test('a proof is not given from altered tiles', () =>
  withLog(async (options, dir) => {
    await flipByte(join(dir, 'tile/0/000'), 32 * 9);
    const log = await openForReading(options);
    await assert.rejects(log.inclusionProof(3), { code: 'ledger.damaged' });
    await assert.rejects(log.consistencyProof(100), { code: 'ledger.damaged' });
    assert.equal((await log.inclusionProof(300)).index, 300);
    await log.close();
  }));

test('of two processes that write one log the second stops before it shows anything', () =>
  withLog(async (options) => {
    const one = await openTileLog(options);
    const two = await openTileLog(options);
    options.source.length = 601;
    await one.publish();
    await assert.rejects(two.publish(), { code: /ledger\.(fork_detected|damaged)/ });
    assert.equal(two.size(), 600);
    await assert.rejects(two.publish());
    await one.close();
    await two.close();
    assertFailed(await verify(options), {});
  }));

test('a record torn by a crash is cut off: nobody has seen it', () =>
  withLog(async (options, dir) => {
    await appendFile(join(dir, 'checkpoints'), '{"at":1,"note":"events.te');
    options.source.length = 610;
    const log = await openTileLog(options);
    assert.equal((await log.publish()).size, 610);
    await log.close();
    assertFailed(await verify(options), {});
  }));
