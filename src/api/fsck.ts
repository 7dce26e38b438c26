import type { Attest } from '#attest';
import { type Check, failed, isDigest, passed, type Verdict, verdictOf } from '#base';
import { type Journal, type ModuleDefinition, rebuildAndCompare } from '#journal';
import type { Ledger } from '#ledger';
import type { Db, Objects } from '#storage';
import type { Vault } from '#vault';

/**
 * Hashes bytes, never an index of them: every entry, tile and checkpoint of both logs, every object, every sealed key; and makes
 * every table anew from the facts. Slow on purpose.
 */
export async function checkBytes({
  journal,
  ledger,
  attest,
  db,
  objects,
  vault,
  modules,
}: {
  journal: Journal;
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
    await checkNamed(journal, objects),
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

/** Facts that name an object which must never go: signed bundles, release artifacts, evidence. By the member that names it. */
const NAMED: Readonly<Record<string, string>> = {
  'attest.bundle_made': 'bundle',
  'attest.bundle_received': 'bundle',
  'artifact.published': 'digest',
  'ledger.fork_evidence': 'evidence',
};
const PAGE = 500;

/** A list of what is there cannot show what is not: ask for everything that the facts name. */
async function checkNamed(journal: Journal, objects: Objects): Promise<Check> {
  const types = Object.keys(NAMED);
  const missing: string[] = [];
  let count = 0;
  for (let after = 0; ;) {
    const facts = await journal.read({ after, types, limit: PAGE });
    for (const { number, type, payload } of facts) {
      const digest = (payload as Record<string, unknown> | null)?.[NAMED[type] ?? ''];
      after = number;
      count += 1;
      if (!isDigest(digest) || !(await objects.has(digest))) missing.push(`${String(digest)} of fact ${number}`);
    }
    if (facts.length < PAGE) break;
  }
  if (missing.length === 0) return passed('objects named by facts', `${count} facts, none of their objects is missing`);
  return failed('objects named by facts', {
    code: 'storage.object_missing',
    expected: `the objects of ${count} facts`,
    found: `${missing.length} are missing: ${missing.slice(0, 10).join(', ')}`,
    fix: 'Restore the files from a backup.',
  });
}
