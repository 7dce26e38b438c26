import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#base';
import { openCheckpoint } from './checkpoint.ts';
import { hashBase64, leafHash } from './hash.ts';
import { verifyConsistency, verifyInclusion } from './proof.ts';
import { growingSource, testEntry, testSigner, withDirectory } from './testlog.ts';
import { openTileLog } from './tilelog.ts';
import type { TileLogOptions } from './tilelog.ts';
import { appendLeaf, emptyRange, rangeRoot } from './tree.ts';

const origin = 'events.test';

function optionsFor(dir: string, source = growingSource(0)): TileLogOptions & { source: typeof source } {
  return { dir, origin, signer: testSigner(origin), source, clock: systemClock };
}

function expectedRoot(size: number): string {
  const range = emptyRange();
  for (let i = 0; i < size; i += 1) appendLeaf(range, leafHash(testEntry(i)));
  return hashBase64(rangeRoot(range));
}

test('a new log signs the empty tree, then everything its source has', () =>
  withDirectory(async (dir) => {
    const options = optionsFor(dir);
    const log = await openTileLog(options);
    assert.equal(log.size(), 0);
    assert.equal(openCheckpoint(log.checkpoint().note, origin, [log.verifier]).size, 0);
    for (const size of [1, 2, 255, 256, 257, 600]) {
      options.source.length = size;
      const checkpoint = await log.publish();
      assert.equal(checkpoint.size, size);
      assert.equal(hashBase64(checkpoint.root), expectedRoot(size));
      assert.equal(await readFile(join(dir, 'checkpoint'), 'utf8'), checkpoint.note);
      const verdict = await log.verify();
      assert.ok(verdict.ok, JSON.stringify(verdict));
    }
    await log.close();
  }));

test('every proof of a log verifies offline against its signed checkpoint', () =>
  withDirectory(async (dir) => {
    const log = await openTileLog(optionsFor(dir, growingSource(700)));
    const { root, size } = await log.publish();
    for (const index of [0, 1, 255, 256, 511, 512, 698, 699]) {
      const proof = await log.inclusionProof(index);
      assert.ok(verifyInclusion({ ...proof, leaf: leafHash(testEntry(index)), size, root }));
      assert.deepEqual(await log.entry(index), testEntry(index));
      assert.equal(await log.leafHash(index), leafHash(testEntry(index)));
    }
    for (const oldSize of [1, 2, 255, 256, 257, 512, 699, 700]) {
      const proof = await log.consistencyProof(oldSize);
      assert.equal(hashBase64(proof.oldRoot), expectedRoot(oldSize));
      assert.ok(verifyConsistency({ ...proof, newRoot: root }));
    }
    assert.ok(verifyInclusion(await log.inclusionProof(3, 300)));
    await assert.rejects(log.inclusionProof(700), { code: 'ledger.index_unknown' });
    await assert.rejects(log.inclusionProof(300, 300), { code: 'ledger.index_unknown' });
    await assert.rejects(log.consistencyProof(0), { code: 'ledger.index_unknown' });
    await log.close();
  }));

test('any tile that a checkpoint so far implies is served, partial ones from larger ones, and no other path', () =>
  withDirectory(async (dir) => {
    const options = optionsFor(dir, growingSource(100));
    const log = await openTileLog(options);
    await log.publish();
    const early = await log.tileBytes('tile/0/000.p/100');
    options.source.length = 600;
    await log.publish();
    assert.equal(early?.length, 3200);
    assert.deepEqual(await log.tileBytes('tile/0/000.p/100'), early);
    assert.equal((await log.tileBytes('tile/0/000'))?.length, 8192);
    assert.equal((await log.tileBytes('tile/0/002.p/88'))?.length, 88 * 32);
    assert.equal((await log.tileBytes('tile/0/002.p/7'))?.length, 7 * 32);
    assert.equal((await log.tileBytes('tile/1/000.p/2'))?.length, 64);
    assert.equal((await log.tileBytes('tile/entries/002.p/1'))?.toString('latin1', 2), 'entry 512');
    assert.equal((await log.tileBytes('checkpoint'))?.toString(), log.checkpoint().note);
    for (const path of [
      'tile/0/002.p/89',
      'tile/0/002',
      'tile/0/003',
      'tile/1/000.p/3',
      'tile/2/000.p/1',
      'tile/0/2',
      'tile/0/../checkpoint',
      'tile/00/000',
      '../vault',
      'tile/entries/000.p/0',
      'tile/0/000.p/256',
    ]) {
      assert.equal(await log.tileBytes(path), undefined, path);
    }
    assert.deepEqual((await readdir(join(dir, 'tile/0'))).sort(), ['000', '001', '002.p']);
    assert.deepEqual(await readdir(join(dir, 'tile/0/002.p')), ['88']);
    await log.close();
  }));

test('whoever waits for an entry gets a checkpoint that covers it, and waiters share it', () =>
  withDirectory(async (dir) => {
    const published: number[] = [];
    const options = {
      ...optionsFor(dir),
      minIntervalMs: 60_000,
      onPublished: ({ size }: { size: number }) => published.push(size),
    };
    const log = await openTileLog(options);
    const waiting = [0, 1, 2].map((index) => log.waitFor(index));
    await log.publish();
    options.source.length = 3;
    log.poke();
    const checkpoints = await Promise.all(waiting);
    assert.deepEqual(
      checkpoints.map(({ size }) => size),
      [3, 3, 3],
    );
    assert.equal((await log.waitFor(1)).size, 3);
    assert.deepEqual(published, [0, 3]);
    const never = log.waitFor(99);
    never.catch(() => undefined);
    await log.close();
    await assert.rejects(never, { code: 'ledger.closed' });
  }));

test('a poke nobody waits for is published within the interval', () =>
  withDirectory(async (dir) => {
    const options = { ...optionsFor(dir), minIntervalMs: 20 };
    const log = await openTileLog(options);
    const keepAlive = setInterval(() => undefined, 10);
    for (const size of [1, 2, 3]) {
      options.source.length = size;
      log.poke();
      const until = performance.now() + 1000;
      while (log.size() < size && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(log.size(), size);
    }
    clearInterval(keepAlive);
    await log.close();
  }));

test('closing publishes what was poked', () =>
  withDirectory(async (dir) => {
    const options = { ...optionsFor(dir), minIntervalMs: 60_000 };
    const log = await openTileLog(options);
    await log.publish();
    options.source.length = 5;
    log.poke();
    await log.close();
    const reader = await openTileLog({ ...options, access: 'read' });
    assert.equal(reader.size(), 5);
    await reader.close();
  }));

test('a reopened log goes on where it was, at every size around a tile boundary', () =>
  withDirectory(async (dir) => {
    const options = optionsFor(dir);
    for (const size of [0, 1, 254, 255, 256, 257, 511, 512, 513]) {
      options.source.length = size;
      const log = await openTileLog(options);
      assert.equal((await log.publish()).size, size);
      assert.equal(hashBase64(log.checkpoint().root), expectedRoot(size));
      await log.close();
    }
    const log = await openTileLog({ ...options, access: 'read' });
    const verdict = await log.verify();
    assert.ok(verdict.ok, JSON.stringify(verdict));
    await assert.rejects(log.publish(), { code: 'ledger.read_only' });
    await log.close();
  }));

test('a Rekor v1 style log has a tree id in its origin, its host name on the signature line and an ECDSA key', () =>
  withDirectory(async (dir) => {
    const options = {
      ...optionsFor(dir, growingSource(3)),
      origin: 'signatures.test - 4242424242424242',
      signer: testSigner('signatures.test', 'p256'),
    };
    const log = await openTileLog(options);
    const { note } = await log.publish();
    assert.match(note, /^signatures\.test - 4242424242424242\n3\n[^\n]+\n\n\u2014 signatures\.test \S+\n$/);
    assert.equal(openCheckpoint(note, options.origin, [log.verifier]).size, 3);
    await log.close();
    const again = await openTileLog(options);
    assert.equal(again.checkpoint().note, note);
    await again.close();
  }));

test('after a failed durable write the log stops for good', () =>
  withDirectory(async (dir) => {
    const options = optionsFor(dir, growingSource(3));
    const log = await openTileLog(options);
    await log.publish();
    const { rename, writeFile } = await import('node:fs/promises');
    await rename(join(dir, 'tile/0/000.p'), join(dir, 'aside'));
    await rename(join(dir, 'tile/entries'), join(dir, 'tile/aside'));
    options.source.length = 4;
    await assert.rejects(log.publish(), { code: 'ledger.damaged' });
    await rename(join(dir, 'aside'), join(dir, 'tile/0/000.p'));
    await rename(join(dir, 'tile/aside'), join(dir, 'tile/entries'));
    assert.equal((await log.publish()).size, 4, 'what was put back is accepted');
    await rename(join(dir, 'checkpoint'), join(dir, 'aside'));
    await import('node:fs/promises').then(({ mkdir }) => mkdir(join(dir, 'checkpoint')));
    await writeFile(join(dir, 'checkpoint/x'), '');
    options.source.length = 5;
    await assert.rejects(log.publish());
    await assert.rejects(log.waitFor(4), { code: 'ledger.stopped' });
    await log.close();
  }));

test('a log is verified while it grows', () =>
  withDirectory(async (dir) => {
    const options = { ...optionsFor(dir, growingSource(240)), minIntervalMs: 0 };
    const log = await openTileLog(options);
    await log.publish();
    let verified = 0;
    const growing = (async () => {
      for (let size = 241; size <= 280; size += 1) {
        options.source.length = size;
        await log.waitFor(size - 1);
      }
    })();
    const grown = growing.then(() => true);
    do {
      const verdict = await log.verify();
      assert.ok(verdict.ok, JSON.stringify(verdict));
      const { size } = log.checkpoint();
      assert.ok(verifyInclusion(await log.inclusionProof(199, size)));
      verified += 1;
    } while (!(await Promise.race([grown, Promise.resolve(false)])));
    assert.ok(verified > 1);
    await log.close();
  }));

test('a source that gives too few entries, or fails, is not guessed at', () =>
  withDirectory(async (dir) => {
    const source = growingSource(5);
    const options = optionsFor(dir, source);
    const read: typeof source.read = (from, count) => growingSource(5).read(from, count);
    const log = await openTileLog(options);
    source.read = async (from, count) => (await read(from, count)).slice(1);
    await assert.rejects(log.waitFor(4), { code: 'ledger.source_unavailable' });
    source.read = () => Promise.reject(new Error('the database is busy'));
    await assert.rejects(log.waitFor(4), { code: 'ledger.source_unavailable' });
    source.read = read;
    assert.equal((await log.waitFor(4)).size, 5);
    await log.close();
  }));

test('a log that was begun before is not begun anew', () =>
  withDirectory(async (dir) => {
    await assert.rejects(openTileLog({ ...optionsFor(dir), expectHistory: true }), { code: 'ledger.missing' });
  }));
