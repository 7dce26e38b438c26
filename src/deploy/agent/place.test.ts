import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, Problem } from '#base';
import { expectedLink, hashPath, openPlaces, placeFile, type Places, readLink, switchLink } from './place.ts';
import { findOrphans, isAlive, startProgram, startTimeOf, stopProgram } from './process.ts';
import { openState } from './state.ts';

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const good = Buffer.from(`#!/bin/sh\nsleep 600\n`);
const item = { digest: digestOf(good), size: good.length, file: 'program' };
const sends = (bytes: Uint8Array) => async () =>
  (async function* () {
    yield bytes;
  })();

async function withPlaces(work: (places: Places, directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-place-'));
  try {
    await work(await openPlaces(directory), directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('the right bytes are placed once, read-only, under their digest', async () => {
  await withPlaces(async (places) => {
    const path = await placeFile(places, item, sends(good));
    assert.equal(await hashPath(path), item.digest);
    assert.equal((await stat(path)).mode & 0o222, 0);
    assert.equal((await stat(join(path, '..'))).mode & 0o222, 0);
    const again = await placeFile(places, item, () => Promise.reject(new Error('it is there already')));
    assert.equal(again, path);
  });
});

test('other bytes, fewer and more are refused, and nothing of them stays', async () => {
  await withPlaces(async (places) => {
    const altered = Buffer.from(good);
    altered[0]! ^= 1;
    for (const bytes of [altered, good.subarray(1), Buffer.concat([good, good]), Buffer.alloc(0)]) {
      await assert.rejects(placeFile(places, item, sends(bytes)), codeIs('deploy.digest_mismatch'));
    }
    assert.deepEqual([await readdir(places.incoming), await readdir(places.store)], [[], []]);
  });
});

test('what was altered in the store is put aside and placed anew', async () => {
  await withPlaces(async (places) => {
    const path = await placeFile(places, item, sends(good));
    await chmod(path, 0o600);
    await writeFile(path, 'evil');
    assert.equal(await placeFile(places, item, sends(good)), path);
    assert.equal(await hashPath(path), item.digest);
    const [aside] = await readdir(places.quarantine);
    assert.equal((await readFile(join(places.quarantine, aside!, 'program'))).toString(), 'evil');
  });
});

test('a link is switched in one step and says where it points', async () => {
  await withPlaces(async (places) => {
    assert.equal(await readLink(places, 'acme/hello/x'), undefined);
    for (const digest of [digestOf('1'), digestOf('2')]) {
      await switchLink(places, 'acme/hello/x', digest);
      assert.equal(await readLink(places, 'acme/hello/x'), expectedLink(digest));
    }
    assert.deepEqual(await readdir(places.current), ['acme~hello~x']);
  });
});

test('a file that is no longer the verified one is not started', async () => {
  await withPlaces(async (places, directory) => {
    const path = await placeFile(places, item, sends(good));
    await chmod(path, 0o700);
    await writeFile(path, '#!/bin/sh\necho evil\n');
    const options = { path, digest: item.digest, args: [], environment: {}, workingDirectory: directory };
    const started = startProgram({ ...options, log: join(directory, 'log'), onExit: () => undefined });
    await assert.rejects(started, codeIs('deploy.file_altered'));
    assert.equal(await hashPath(join(directory, 'log')), digestOf(''));
  });
});

test('a program that nobody remembers is found by the file it holds, and a process is known by when it started', async () => {
  await withPlaces(async (places, directory) => {
    const path = await placeFile(places, item, sends(good));
    const options = { path, digest: item.digest, args: [], environment: {}, workingDirectory: directory };
    const mark = await startProgram({ ...options, log: join(directory, 'log'), onExit: () => undefined });
    assert.equal(await isAlive(mark), true);
    assert.equal(await isAlive({ ...mark, startTime: '1' }), false);
    assert.deepEqual(await findOrphans(places.store, [mark.pid]), []);
    const [orphan] = await findOrphans(places.store, []);
    assert.deepEqual([orphan?.pid, orphan?.startTime], [mark.pid, mark.startTime]);
    await stopProgram({ ...mark, startTime: '1' });
    assert.equal(await isAlive(mark), true);
    const children = await readFile(`/proc/${mark.pid}/task/${mark.pid}/children`, 'utf8');
    await stopProgram(orphan!);
    assert.equal(await isAlive(mark), false);
    // What the program itself had started is gone with it.
    for (const child of children.trim().split(' ')) assert.equal(await startTimeOf(Number(child)), undefined, child);
  });
});

test('a state file that cannot be read stops the agent instead of being forgotten', async () => {
  await withPlaces(async (_places, directory) => {
    const first = await openState(directory);
    first.state.refused['acme/x'] = 'because';
    await first.save();
    assert.deepEqual((await openState(directory)).state, first.state);
    await writeFile(join(directory, 'state.json'), '{"version":1');
    await assert.rejects(openState(directory), codeIs('deploy.state_unreadable'));
  });
});

test('a file name that leads out of its folder is refused before anything is written', async () => {
  await withPlaces(async (places, directory) => {
    for (const file of ['../../escaped', '/tmp/escaped', '..', '.hidden', 'a/b']) {
      const asked = placeFile(places, { ...item, file }, () => Promise.reject(new Error('it was downloaded')));
      await assert.rejects(asked, codeIs('deploy.file_name_refused'), file);
    }
    assert.deepEqual((await readdir(directory)).toSorted(), ['current', 'incoming', 'logs', 'quarantine', 'store']);
  });
});
