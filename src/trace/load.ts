import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Attest } from '#attest';
import { type Check, createDigester, type Clock, type Digest, digestOf, failed, passed, Problem } from '#base';
import type { ModuleDefinition } from '#journal';
import type { Ledger } from '#ledger';
import { verdictOn } from '#release';
import type { Source } from '#source';
import type { Db, Objects } from '#storage';
import type { BundleState, ObjectState } from './evidence.ts';
import type { ChainSources } from './gather.ts';
import type { LocateParts } from './locate.ts';
import { compareRows } from './rows.ts';

export interface LoadParts extends LocateParts {
  db: Db;
  ledger: Pick<Ledger, 'verifyFact' | 'waitForFact' | 'events' | 'assurance'>;
  objects: Objects;
  attest: Pick<Attest, 'trustedRoot'>;
  source: Pick<Source, 'log' | 'commitObject'>;
  modules: readonly ModuleDefinition[];
  clock: Clock;
  publicUrl: string;
}

/** This server as the place a chain is read from: everything anew from the disk, nothing believed. */
export function serverSources(parts: LoadParts): ChainSources {
  return {
    journal: parts.journal,
    tracedAt: parts.clock.now(),
    publicUrl: parts.publicUrl,
    trustedRoot: parts.attest.trustedRoot(),
    verdictOn: (number) => verdictOn(parts.ledger, number),
    hashObject: (digest) => hashObject(parts.objects, digest),
    readBundle: (digest) => readBundle(parts.objects, digest),
    checkRepository: (repository, commit) => checkRepository(parts.source, repository, commit),
    compareRows: (subjects) => compareRows(parts.db, parts.modules, subjects),
  };
}

async function checkRepository(source: Pick<Source, 'log'>, repository: string, commit: string): Promise<Check> {
  const name = 'commit is in the repository';
  try {
    const [entry] = await source.log(repository, commit, 1);
    if (entry?.id === commit) return passed(name, commit);
    return failed(name, { code: 'trace.commit_missing', expected: commit, found: entry?.id ?? 'nothing' });
  } catch (error) {
    if (Problem.is(error)) return failed(name, { code: error.code, expected: commit, found: error.message });
    throw error;
  }
}

/** What the object's bytes hash to, read from the disk now. */
async function hashObject(objects: Objects, digest: Digest): Promise<ObjectState> {
  const digester = createDigester();
  try {
    for await (const chunk of createReadStream(objects.path(digest))) digester.update(chunk as Buffer);
  } catch {
    return { digest, found: null };
  }
  return { digest, found: digester.digest() };
}

async function readBundle(objects: Objects, digest: Digest): Promise<BundleState> {
  const bytes = await readFile(objects.path(digest)).catch(() => undefined);
  const found = bytes === undefined ? null : digestOf(bytes);
  return { digest, found, bytes: bytes !== undefined && found === digest ? bytes : null };
}
