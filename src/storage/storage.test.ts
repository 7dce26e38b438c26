import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, Problem } from '#base';
import { type Db, holdLock, openDatabase, openObjects, writeDurable } from './index.ts';

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

async function withDirectory(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-storage-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('an object is found under the digest of its bytes, once, however often it is put', async () => {
  await withDirectory(async (dir) => {
    const objects = await openObjects({ dir });
    const bytes = Buffer.from('hello');
    const puts = await Promise.all([objects.put(bytes), objects.put(bytes), objects.put(bytes)]);
    assert.ok(puts.every(({ digest, size }) => digest === digestOf(bytes) && size === 5));
    assert.deepEqual(await objects.read(digestOf(bytes)), bytes);
    assert.deepEqual(await readdir(join(dir, 'incoming')), []);
    assert.deepEqual(await Array.fromAsync(objects.list()), [digestOf(bytes)]);
  });
});

test('other bytes than announced, too many bytes and a broken upload leave nothing behind', async () => {
  await withDirectory(async (dir) => {
    const objects = await openObjects({ dir });
    const expect = digestOf('expected');
    await assert.rejects(objects.put(Buffer.from('other'), { expect }), codeIs('storage.digest_mismatch'));
    await assert.rejects(objects.put(Buffer.alloc(11), { maxBytes: 10 }), codeIs('storage.object_too_large'));
    const broken = async function* () {
      yield Buffer.from('half');
      throw new Error('the line was cut');
    };
    await assert.rejects(objects.put(broken()), /cut/);
    assert.deepEqual(await readdir(join(dir, 'incoming')), []);
    assert.deepEqual(await Array.fromAsync(objects.list()), []);
  });
});

test('a byte changed on the disk is never served, also when the object was verified before', async () => {
  await withDirectory(async (dir) => {
    const objects = await openObjects({ dir });
    const { digest } = await objects.put(Buffer.from('genuine'));
    const first = await objects.open(digest);
    assert.equal((await Array.fromAsync(first.stream())).join(''), 'genuine');
    await chmod(objects.path(digest), 0o600);
    await writeFile(objects.path(digest), 'forgery');
    await assert.rejects(objects.open(digest), codeIs('storage.object_damaged'));
    await assert.rejects(objects.read(digest), codeIs('storage.object_damaged'));
    assert.equal(await objects.check(digest), 'damaged');
    await rm(objects.path(digest));
    await assert.rejects(objects.open(digest), codeIs('storage.object_missing'));
    assert.equal(await objects.check(digest), 'missing');
  });
});

test('putting the genuine bytes again heals a damaged object', async () => {
  await withDirectory(async (dir) => {
    const objects = await openObjects({ dir });
    const { digest } = await objects.put(Buffer.from('genuine'));
    await chmod(objects.path(digest), 0o600);
    await appendFile(objects.path(digest), '!');
    await objects.put(Buffer.from('genuine'));
    assert.equal(await objects.check(digest), 'intact');
  });
});

test('a stream can be read in ranges', async () => {
  await withDirectory(async (dir) => {
    const objects = await openObjects({ dir });
    const { digest } = await objects.put(Buffer.from('0123456789'));
    const opened = await objects.open(digest);
    assert.equal((await Array.fromAsync(opened.stream({ start: 2, end: 5 }))).join(''), '2345');
  });
});

test('what an interrupted upload left is swept at the next start', async () => {
  await withDirectory(async (dir) => {
    await openObjects({ dir });
    await writeFile(join(dir, 'incoming', 'left-over'), 'x');
    await openObjects({ dir });
    assert.deepEqual(await readdir(join(dir, 'incoming')), []);
  });
});

test('a durable write replaces the whole file, with its mode, and leaves no temporary file', async () => {
  await withDirectory(async (dir) => {
    const path = join(dir, 'file');
    await writeDurable(path, 'one');
    await writeDurable(path, 'two', 0o640);
    assert.equal(await readFile(path, 'utf8'), 'two');
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.deepEqual(await readdir(dir), ['file']);
  });
});

interface Tables {
  toy_row: { id: number };
}

async function withTable(run: (db: Db) => Promise<void>): Promise<void> {
  await withDirectory(async (dir) => {
    const db = await openDatabase({ path: join(dir, 'x.db') });
    await db.migrate([
      {
        module: 'toy',
        migrations: [
          {
            name: '0001',
            up: (schema) =>
              schema.schema
                .createTable('toy_row')
                .addColumn('id', 'integer', (c) => c.primaryKey())
                .execute(),
          },
        ],
      },
    ]);
    await run(db);
    await db.close();
  });
}

const insert = (db: Db, ...ids: number[]) =>
  db.write(async (tx) => {
    for (const id of ids) await tx.as<Tables>().insertInto('toy_row').values({ id }).execute();
  });
const ids = async (db: Db) =>
  (await db.read<Tables>().selectFrom('toy_row').selectAll().orderBy('id').execute()).map((row) => row.id);

test('requests that share a commit fail alone: each is undone by itself, the others stay', async () => {
  await withTable(async (db) => {
    const results = await Promise.allSettled([insert(db, 1), insert(db, 2, 1), insert(db, 3), insert(db, 3)]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
    );
    assert.deepEqual(await ids(db), [1, 3]);
  });
});

test('a migration runs once, and one that fails leaves nothing of itself', async () => {
  await withTable(async (db) => {
    const bad = {
      module: 'toy',
      migrations: [
        { name: '0001', up: () => Promise.reject(new Error('must not run again')) },
        {
          name: '0002',
          async up(schema: Parameters<Parameters<Db['migrate']>[0][0]['migrations'][0]['up']>[0]) {
            await schema.schema.createTable('toy_other').addColumn('id', 'integer').execute();
            throw new Error('half-way');
          },
        },
      ],
    };
    await assert.rejects(db.migrate([bad]), /half-way/);
    const tables = await db.read<unknown>().introspection.getTables();
    assert.equal(
      tables.some((table) => table.name === 'toy_other'),
      false,
    );
  });
});

test('database and lock are nobody else’s to read, in a directory that is open to others as well', async () => {
  await withDirectory(async (dir) => {
    await chmod(dir, 0o755);
    await writeFile(join(dir, 'waybill.db'), '', { mode: 0o644 });
    const db = await openDatabase({ path: join(dir, 'waybill.db') });
    await db.migrate([]);
    const release = holdLock(join(dir, 'lock.db'));
    for (const name of await readdir(dir)) assert.equal((await stat(join(dir, name))).mode & 0o077, 0, name);
    release?.();
    await db.close();
  });
});

test('a lock has one holder in this process and in all others, and is free when the holder lets go', async () => {
  await withDirectory(async (dir) => {
    const path = join(dir, 'lock.db');
    const release = holdLock(path);
    assert.ok(release);
    assert.equal(holdLock(path), undefined);
    const script = `const { holdLock } = await import(${JSON.stringify(new URL('./lock.ts', import.meta.url).href)});
      console.log(holdLock(${JSON.stringify(path)}) ? 'held' : 'refused');`;
    const elsewhere = () => execFileSync(process.execPath, ['--input-type=module', '-e', script]).toString().trim();
    assert.equal(elsewhere(), 'refused');
    release();
    assert.equal(elsewhere(), 'held');
    holdLock(path)?.();
  });
});
