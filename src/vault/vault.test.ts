import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { verify } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Problem, systemClock } from '#base';
import { createJournal, type Journal, rebuildAndCompare } from '#journal';
import { type Db, openDatabase } from '#storage';
import { offersAlgorithm, openVault, type Vault, vaultModule } from './index.ts';

interface House {
  dir: string;
  db: Db;
  journal: Journal;
  vault: Vault;
  close(): Promise<void>;
}

async function openHouse(dir: string): Promise<House> {
  const db = await openDatabase({ path: join(dir, 'waybill.db') });
  const journal = await createJournal({ db, clock: systemClock, modules: [vaultModule] });
  const vault = await openVault({ dir: join(dir, 'vault'), db, journal }).catch(async (error) => {
    await db.close();
    throw error;
  });
  return { dir, db, journal, vault, close: () => db.close() };
}

async function within(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'waybill-vault-'));
  try {
    await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const refusal = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const edKey = { name: 'log', algorithm: 'ed25519', purpose: 'ledger' } as const;

/** Changes one byte of a base64 field of a record; `part` is the object that holds it, empty for the record itself. */
async function flipBase64Field(path: string, part: string, field: string): Promise<void> {
  const record = JSON.parse(await readFile(path, 'utf8'));
  const holder = part === '' ? record : record[part];
  const bytes = Buffer.from(holder[field], 'base64');
  bytes[0]! ^= 1;
  holder[field] = bytes.toString('base64');
  await writeFile(path, `${JSON.stringify(record)}\n`);
}

describe('a key in the vault', () => {
  let house: House;
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'waybill-vault-'));
    house = await openHouse(dir);
  });
  after(async () => {
    await house.close();
    await rm(dir, { recursive: true, force: true });
  });

  test('signs, and its signature verifies with the public key in the fact', async () => {
    for (const [algorithm, hash] of [
      ['ed25519', null],
      ['p256', 'sha256'],
      ['p384', 'sha384'],
    ] as const) {
      await house.vault.createKey({ name: `sign-${algorithm}`, algorithm, purpose: 'test' });
      const signer = await house.vault.signer(`sign-${algorithm}`);
      const signature = await signer.sign(Buffer.from('hello'));
      assert.ok(verify(hash, Buffer.from('hello'), signer.publicKey, signature), algorithm);
      const [fact] = await house.journal.byStream(`key/sign-${algorithm}`);
      assert.ok(fact);
      assert.equal((fact.payload as { publicKey: string }).publicKey, signer.spki.toString('base64'));
    }
  });

  test('is made once: the same wish gives the same key, another one is refused', async () => {
    const [first, second] = await Promise.all([house.vault.createKey(edKey), house.vault.createKey(edKey)]);
    assert.deepEqual(first.spki, second.spki);
    await assert.rejects(house.vault.createKey({ ...edKey, algorithm: 'p256' }), refusal('vault.key_exists'));
    await assert.rejects(house.vault.createKey({ ...edKey, purpose: 'other' }), refusal('vault.key_exists'));
  });

  test('may be an ML-DSA-44 key where Node has it, and is then given out by its own name only', async () => {
    if (!offersAlgorithm('ml-dsa-44')) return;
    await house.vault.createKey({ name: 'post-quantum', algorithm: 'ml-dsa-44', purpose: 'testing' });
    const signer = await house.vault.postQuantumSigner('post-quantum');
    const bytes = Buffer.from('signed');
    const signature = await signer.sign(bytes);
    assert.equal(signature.length, 2420);
    assert.ok(verify(null, bytes, signer.publicKey, signature));
    await assert.rejects(house.vault.signer('post-quantum'), TypeError);
  });

  test('that nobody created is not found', async () => {
    await assert.rejects(house.vault.signer('nothing'), refusal('vault.key_not_found'));
  });

  test('does not show its private part: not on the signer, not in the files, not in the facts', async () => {
    await house.vault.createKey({ name: 'hidden', algorithm: 'p256', purpose: 'test' });
    const signer = await house.vault.signer('hidden');
    for (const value of Object.values(signer)) {
      if (typeof value === 'object' && 'type' in value) assert.equal(value.type, 'public');
    }
    const facts = JSON.stringify(await house.journal.byStream('key/hidden'));
    const file = await readFile(join(dir, 'vault/keys/hidden.json'), 'utf8');
    // A PKCS#8 key in base64 starts like this; so does none of what was written.
    assert.doesNotMatch(facts + file, /MIGHAgEAMBMGByqGSM49/);
  });

  test('rests in files that only the server can read', async () => {
    for (const path of ['vault/master.key', 'vault/keys/log.json', 'vault/generations/instance.1.json']) {
      assert.equal((await stat(join(dir, path))).mode & 0o077, 0, path);
    }
    assert.deepEqual((await readdir(join(dir, 'vault'))).sort(), ['generations', 'keys', 'master.key']);
  });

  test('has a row that the facts give again', async () => {
    const verdict = await rebuildAndCompare({ db: house.db, modules: [vaultModule] });
    assert.ok(verdict.ok, JSON.stringify(verdict.checks));
    assert.ok((await house.vault.verify()).ok);
  });

  test('sealed bytes open only in their own context, and only the record that was expected', async () => {
    const first = await house.vault.seal(Buffer.from('token'), ['totp', 'alice']);
    const newer = await house.vault.seal(Buffer.from('newer'), ['totp', 'alice']);
    assert.equal((await house.vault.open(first.bytes, ['totp', 'alice'], first.digest)).toString(), 'token');
    await assert.rejects(house.vault.open(first.bytes, ['totp', 'mallory']), refusal('vault.record_altered'));
    await assert.rejects(
      house.vault.open(first.bytes, ['totp', 'alice'], newer.digest),
      refusal('vault.record_replaced'),
    );
    const sizes = new Set([first.bytes.length, newer.bytes.length]);
    assert.equal(sizes.size, 1, 'short secrets of any length have records of one size');
  });
});

describe('the vault refuses', () => {
  test('a master key that others can read, that is a link, or that is no key', () =>
    within(async (dir) => {
      await (await openHouse(dir)).close();
      const path = join(dir, 'vault/master.key');
      await chmod(path, 0o640);
      await assert.rejects(openHouse(dir), refusal('vault.master_key_exposed'));
      await chmod(path, 0o600);
      await rename(path, `${path}.away`);
      await symlink(`${path}.away`, path);
      await assert.rejects(openHouse(dir), refusal('vault.master_key_exposed'));
      await rm(path);
      await writeFile(path, 'waybill-master-key-v1 short\n', { mode: 0o600 });
      await assert.rejects(openHouse(dir), refusal('vault.master_key_invalid'));
    }));

  test('another master key, and to make a new one when the old one is gone', () =>
    within(async (dir) => {
      await (await openHouse(dir)).close();
      const path = join(dir, 'vault/master.key');
      await rename(path, `${path}.away`);
      await assert.rejects(openHouse(dir), refusal('vault.master_key_missing'));
      await within(async (other) => {
        await (await openHouse(other)).close();
        await copyFile(join(other, 'vault/master.key'), path);
      });
      await assert.rejects(openHouse(dir), refusal('vault.master_key_wrong'));
    }));

  const parts = ['key', 'value'].flatMap((part) =>
    ['salt', 'commitment', 'nonce', 'ciphertext'].map((field) => ({ part, field })),
  );
  for (const { part, field } of [...parts, { part: '', field: 'publicKey' }]) {
    test(`a sealed key with one byte of ${part} ${field} changed`, () =>
      within(async (dir) => {
        const house = await openHouse(dir);
        await house.vault.createKey(edKey);
        await flipBase64Field(join(dir, 'vault/keys/log.json'), part, field);
        await assert.rejects(house.vault.signer('log'), refusal('vault.record_replaced'));
        assert.equal((await house.vault.verify()).ok, false);
        await house.close();
      }));
  }
  for (const { part, field } of parts) {
    test(`sealed bytes with one byte of ${part} ${field} changed, even when no digest is expected`, () =>
      within(async (dir) => {
        const house = await openHouse(dir);
        const path = join(dir, 'sealed');
        await writeFile(path, (await house.vault.seal(Buffer.from('secret'), ['x'])).bytes);
        await flipBase64Field(path, part, field);
        await assert.rejects(house.vault.open(await readFile(path), ['x']), refusal('vault.record_altered'));
        await house.close();
      }));
  }

  test('a sealed key that was swapped with another, or taken away', () =>
    within(async (dir) => {
      const house = await openHouse(dir);
      await house.vault.createKey(edKey);
      await house.vault.createKey({ ...edKey, name: 'other' });
      await copyFile(join(dir, 'vault/keys/other.json'), join(dir, 'vault/keys/log.json'));
      await assert.rejects(house.vault.signer('log'), refusal('vault.record_replaced'));
      await rm(join(dir, 'vault/keys/log.json'));
      await assert.rejects(house.vault.signer('log'), refusal('vault.record_missing'));
      await assert.rejects(house.vault.createKey(edKey), refusal('vault.record_missing'));
      await house.close();
    }));

  test('a key-encryption key that was swapped', () =>
    within(async (dir) => {
      await (await openHouse(dir)).close();
      await flipBase64Field(join(dir, 'vault/generations/instance.1.json'), 'key', 'ciphertext');
      await assert.rejects(openHouse(dir), refusal('vault.record_replaced'));
    }));

  test('a row of the database that says another public key than the fact', () =>
    within(async (dir) => {
      const house = await openHouse(dir);
      await house.vault.createKey(edKey);
      await house.db.write(async (tx) => {
        await tx
          .as<{ vault_key: { public_key: string } }>()
          .updateTable('vault_key')
          .set({ public_key: 'AAAA' })
          .execute();
      });
      await assert.rejects(house.vault.signer('log'), refusal('vault.row_altered'));
      await house.close();
    }));

  test('a sealed record without a fact that this vault did not make', () =>
    within(async (dir) => {
      const house = await openHouse(dir);
      await within(async (other) => {
        const foreign = await openHouse(other);
        await foreign.vault.createKey(edKey);
        await foreign.close();
        await copyFile(join(other, 'vault/keys/log.json'), join(dir, 'vault/keys/log.json'));
      });
      await assert.rejects(house.vault.createKey(edKey), refusal('vault.master_key_wrong'));
      await house.close();
    }));
});

describe('killed between the sealed file and its fact', { concurrency: 3 }, () => {
  const script = `
    import { join } from 'node:path';
    import { systemClock } from '#base';
    import { createJournal } from '#journal';
    import { openDatabase } from '#storage';
    import { openVault, vaultModule } from '${join(import.meta.dirname, 'index.ts')}';
    const dir = process.argv[1];
    const db = await openDatabase({ path: join(dir, 'waybill.db') });
    const journal = await createJournal({ db, clock: systemClock, modules: [vaultModule] });
    const vault = await openVault({ dir: join(dir, 'vault'), db, journal });
    await vault.createKey({ name: 'log', algorithm: 'ed25519', purpose: 'ledger' });
  `;
  for (const point of [
    'vault.after_seal_generation',
    'vault.after_seal',
    'journal.before_record',
    'journal.after_record',
  ]) {
    test(`at ${point}, the vault goes on with the key that was sealed`, () =>
      within(async (dir) => {
        const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script, dir], {
          env: { WAYBILL_FAULT_POINT: point },
          stdio: ['ignore', 'ignore', 'pipe'],
          cwd: join(import.meta.dirname, '..', '..'),
        });
        const errors = child.stderr.toArray();
        const [, signal] = await once(child, 'exit');
        assert.equal(signal, 'SIGKILL', (await errors).join(''));
        const path = join(dir, 'vault/keys/log.json');
        const sealed = await readFile(path).catch(() => undefined);
        const house = await openHouse(dir);
        await house.vault.createKey(edKey);
        const signer = await house.vault.signer('log');
        assert.ok(verify(null, Buffer.from('x'), signer.publicKey, await signer.sign(Buffer.from('x'))));
        if (sealed) assert.deepEqual(await readFile(path), sealed);
        assert.equal((await house.journal.byStream('key/log')).length, 1);
        await house.close();
      }));
  }
});
