import { createHash } from 'node:crypto';
import { type Clock, toIso } from '#base';
import { type Actor, type Draft, type Journal, systemActor } from '#journal';
import type { Db } from '#storage';
import type { Vault } from '#vault';
import { raiseAlert } from './alert.ts';
import { tufPublished } from './facts.ts';
import { findTarget, findTuf, newestTuf } from './store.ts';
import { targetFiles } from './tuf-targets.ts';
import {
  type Metadata,
  isSigned,
  parseImport,
  renderRoot,
  renderSnapshot,
  renderTargets,
  renderTimestamp,
  type RootBody,
  signMetadata,
  type TargetFile,
  type TargetsBody,
  tufInvalid,
  tufKey,
  tufKeyId,
  type TufKey,
  type TufRole,
  type TufSigner,
} from './tuf.ts';
import type { Trust } from './trust.ts';

export interface TufStatus {
  /** Where the key of root and targets is. */
  key: 'vault' | 'offline';
  roles: Record<TufRole, { version: number; expiresAt: number }>;
  /** The trust has changed, and a signature of the offline key is awaited before clients see it. */
  pending: boolean;
}

/** A repository of The Update Framework over the trusted root: clients that know its first root follow every rotation. */
export interface TufRepository {
  /** Signs what is new or a day old. Records one transaction of facts, or none. */
  refresh(): Promise<void>;
  /** `1.root.json`, `timestamp.json`, `targets/<sha256>.<name>`, …; undefined for any other path. */
  file(path: string): Promise<string | undefined>;
  status(): Promise<TufStatus>;
  /**
   * Root or targets to be signed elsewhere. A root with `newKey` (Ed25519, 64 hexadecimal digits) hands both roles to that key and
   * is signed by the key before it as far as that is here.
   */
  exportUnsigned(role: 'root' | 'targets', newKey?: string): Promise<string>;
  /** Takes signed metadata back; `attest.tuf_invalid`. */
  importSigned(text: string, actor: Actor): Promise<void>;
}

const DAY_MS = 24 * 60 * 60_000;
const RENEW_BEFORE_MS = 90 * DAY_MS;
const ALARM_BEFORE_MS = 30 * DAY_MS;

export async function openTufRepository({
  journal,
  db,
  vault,
  clock,
  trust,
}: {
  journal: Journal;
  db: Db;
  vault: Vault;
  clock: Clock;
  trust: Trust;
}): Promise<TufRepository> {
  const vaultSigner = await openSigner(vault, 'attest.tuf-root');
  const online = await openSigner(vault, 'attest.tuf-online');
  let running: Promise<unknown> = Promise.resolve();

  /** One change at a time: versions count on. */
  function oneAtATime<R>(work: () => Promise<R>): Promise<R> {
    const done = running.then(work, work);
    running = done.catch(() => undefined);
    return done;
  }

  async function newest<B>(role: TufRole): Promise<{ metadata: Metadata<B>; version: number; at: number } | undefined> {
    const row = await newestTuf(db, role);
    return row && { metadata: JSON.parse(row.document) as Metadata<B>, version: row.version, at: row.at };
  }

  async function refresh(): Promise<void> {
    const now = clock.now();
    const drafts: Draft[] = [];
    const root = await currentRoot(now, drafts);
    const here = root.signed.roles.root.keyids.includes(tufKeyId(vaultSigner.key));

    const files = targetFiles(trust.state());
    const before = await newest<TargetsBody>('targets');
    const changed =
      !before || !sameTargets(before.metadata.signed, files) || expiresWithin(before.metadata, now, RENEW_BEFORE_MS);
    let targets = before?.version ?? 0;
    if (changed && here) {
      targets += 1;
      const signed = await signMetadata(renderTargets(targets, now, files), [vaultSigner]);
      drafts.push(publish('targets', signed, files));
    }

    const snapshot = await newest('snapshot');
    const isOld = !snapshot || now - snapshot.at >= DAY_MS;
    if (drafts.length > 0 || isOld) {
      const version = (snapshot?.version ?? 0) + 1;
      drafts.push(publish('snapshot', await signMetadata(renderSnapshot(version, now, targets), [online])));
      const stamp = ((await newest('timestamp'))?.version ?? 0) + 1;
      drafts.push(publish('timestamp', await signMetadata(renderTimestamp(stamp, now, version), [online])));
    }
    if (drafts.length > 0) await journal.recordAll(drafts);
    if (!here) await raiseAlarms(now);
  }

  /** The newest root; made at first, and renewed in time while its key is here. */
  async function currentRoot(now: number, drafts: Draft[]): Promise<Metadata<RootBody>> {
    const known = await newest<RootBody>('root');
    const here = known?.metadata.signed.roles.root.keyids.includes(tufKeyId(vaultSigner.key)) ?? true;
    if (known && !(here && expiresWithin(known.metadata, now, RENEW_BEFORE_MS))) return known.metadata;
    const body = renderRoot((known?.version ?? 0) + 1, now, { offline: vaultSigner.key, online: online.key });
    const metadata = await signMetadata(body, [vaultSigner]);
    drafts.push(publish('root', metadata));
    return metadata;
  }

  /** What only the offline key can sign has to be asked for in time. One alarm a version. */
  async function raiseAlarms(now: number): Promise<void> {
    for (const role of ['root', 'targets'] as const) {
      const known = await newest<RootBody | TargetsBody>(role);
      if (!known || !expiresWithin(known.metadata, now, ALARM_BEFORE_MS)) continue;
      const message = `The ${role} metadata of the TUF repository ends at ${known.metadata.signed.expires}, and its key is offline.`;
      const payload = { code: 'attest.tuf_expires', message, serial: null, san: null, fact: null };
      await raiseAlert(journal, payload, `${role}-${known.version}`);
    }
  }

  return {
    refresh: () => oneAtATime(refresh),
    async file(path) {
      const target = /^targets\/([0-9a-f]{64})\.([A-Za-z0-9._-]{1,100})$/.exec(path);
      if (target) return (await findTarget(db, target[1]!, target[2]!))?.content;
      if (path === 'timestamp.json') return (await newestTuf(db, 'timestamp'))?.document;
      const versioned = /^([1-9]\d{0,8})\.(root|targets|snapshot)\.json$/.exec(path);
      return versioned ? (await findTuf(db, versioned[2]!, Number(versioned[1])))?.document : undefined;
    },
    async status() {
      const rows = await Promise.all(
        (['root', 'targets', 'snapshot', 'timestamp'] as const).map(async (role) => {
          const known = await newest<{ expires: string }>(role);
          return [
            role,
            { version: known?.version ?? 0, expiresAt: known ? Date.parse(known.metadata.signed.expires) : 0 },
          ];
        }),
      );
      const root = await newest<RootBody>('root');
      const here = root?.metadata.signed.roles.root.keyids.includes(tufKeyId(vaultSigner.key)) ?? true;
      const targets = await newest<TargetsBody>('targets');
      const pending = !targets || !sameTargets(targets.metadata.signed, targetFiles(trust.state()));
      return { key: here ? 'vault' : 'offline', roles: Object.fromEntries(rows) as TufStatus['roles'], pending };
    },
    async exportUnsigned(role, newKey) {
      const now = clock.now();
      if (role === 'targets') {
        const version = ((await newest('targets'))?.version ?? 0) + 1;
        const signed = renderTargets(version, now, targetFiles(trust.state()));
        return `${JSON.stringify({ signatures: [], signed })}\n`;
      }
      const known = await newest<RootBody>('root');
      if (!known) throw tufInvalid('there is no root yet');
      const offline = newKey === undefined ? rootKey(known.metadata.signed) : keyFromHex(newKey);
      const body = renderRoot(known.version + 1, now, { offline, online: online.key });
      const here = known.metadata.signed.roles.root.keyids.includes(tufKeyId(vaultSigner.key));
      return `${JSON.stringify(await signMetadata(body, here ? [vaultSigner] : []))}\n`;
    },
    importSigned: (text, actor) =>
      oneAtATime(async () => {
        const metadata = parseImport(text);
        const known = await newest<RootBody>('root');
        if (!known) throw tufInvalid('there is no root yet');
        const role = metadata.signed._type;
        const before = role === 'root' ? known : await newest<TargetsBody>('targets');
        if (metadata.signed.version !== (before?.version ?? 0) + 1) throw tufInvalid('its version does not follow');
        if (Date.parse(metadata.signed.expires) <= clock.now()) throw tufInvalid('it has ended already');
        if (!isSigned(metadata, known.metadata.signed, role)) throw tufInvalid('the key of the role has not signed it');
        if (metadata.signed._type === 'root') {
          // TUF §5.3.4: a new root is signed by the keys of the one before and by its own.
          if (!isSigned(metadata, metadata.signed, 'root')) throw tufInvalid('its own new key has not signed it');
          const { snapshot, timestamp } = metadata.signed.roles;
          const ours = tufKeyId(online.key);
          if (!snapshot.keyids.includes(ours) || !timestamp.keyids.includes(ours)) {
            throw tufInvalid('it takes the online roles away from this server');
          }
          await journal.record(publish('root', metadata as Metadata<RootBody>, {}, actor));
        } else {
          const files = targetFiles(trust.state());
          if (!sameTargets(metadata.signed, files)) throw tufInvalid('the trust has changed since it was exported');
          await journal.record(publish('targets', metadata as Metadata<TargetsBody>, files, actor));
        }
        const version = ((await newest('snapshot'))?.version ?? 0) + 1;
        const targets = (await newest('targets'))?.version ?? 1;
        const stamp = ((await newest('timestamp'))?.version ?? 0) + 1;
        await journal.recordAll([
          publish('snapshot', await signMetadata(renderSnapshot(version, clock.now(), targets), [online])),
          publish('timestamp', await signMetadata(renderTimestamp(stamp, clock.now(), version), [online])),
        ]);
      }),
  };
}

function publish(
  role: TufRole,
  metadata: Metadata<{ version: number }>,
  files: Readonly<Record<string, TargetFile>> = {},
  actor: Actor = systemActor('attest'),
): Draft {
  const targets = Object.entries(files).map(([name, { content }]) => ({
    name,
    content,
    sha256: createHash('sha256').update(content).digest('hex'),
  }));
  return {
    fact: tufPublished,
    payload: { role, version: metadata.signed.version, document: JSON.stringify(metadata), targets },
    stream: `tuf/${role}`,
    actor,
    expectSeq: metadata.signed.version - 1,
  };
}

function sameTargets({ targets }: TargetsBody, files: Readonly<Record<string, TargetFile>>): boolean {
  const wanted = renderTargets(1, 0, files).targets;
  const plain = (value: TargetsBody['targets']) =>
    JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return plain(targets) === plain(wanted);
}

const expiresWithin = ({ signed }: Metadata<unknown>, now: number, ms: number): boolean =>
  (signed as { expires: string }).expires <= toIso(now + ms);

function rootKey({ keys, roles }: RootBody): TufKey {
  return keys[roles.root.keyids[0]!]!;
}

function keyFromHex(hex: string): TufKey {
  if (!/^[0-9a-f]{64}$/.test(hex)) throw tufInvalid('a key is 64 hexadecimal digits');
  return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } };
}

async function openSigner(vault: Vault, name: string): Promise<TufSigner> {
  await vault.createKey({ name, algorithm: 'ed25519', purpose: 'tuf-metadata' });
  const signer = await vault.signer(name);
  return { key: tufKey(signer.spki), sign: (bytes) => signer.sign(bytes) };
}
