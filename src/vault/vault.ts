import { type KeyObject, sign } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Check,
  type Clock,
  type Digest,
  digestOf,
  failed,
  faultPoint,
  passed,
  Problem,
  type Verdict,
  verdictOf,
} from '#base';
import { type Fact, type Journal, systemActor } from '#journal';
import { type Db, ensureDirectory, writeDurable } from '#storage';
import { type KeyCreated, keyCreated, KeyName } from './facts.ts';
import { openGeneration, readIfThere } from './generation.ts';
import { openMasterKey } from './masterkey.ts';
import { keyDiffers, keyNotFound, recordMissing, recordReplaced, rowAltered } from './problems.ts';
import type { KeyAlgorithm, KeyPair } from './record.ts';
import { openRecord, sealKey, sealRecord, unsealKey } from './seal.ts';
import { findKey, listKeys } from './store.ts';

/** Signs with a key it does not show. */
export interface Signer<A extends KeyAlgorithm = ClassicAlgorithm> {
  readonly name: string;
  readonly algorithm: A;
  readonly publicKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** Ed25519 (64 bytes) and ML-DSA-44 (2420 bytes): raw, over the bytes themselves. ECDSA: DER, over SHA-256 (P-256) or SHA-384 (P-384). */
  sign(bytes: Uint8Array): Promise<Buffer>;
}

/** Those that certificates and other tools know. */
export type ClassicAlgorithm = Exclude<KeyAlgorithm, 'ml-dsa-44'>;

export interface VaultKey {
  name: string;
  algorithm: KeyAlgorithm;
  purpose: string;
  /** SubjectPublicKeyInfo, DER. */
  spki: Buffer;
  createdAt: number;
}

/** Sealed bytes for the caller to keep; `digest` belongs into the caller's fact, so that an older record is noticed. */
export interface SealedBytes {
  bytes: Buffer;
  digest: Digest;
}

export interface Vault {
  /** Makes the key, unless it exists: then the same algorithm and purpose give the key there is, others `vault.key_exists`. */
  createKey(wanted: { name: string; algorithm: KeyAlgorithm; purpose: string }): Promise<VaultKey>;
  /** `vault.key_not_found`; `vault.record_missing | record_replaced | record_altered | row_altered` when it was tampered with. */
  signer(name: string): Promise<Signer>;
  /** The same for a post-quantum key; `signer` gives out none, because almost nobody can use one. */
  postQuantumSigner(name: string): Promise<Signer<'ml-dsa-44'>>;
  keys(): Promise<VaultKey[]>;
  /** `context` names what the bytes are and whose; opening asks for the same. */
  seal(plain: Uint8Array, context: readonly string[]): Promise<SealedBytes>;
  /** `expect`: the digest recorded when it was sealed. Without it, an older record of the same context opens as well. */
  open(sealed: Uint8Array, context: readonly string[], expect?: Digest): Promise<Buffer>;
  /** Reads and opens every sealed key again. */
  verify(): Promise<Verdict>;
  /** Forgets the keys in memory. */
  close(): void;
}

export interface VaultOptions {
  dir: string;
  db: Db;
  journal: Journal;
  /** Accepted like everywhere; times of keys are those of their facts. */
  clock?: Clock;
}

/** Opens the vault in `dir`, making master key and key-encryption key on the very first start. */
export async function openVault({ dir, db, journal }: VaultOptions): Promise<Vault> {
  const keysDir = join(dir, 'keys');
  const generationsDir = join(dir, 'generations');
  await ensureDirectory(keysDir);
  await ensureDirectory(generationsDir);
  const masterKey = await openMasterKey(join(dir, 'master.key'), () =>
    nothingSealed(journal, [keysDir, generationsDir]),
  );
  const generation = await openGeneration(dir, masterKey, journal).finally(() => masterKey.fill(0));
  const signers = new Map<string, Signer<KeyAlgorithm>>();
  let queue: Promise<unknown> = Promise.resolve();

  async function loadKey(name: string): Promise<{ pair: KeyPair; fact: Fact<KeyCreated> }> {
    const fact = await findKeyFact(journal, name);
    if (!fact) throw keyNotFound(name);
    await checkRow(db, fact);
    const bytes = await readIfThere(keyPath(keysDir, name));
    if (!bytes) throw recordMissing(name);
    const found = digestOf(bytes);
    if (found !== fact.payload.record) throw recordReplaced(name, fact.payload.record, found);
    return { pair: unsealKey(bytes, name, generation).pair, fact };
  }

  /** One at a time: two callers who want the same key get the same key. */
  function oneAtATime<R>(work: () => Promise<R>): Promise<R> {
    const done = queue.then(work, work);
    queue = done.catch(() => undefined);
    return done;
  }

  async function createKey(wanted: { name: string; algorithm: KeyAlgorithm; purpose: string }): Promise<VaultKey> {
    KeyName.parse(wanted.name);
    const existing = await findKeyFact(journal, wanted.name);
    if (existing) {
      await loadKey(wanted.name);
      return sameKey(existing, wanted);
    }
    const path = keyPath(keysDir, wanted.name);
    const left = await readIfThere(path);
    const bytes = left ?? sealKey(wanted, generation);
    if (!left) await writeDurable(path, bytes, 0o600);
    faultPoint('vault.after_seal');
    // What a crash left behind is taken over if it opens: only this vault can have sealed it, and nothing has used it yet.
    const { record } = unsealKey(bytes, wanted.name, generation);
    if (record.algorithm !== wanted.algorithm || record.purpose !== wanted.purpose) throw keyDiffers(wanted.name);
    const { name, algorithm, purpose, publicKey } = record;
    const fact = await journal.record({
      fact: keyCreated,
      payload: { name, algorithm, purpose, publicKey, generation: record.generation, record: digestOf(bytes) },
      stream: keyStream(name),
      actor: systemActor('vault'),
      expectSeq: 0,
    });
    return sameKey(fact, wanted);
  }

  async function signerOf<A extends KeyAlgorithm>(name: string, allowed: readonly A[]): Promise<Signer<A>> {
    const found = await anySigner(name);
    if ((allowed as readonly KeyAlgorithm[]).includes(found.algorithm)) return found as Signer<A>;
    throw new TypeError(`vault: ${name} is an ${found.algorithm} key`);
  }

  async function anySigner(name: string): Promise<Signer<KeyAlgorithm>> {
    const known = signers.get(name);
    if (known) return known;
    const { pair, fact } = await loadKey(name);
    const made = signerOver(name, fact.payload.algorithm, pair);
    signers.set(name, made);
    return made;
  }

  return {
    createKey: (wanted) => oneAtATime(() => createKey(wanted)),
    signer: (name) => signerOf(name, ['ed25519', 'p256', 'p384']),
    postQuantumSigner: (name) => signerOf(name, ['ml-dsa-44']),
    keys: async () =>
      (await listKeys(db)).map((row) => ({
        name: row.name,
        algorithm: row.algorithm as KeyAlgorithm,
        purpose: row.purpose,
        spki: Buffer.from(row.public_key, 'base64'),
        createdAt: row.created_at,
      })),
    async seal(plain, context) {
      const bytes = sealRecord(plain, context, generation);
      return { bytes, digest: digestOf(bytes) };
    },
    async open(sealed, context, expect) {
      const found = digestOf(sealed);
      if (expect !== undefined && expect !== found) throw recordReplaced(context.join(' '), expect, found);
      return openRecord(sealed, context, generation);
    },
    async verify() {
      const facts = await journal.read({ types: [keyCreated.type], limit: KEYS_MAX });
      return verdictOf(
        await Promise.all(facts.map((fact) => checkKey((fact as Fact<KeyCreated>).payload.name, loadKey))),
      );
    },
    close() {
      generation.key.fill(0);
      signers.clear();
    },
  };
}

const KEYS_MAX = 10_000;
const keyStream = (name: string) => `key/${name}`;
const keyPath = (dir: string, name: string) => join(dir, `${name}.json`);

async function nothingSealed(journal: Journal, directories: readonly string[]): Promise<boolean> {
  for (const directory of directories) if ((await readdir(directory)).length > 0) return false;
  return (await journal.read({ types: ['vault.generation_created', 'vault.key_created'], limit: 1 })).length === 0;
}

async function findKeyFact(journal: Journal, name: string): Promise<Fact<KeyCreated> | undefined> {
  return (await journal.byStream(keyStream(name)))[0] as Fact<KeyCreated> | undefined;
}

/** The row is a copy of the fact; a row that says something else was edited, and so may other things have been. */
async function checkRow(db: Db, { number, payload }: Fact<KeyCreated>): Promise<void> {
  const row = await findKey(db, payload.name);
  const same =
    row?.fact === number &&
    row.record === payload.record &&
    row.public_key === payload.publicKey &&
    row.algorithm === payload.algorithm &&
    row.purpose === payload.purpose &&
    row.generation === payload.generation;
  if (!same) throw rowAltered(payload.name);
}

function sameKey(fact: Fact<KeyCreated>, wanted: { algorithm: KeyAlgorithm; purpose: string }): VaultKey {
  const { name, algorithm, purpose, publicKey } = fact.payload;
  if (algorithm !== wanted.algorithm || purpose !== wanted.purpose) throw keyDiffers(name);
  return { name, algorithm, purpose, spki: Buffer.from(publicKey, 'base64'), createdAt: fact.at };
}

function signerOver<A extends KeyAlgorithm>(
  name: string,
  algorithm: A,
  { privateKey, publicKey, spki }: KeyPair,
): Signer<A> {
  const hashes: Record<KeyAlgorithm, string | null> = {
    ed25519: null,
    'ml-dsa-44': null,
    p256: 'sha256',
    p384: 'sha384',
  };
  const hash = hashes[algorithm];
  return Object.freeze({
    name,
    algorithm,
    publicKey,
    spki,
    sign: async (bytes: Uint8Array) => sign(hash, bytes, privateKey),
  });
}

async function checkKey(name: string, load: (name: string) => Promise<unknown>): Promise<Check> {
  try {
    await load(name);
    return passed(`key ${name}`);
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return failed(`key ${name}`, { code: error.code, found: error.message, fix: error.hint });
  }
}
