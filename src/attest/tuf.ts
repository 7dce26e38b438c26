import { createHash, createPublicKey, verify } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, parseJson, Problem, toIso } from '#base';

/** Metadata of The Update Framework 1.0: made, signed and verified. Pure but for the signer that is given. */

const SPEC_VERSION = '1.0.31';
export const tufRoles = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type TufRole = (typeof tufRoles)[number];

const DAY_MS = 24 * 60 * 60_000;
/** Root and targets may be signed by a key that lies in a safe; the others are signed anew every day. */
export const lifetimesMs: Readonly<Record<TufRole, number>> = {
  root: 1825 * DAY_MS,
  targets: 365 * DAY_MS,
  snapshot: 14 * DAY_MS,
  timestamp: 7 * DAY_MS,
};

const Hex = z.string().regex(/^[0-9a-f]+$/);
const KeyId = Hex.length(64);
const Key = z.strictObject({
  keytype: z.literal('ed25519'),
  scheme: z.literal('ed25519'),
  keyval: z.strictObject({ public: Hex.length(64) }),
});
export type TufKey = z.infer<typeof Key>;

const common = { spec_version: z.string(), version: z.int().min(1), expires: z.iso.datetime() };
const RoleKeys = z.strictObject({ keyids: z.array(KeyId).min(1).max(16), threshold: z.int().min(1) });
export const RootBody = z.strictObject({
  _type: z.literal('root'),
  ...common,
  consistent_snapshot: z.literal(true),
  keys: z.record(KeyId, Key),
  roles: z.strictObject({ root: RoleKeys, targets: RoleKeys, snapshot: RoleKeys, timestamp: RoleKeys }),
});
export type RootBody = z.infer<typeof RootBody>;

const Custom = z.strictObject({
  sigstore: z.strictObject({ usage: z.string(), status: z.enum(['Active', 'Expired']), uri: z.string() }),
});
export type TargetCustom = z.infer<typeof Custom>;
const Target = z.strictObject({
  length: z.int(),
  hashes: z.strictObject({ sha256: KeyId }),
  custom: Custom.optional(),
});
export const TargetsBody = z.strictObject({
  _type: z.literal('targets'),
  ...common,
  targets: z.record(z.string().max(200), Target),
});
export type TargetsBody = z.infer<typeof TargetsBody>;

const Signature = z.strictObject({ keyid: KeyId, sig: Hex });
const signedBy = <B extends z.ZodType>(body: B) =>
  z.strictObject({ signatures: z.array(Signature).max(16), signed: body });
const Imported = z.union([signedBy(RootBody), signedBy(TargetsBody)]);

export interface Metadata<B = Record<string, unknown>> {
  signatures: { keyid: string; sig: string }[];
  signed: B;
}

export interface TufSigner {
  key: TufKey;
  sign(bytes: Uint8Array): Promise<Buffer> | Buffer;
}

const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export const tufKey = (spki: Buffer): TufKey => ({
  keytype: 'ed25519',
  scheme: 'ed25519',
  keyval: { public: spki.subarray(ED25519_PREFIX.length).toString('hex') },
});

export const tufKeyId = (key: TufKey) => createHash('sha256').update(canonicalJson(key)).digest('hex');

/** TUF signs its own canonical JSON, which differs from RFC 8785 only in how it spells control characters: there are none. */
export function signedBytes(body: unknown): Buffer {
  const text = canonicalJson(body);
  // oxlint-disable-next-line no-control-regex
  if (/\\[bfnrtu]|[\u0000-\u001f]/.test(text)) throw new TypeError('attest: a control character in TUF metadata');
  return Buffer.from(text);
}

export async function signMetadata<B>(body: B, signers: readonly TufSigner[]): Promise<Metadata<B>> {
  const bytes = signedBytes(body);
  const signatures = await Promise.all(
    signers.map(async (signer) => ({
      keyid: tufKeyId(signer.key),
      sig: (await signer.sign(bytes)).toString('hex'),
    })),
  );
  return { signatures, signed: body };
}

/** Distinct keys of the role in `root` that signed. */
export function countSignatures(metadata: Metadata<unknown>, root: RootBody, role: TufRole): number {
  const bytes = signedBytes(metadata.signed);
  const counted = new Set<string>();
  for (const { keyid, sig } of metadata.signatures) {
    const key = root.keys[keyid];
    if (!key || !root.roles[role].keyids.includes(keyid) || tufKeyId(key) !== keyid) continue;
    const spki = Buffer.concat([ED25519_PREFIX, Buffer.from(key.keyval.public, 'hex')]);
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    if (verify(null, bytes, publicKey, Buffer.from(sig, 'hex'))) counted.add(keyid);
  }
  return counted.size;
}

export const isSigned = (metadata: Metadata<unknown>, root: RootBody, role: TufRole): boolean =>
  countSignatures(metadata, root, role) >= root.roles[role].threshold;

const header = (role: TufRole, version: number, now: number) => ({
  spec_version: SPEC_VERSION,
  version,
  // TUF knows whole seconds only.
  expires: `${toIso(now + lifetimesMs[role]).slice(0, 19)}Z`,
});

export function renderRoot(version: number, now: number, keys: { offline: TufKey; online: TufKey }): RootBody {
  const one = (key: TufKey) => ({ keyids: [tufKeyId(key)], threshold: 1 });
  const { offline, online } = keys;
  return {
    _type: 'root',
    ...header('root', version, now),
    consistent_snapshot: true,
    keys: { [tufKeyId(offline)]: offline, [tufKeyId(online)]: online },
    roles: { root: one(offline), targets: one(offline), snapshot: one(online), timestamp: one(online) },
  };
}

export interface TargetFile {
  content: string;
  custom?: TargetCustom;
}

export function renderTargets(version: number, now: number, files: Readonly<Record<string, TargetFile>>): TargetsBody {
  const targets = Object.fromEntries(
    Object.entries(files).map(([name, { content, custom }]) => [
      name,
      {
        length: Buffer.byteLength(content),
        hashes: { sha256: createHash('sha256').update(content).digest('hex') },
        ...(custom ? { custom } : {}),
      },
    ]),
  );
  return { _type: 'targets', ...header('targets', version, now), targets };
}

export const renderSnapshot = (version: number, now: number, targets: number) => ({
  _type: 'snapshot' as const,
  ...header('snapshot', version, now),
  meta: { 'targets.json': { version: targets } },
});

export const renderTimestamp = (version: number, now: number, snapshot: number) => ({
  _type: 'timestamp' as const,
  ...header('timestamp', version, now),
  meta: { 'snapshot.json': { version: snapshot } },
});

/** What came back from the machine with the key; `attest.tuf_invalid`. */
export function parseImport(text: string): Metadata<RootBody> | Metadata<TargetsBody> {
  const read = Imported.safeParse(parseJson(text, 200_000));
  if (!read.success) throw tufInvalid('it is not root or targets metadata');
  return read.data;
}

export const tufInvalid = (reason: string) =>
  new Problem({
    code: 'attest.tuf_invalid',
    kind: 'invalid',
    message: `This metadata is not taken: ${reason}.`,
    hint: 'Export anew, sign what was exported with waybill trust tuf sign, and import that.',
  });
