import { type Clock, toIso } from '#base';
import { type Actor, type Journal, systemActor } from '#journal';
import type { KeyAlgorithm, Signer, Vault } from '#vault';
import {
  createAuthorities,
  createSigningAuthority,
  createTimestampAuthority,
  LEAF_LIFETIME_MS,
  wholeSeconds,
} from './ca.ts';
import { trustEstablished, type TrustRotated, trustRotated } from './facts.ts';
import { createGate, type Gate } from './gate.ts';
import { authorityExpired, clockWrong, nameChanged, nameInvalid } from './problems.ts';
import type { TrustedRootJson } from './trusted-root.ts';
import {
  foldTrust,
  newest,
  renderTrustedRoot,
  type SignatureLog,
  type SigningAuthority,
  type TimestampAuthority,
  type TrustPart,
  type TrustState,
} from './trust-state.ts';

/** The keys and certificates of this installation: made on first start, recorded as facts, never silently made again. */

const KEYS = {
  root: ['attest.root', 'p384', 'certificate-authority'],
  intermediate: ['attest.intermediate', 'p384', 'certificate-authority'],
  timestampRoot: ['attest.timestamp-root', 'p384', 'timestamp-authority'],
  timestamp: ['attest.timestamp', 'p256', 'timestamp'],
  certificateLog: ['attest.certificate-log', 'p256', 'certificate-log'],
  log: ['attest.signatures-log', 'p256', 'signatures-log'],
  // Ed25519, which witnesses of C2SP cosign and the form of Rekor v2 uses.
  rekor2: ['attest.rekor2-log', 'ed25519', 'signatures-log'],
} as const satisfies Record<string, readonly [string, KeyAlgorithm, string]>;
type KeyUse = keyof typeof KEYS;

/** Marks a log as Rekor v1 for sigstore-go: a tree id after the hostname. */
const TREE_ID = 4242424242424242n;

/** What signs now. */
export interface SigningTrust {
  ca: SigningAuthority;
  tsa: TimestampAuthority;
  signers: Record<'intermediate' | 'timestamp' | 'certificateLog', Signer>;
}

export interface Trust {
  state(): TrustState;
  current(): SigningTrust;
  trustedRoot(): TrustedRootJson;
  logSigner(log: SignatureLog): Promise<Signer>;
  /** Signing goes through here, so that no signature is made half before and half after a rotation. */
  readonly gate: Gate;
  /**
   * Makes the next generation of a part. What the one before signed stays valid: it is believed until now (an authority as long
   * as its last certificate lives), unless `compromised`, which ends it at once.
   */
  rotate(part: TrustPart, options: { actor: Actor; reason: string; compromised?: boolean }): Promise<TrustState>;
  /** Called inside a rotation, before anything is signed again. */
  onRotated(run: (state: TrustState) => Promise<void>): void;
}

export interface TrustOptions {
  journal: Journal;
  vault: Vault;
  clock: Clock;
  name: string;
  publicUrl: string;
}

const STREAM = 'trust/attest';

export async function openTrust(options: TrustOptions): Promise<Trust> {
  const { journal, vault, clock, name } = options;
  const keys = createKeys(vault);
  if ((await journal.byStream(STREAM)).length === 0) await establish(options, keys);
  let state = await readState();
  if (state.name !== name) throw nameChanged(state.name, name);
  if (state.rekor2.length === 0) state = await addGeneration('rekor2', systemActor('attest'), 'first start', null);
  let signing = await openSigning(state);
  let trustedRoot = renderTrustedRoot(state);
  const listeners: ((state: TrustState) => Promise<void>)[] = [];
  const gate = createGate();

  async function readState(): Promise<TrustState> {
    const read = foldTrust(await journal.byStream(STREAM));
    if (!read) throw new TypeError('attest: the stream of trust does not begin with what it must begin with');
    return read;
  }

  async function addGeneration(part: TrustPart, actor: Actor, reason: string, previousEndsAt: number | null) {
    const facts = await journal.byStream(STREAM);
    const before = foldTrust(facts)!;
    const generation = before[part].length + 1;
    const startsAt = wholeSeconds(clock.now());
    const material = await makeMaterial(part, generation, before.name, keys, startsAt);
    await journal.record({
      fact: trustRotated,
      payload: { generation, material, startsAt, previousEndsAt, reason },
      stream: STREAM,
      actor,
      expectSeq: facts.length,
    });
    return await readState();
  }

  /** The keys in the vault must be those the recorded certificates were made for. */
  async function openSigning(from: TrustState): Promise<SigningTrust> {
    const [ca, tsa, ct] = [newest(from.ca), newest(from.tsa), newest(from.ct)];
    const signers = {
      intermediate: await keys.signer('intermediate', ca.generation),
      timestamp: await keys.signer('timestamp', tsa.generation),
      certificateLog: await keys.signer('certificateLog', ct.generation),
    };
    requireSame(ca.intermediate.spki, signers.intermediate);
    requireSame(tsa.signer.spki, signers.timestamp);
    requireSame(ct.key, signers.certificateLog);
    return { ca, tsa, signers };
  }

  return {
    gate,
    state: () => state,
    current: () => signing,
    trustedRoot: () => trustedRoot,
    async logSigner(log) {
      const signer = await keys.signer(log.form === 'rekor1' ? 'log' : 'rekor2', log.generation);
      requireSame(log.key, signer);
      return signer;
    },
    onRotated: (run) => void listeners.push(run),
    rotate: (part, { actor, reason, compromised = false }) =>
      gate.change(async () => {
        const now = wholeSeconds(clock.now() + 999);
        const lives = part === 'ca' && !compromised ? LEAF_LIFETIME_MS : 0;
        state = await addGeneration(part, actor, reason, now + lives);
        signing = await openSigning(state);
        trustedRoot = renderTrustedRoot(state);
        for (const run of listeners) await run(state);
        return state;
      }),
  };
}

function requireSame(recorded: Buffer, held: Signer): void {
  if (!recorded.equals(held.spki)) {
    throw new TypeError('attest: the keys in the vault are not those the recorded certificates were made for');
  }
}

interface Keys {
  signer(use: KeyUse, generation: number): Promise<Signer>;
}

function createKeys(vault: Vault): Keys {
  return {
    async signer(use, generation) {
      const [base, algorithm, purpose] = KEYS[use];
      const name = generation === 1 ? base : `${base}-${generation}`;
      await vault.createKey({ name, algorithm, purpose });
      return await vault.signer(name);
    },
  };
}

const base64 = (bytes: Buffer) => bytes.toString('base64');

/** A crash before the fact loses only certificates nobody has seen; the keys are found again. */
async function establish({ journal, clock, name, publicUrl }: TrustOptions, keys: Keys): Promise<void> {
  if (!isHostname(name)) throw nameInvalid(name);
  const signers = {
    root: await keys.signer('root', 1),
    intermediate: await keys.signer('intermediate', 1),
    timestampRoot: await keys.signer('timestampRoot', 1),
    timestamp: await keys.signer('timestamp', 1),
  };
  const certificates = await createAuthorities(name, signers, clock.now());
  await journal.record({
    fact: trustEstablished,
    payload: {
      name,
      publicUrl,
      logHostname: `signatures.${name}`,
      logOrigin: `signatures.${name} - ${TREE_ID}`,
      logKey: base64((await keys.signer('log', 1)).spki),
      certificateLogKey: base64((await keys.signer('certificateLog', 1)).spki),
      certificates: {
        root: base64(certificates.root),
        intermediate: base64(certificates.intermediate),
        timestampRoot: base64(certificates.timestampRoot),
        timestamp: base64(certificates.timestamp),
      },
    },
    stream: STREAM,
    actor: systemActor('attest'),
    expectSeq: 0,
  });
}

/** Each generation has hostname, keys and names of its own: clients tell logs and authorities apart by them. */
async function makeMaterial(
  part: TrustPart,
  generation: number,
  name: string,
  keys: Keys,
  now: number,
): Promise<TrustRotated['material']> {
  const suffix = generation === 1 ? '' : String(generation);
  switch (part) {
    case 'ca': {
      const signers = {
        root: await keys.signer('root', generation),
        intermediate: await keys.signer('intermediate', generation),
      };
      const made = await createSigningAuthority(name, signers, now, generation);
      return { part, root: base64(made.root), intermediate: base64(made.intermediate) };
    }
    case 'tsa': {
      const signers = {
        timestampRoot: await keys.signer('timestampRoot', generation),
        timestamp: await keys.signer('timestamp', generation),
      };
      const made = await createTimestampAuthority(name, signers, now, generation);
      return { part, root: base64(made.timestampRoot), signer: base64(made.timestamp) };
    }
    case 'ct': {
      const { spki } = await keys.signer('certificateLog', generation);
      return { part, hostname: `certificates${suffix}.${name}`, key: base64(spki) };
    }
    case 'log': {
      const { spki } = await keys.signer('log', generation);
      const hostname = `signatures${suffix}.${name}`;
      const tree = TREE_ID + BigInt(generation - 1);
      return { part, hostname, origin: `${hostname} - ${tree}`, key: base64(spki) };
    }
    case 'rekor2': {
      const { spki } = await keys.signer('rekor2', generation);
      const hostname = `rekor2${suffix ? `-${suffix}` : ''}.${name}`;
      return { part, hostname, origin: hostname, key: base64(spki) };
    }
  }
}

/** It becomes part of URLs and certificates; an IP address cannot, since nothing can stand in front of one. */
function isHostname(name: string): boolean {
  const hostname = `signatures.${name}`;
  if (name === '' || name.startsWith('.') || name.length > 200 || !URL.canParse(`https://${hostname}`)) return false;
  return new URL(`https://${hostname}`).hostname === hostname;
}

/** Clocks may be set back by this much without harm: times in signatures are whole seconds. */
const BACKWARDS_MS_MAX = 2000;

/**
 * All times in a bundle come from this machine's clock, so a clock that is visibly wrong signs nothing.
 * `newestAt`: when the newest entry of a log was made.
 */
export function checkClock(
  now: number,
  { ca, tsa }: Pick<SigningTrust, 'ca' | 'tsa'>,
  newestAt: number | undefined,
): void {
  const since = Math.max(ca.intermediate.notBefore, tsa.signer.notBefore);
  if (now < since) throw clockWrong(`it shows ${toIso(now)}, but the authority was made at ${toIso(since)}`);
  if (newestAt !== undefined && now < newestAt - BACKWARDS_MS_MAX) {
    throw clockWrong(`it shows ${toIso(now)}, but the newest signature is from ${toIso(newestAt)}`);
  }
  for (const [which, { notAfter }] of [
    ['certificate authority', ca.intermediate],
    ['timestamp authority', tsa.signer],
  ] as const) {
    if (now + LEAF_LIFETIME_MS > notAfter) throw authorityExpired(which, toIso(notAfter));
  }
}

export const treeIdOf = (log: SignatureLog) => TREE_ID + BigInt(log.generation - 1);
