import type { Attest } from '#attest';
import { type Check, failed, passed, type Verdict, verdictOf } from '#base';
import { type ModuleDefinition, rebuildAndCompare } from '#journal';
import type { Ledger } from '#ledger';
import type { Db, Objects } from '#storage';
import type { Vault } from '#vault';

/**
 * Hashes bytes, never an index of them: every entry, tile and checkpoint of both logs, every object, every sealed key; and makes
 * every table anew from the facts. Slow on purpose.
 */
export async function checkBytes({
  ledger,
  attest,
  db,
  objects,
  vault,
  modules,
}: {
  ledger: Ledger;
  attest: Attest;
  db: Db;
  objects: Objects;
  vault: Vault;
  modules: readonly ModuleDefinition[];
}): Promise<Verdict> {
  const events = await ledger.verify();
  const signatures = await attest.signaturesLog.verify();
  const keys = await vault.verify();
  const tables = await rebuildAndCompare({ db, modules });
  return verdictOf([
    ...events.checks,
    ...signatures.checks.map((check) => ({ ...check, name: `signatures: ${check.name}` })),
    await checkObjects(objects),
    ...keys.checks,
    ...tables.checks,
  ]);
}

async function checkObjects(objects: Objects): Promise<Check> {
  let count = 0;
  const damaged: string[] = [];
  for await (const digest of objects.list()) {
    count += 1;
    if ((await objects.check(digest)) !== 'intact') damaged.push(digest);
  }
  if (damaged.length === 0) return passed('objects', `${count} objects re-hashed`);
  return failed('objects', {
    code: 'storage.object_damaged',
    expected: `${count} objects whose bytes have their digest`,
    found: `${damaged.length} that have not: ${damaged.slice(0, 10).join(', ')}`,
    fix: 'Restore these files from a backup; an object is right if and only if it has its digest.',
  });
}
