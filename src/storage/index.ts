/**
 * storage: where bytes and rows rest.
 * Guarantees: what a call acknowledged is on the disk (fsync of file and directory); objects are found only under the digest
 * of the bytes they hold; writes to the database are serialised, atomic each, and grouped into shared commits.
 */
export { type Db, openDatabase, type Tx } from './database.ts';
export { ensureDirectory, syncDirectory, writeDurable } from './files.ts';
export { holdLock } from './lock.ts';
export { type ColumnTypes, type Migration, type ModuleMigrations } from './migrate.ts';
export { type Objects, type ObjectControls, type OpenObject, openObjects, type StoredObject } from './objects.ts';
