import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { digestFromHex } from '#base';
import type { BundleJson } from './bundle.ts';
import { parseCertificate } from './certificate.ts';
import { readDer, time } from './der.ts';
import { logIdOf, parseSctList } from './sct.ts';
import { ARTIFACT, type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';
import { parseTimestamp } from './timestamp.ts';
import { parseTrustedRoot, type TrustedRootJson } from './trusted-root.ts';
import { verifyTimestamp } from './verify-timestamp.ts';
import { type BundleVerdict, verifyBundle, type VerifyRequest } from './verify.ts';

const expect = { issuer: `${PUBLIC_URL}/oidc/control`, san: SAN, predicateType: 'https://slsa.dev/provenance/v1' };
const artifact = digestFromHex(ARTIFACT);
const SCT_EXTENSION = '1.3.6.1.4.1.11129.2.4.2';

let house: House;
let foreign: House;
/** Of the middle of a log, so that its proof has hashes on both sides. */
let bundle: BundleJson;
let root: TrustedRootJson;
let foreignBundle: BundleJson;

async function makeBundle(of: House, change = {}): Promise<BundleJson> {
  const { bundle: digest } = await of.attest.sign(provenance(change));
  return JSON.parse((await of.attest.requireBundle(digest)).bytes.toString('utf8'));
}

before(async () => {
  house = await openHouse(await mkdtemp(join(tmpdir(), 'waybill-attest-')));
  foreign = await openHouse(await mkdtemp(join(tmpdir(), 'waybill-attest-')));
  for (let count = 0; count < 4; count++) await makeBundle(house);
  bundle = await makeBundle(house);
  root = house.attest.trustedRoot();
  foreignBundle = await makeBundle(foreign);
});
after(async () => {
  for (const each of [house, foreign]) {
    await each.close();
    await rm(each.dir, { recursive: true, force: true });
  }
});

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const run = (change: Partial<VerifyRequest>) =>
  verifyBundle({ bundle, trustedRoot: root, artifact, expect, ...change });

function assertRefused(verdict: BundleVerdict, ...names: string[]): void {
  const refused = verdict.checks.filter((check) => check.status !== 'passed').map((check) => check.name);
  assert.equal(verdict.ok, false);
  for (const name of names)
    assert.ok(refused.includes(name), `${name} should fail, but these did: ${refused.join(', ')}`);
  const silent = verdict.checks.filter(
    (check) => check.status === 'failed' && !(check.code && check.expected && check.found),
  );
  assert.deepEqual(silent, [], 'each failure says what was expected and found');
  assert.equal(verdict.statement, undefined, 'nothing is claimed by a bundle that does not verify');
  assert.equal(verdict.signer, undefined);
}

/** Flips one bit of the base64 text's bytes. */
function flip(text: string, at: number): string {
  const bytes = Buffer.from(text, 'base64');
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  return bytes.toString('base64');
}

/** Where `part` lies in `whole`: to flip one field inside a DER structure. */
function offsetOf(whole: string, part: Buffer): number {
  const offset = Buffer.from(whole, 'base64').indexOf(part);
  assert.ok(offset > 0);
  return offset;
}

type Flip = [name: string, check: string, change: (bundle: BundleJson) => void];
const entryOf = (made: BundleJson) => made.verificationMaterial.tlogEntries[0]!;
const stampOf = (made: BundleJson) => made.verificationMaterial.timestampVerificationData.rfc3161Timestamps[0]!;

function flipCertificate(
  made: BundleJson,
  find: (der: ReturnType<typeof parseCertificate>) => Buffer,
  within = 0,
): void {
  const holder = made.verificationMaterial.certificate;
  const part = find(parseCertificate(Buffer.from(holder.rawBytes, 'base64')));
  holder.rawBytes = flip(holder.rawBytes, offsetOf(holder.rawBytes, part) + within);
}

function flipTimestamp(made: BundleJson, find: (stamp: ReturnType<typeof parseTimestamp>) => Buffer, within = 0): void {
  const holder = stampOf(made);
  const part = find(parseTimestamp(Buffer.from(holder.signedTimestamp, 'base64')));
  holder.signedTimestamp = flip(holder.signedTimestamp, offsetOf(holder.signedTimestamp, part) + within);
}

const flips: readonly Flip[] = [
  ['the payload', 'signature', (made) => (made.dsseEnvelope.payload = flip(made.dsseEnvelope.payload, -3))],
  [
    'the signature',
    'signature',
    (made) => (made.dsseEnvelope.signatures[0]!.sig = flip(made.dsseEnvelope.signatures[0]!.sig, -1)),
  ],
  ['the certified key', 'certificate', (made) => flipCertificate(made, ({ spki }) => spki, 90)],
  ['the serial of the certificate', 'certificate chain', (made) => flipCertificate(made, ({ serial }) => serial, 3)],
  ['the name in the certificate', 'signer', (made) => flipCertificate(made, () => Buffer.from(SAN), 12)],
  [
    'the issuer in the certificate',
    'signer issuer',
    (made) => flipCertificate(made, (certificate) => certificate.extensions.get('1.3.6.1.4.1.57264.1.8')!.value, 12),
  ],
  [
    'the signature of the certificate',
    'certificate chain',
    (made) =>
      (made.verificationMaterial.certificate.rawBytes = flip(made.verificationMaterial.certificate.rawBytes, -1)),
  ],
  [
    'the purpose of the certificate',
    'certificate purpose',
    (made) => flipCertificate(made, () => Buffer.from('06082b06010505070303', 'hex'), 9),
  ],
  [
    'the end of the certificate',
    'certificate chain',
    (made) => flipCertificate(made, ({ notAfter }) => time(notAfter), 12),
  ],
  [
    'the promise of the log',
    'log promise',
    (made) =>
      (entryOf(made).inclusionPromise.signedEntryTimestamp = flip(
        entryOf(made).inclusionPromise.signedEntryTimestamp,
        -1,
      )),
  ],
  [
    'the time of the log entry',
    'log promise',
    (made) => (entryOf(made).integratedTime = String(Number(entryOf(made).integratedTime) + 1)),
  ],
  [
    'the number of the log entry',
    'log promise',
    (made) => (entryOf(made).logIndex = String(Number(entryOf(made).logIndex) + 1)),
  ],
  ['the number in the proof', 'log inclusion', (made) => (entryOf(made).inclusionProof.logIndex = '3')],
  ['the id of the log', 'log', (made) => (entryOf(made).logId.keyId = flip(entryOf(made).logId.keyId, 0))],
  [
    'a hash of the proof',
    'log inclusion',
    (made) => (entryOf(made).inclusionProof.hashes[0] = flip(entryOf(made).inclusionProof.hashes[0]!, 5)),
  ],
  [
    'the root of the proof',
    'log checkpoint',
    (made) => (entryOf(made).inclusionProof.rootHash = flip(entryOf(made).inclusionProof.rootHash, 5)),
  ],
  ['the size of the proof', 'log checkpoint', (made) => (entryOf(made).inclusionProof.treeSize = '6')],
  [
    'the checkpoint',
    'log checkpoint',
    (made) =>
      (entryOf(made).inclusionProof.checkpoint.envelope = entryOf(made).inclusionProof.checkpoint.envelope.replace(
        '\n5\n',
        '\n6\n',
      )),
  ],
  [
    'the origin of the checkpoint',
    'log checkpoint',
    (made) =>
      (entryOf(made).inclusionProof.checkpoint.envelope = entryOf(made).inclusionProof.checkpoint.envelope.replace(
        'signatures',
        'signaturez',
      )),
  ],
  [
    'the leaf: its payload hash',
    'log entry',
    (made) => (entryOf(made).canonicalizedBody = flip(entryOf(made).canonicalizedBody, 200)),
  ],
  [
    'the leaf: anything',
    'log inclusion',
    (made) => (entryOf(made).canonicalizedBody = flip(entryOf(made).canonicalizedBody, 300)),
  ],
  ['what the timestamp is about', 'timestamp', (made) => flipTimestamp(made, ({ imprint }) => imprint)],
  ['the signature of the timestamp', 'timestamp', (made) => flipTimestamp(made, ({ signature }) => signature, 12)],
  ['the digest in the timestamp', 'timestamp', (made) => flipTimestamp(made, ({ messageDigest }) => messageDigest)],
  [
    'the certificate the timestamp names',
    'timestamp',
    (made) => flipTimestamp(made, ({ certificateHash }) => certificateHash),
  ],
  [
    'the serial the timestamp names',
    'timestamp',
    (made) =>
      flipTimestamp(
        made,
        ({ attributes, signer }) => (
          assert.ok(attributes),
          Buffer.concat([signer.issuer, Buffer.of(2, signer.serial.length), signer.serial])
        ),
        200,
      ),
  ],
  [
    'the media type',
    'bundle',
    (made) => (made.mediaType = 'application/vnd.dev.sigstore.bundle.v0.2+json' as typeof made.mediaType),
  ],
  [
    'the payload type',
    'bundle',
    (made) => (made.dsseEnvelope.payloadType = 'text/plain' as typeof made.dsseEnvelope.payloadType),
  ],
];

describe('a bundle is refused, and the right check says why, after a change of', () => {
  for (const [name, check, change] of flips) {
    test(name, () => {
      const changed = copy(bundle);
      change(changed);
      assert.notDeepEqual(changed, bundle);
      assertRefused(run({ bundle: changed }), check);
    });
  }

  test('the certificate timestamp', () => {
    const changed = copy(bundle);
    flipCertificate(
      changed,
      (certificate) => parseSctList(certificate.extensions.get(SCT_EXTENSION)!.value)[0]!.signature,
      12,
    );
    // The SCT lies inside what the authority signed, so the chain fails first; with the chain aside, the SCT itself is wrong.
    assertRefused(run({ bundle: changed }), 'certificate chain', 'certificate log', 'sigstore-js agrees');
  });

  test('any byte of the timestamp', () => {
    const signature = Buffer.from(bundle.dsseEnvelope.signatures[0]!.sig, 'base64');
    const der = Buffer.from(stampOf(bundle).signedTimestamp, 'base64');
    const { timestampAuthorities } = parseTrustedRoot(root).root;
    assert.ok(verifyTimestamp(der, signature, timestampAuthorities));
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at]! ^= 1 << (at % 8);
      assert.throws(() => verifyTimestamp(changed, signature, timestampAuthorities), `byte ${at}`);
    }
  });

  test('any one bit: a bundle is never accepted with other content', () => {
    const text = JSON.stringify(bundle);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length - 1 }), fc.integer({ min: 0, max: 6 }), (at, bit) => {
        const bytes = Buffer.from(text);
        bytes[at]! ^= 1 << bit;
        assert.equal(run({ bundle: bytes }).ok, false);
      }),
      { numRuns: 15 },
    );
  });
});

describe('the trusted root decides', () => {
  const another = () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' });
  const replaceKey = (log: TrustedRootJson['tlogs'][number]) => {
    const key = another();
    log.publicKey.rawBytes = key.toString('base64');
    log.logId.keyId = logIdOf(key).toString('base64');
  };

  test('another log key: the log is unknown', () => {
    const changed = copy(root);
    replaceKey(changed.tlogs[0]!);
    assertRefused(run({ trustedRoot: changed }), 'log', 'sigstore-js agrees');
  });

  test('another certificate log key: the certificate timestamp is of an unknown log', () => {
    const changed = copy(root);
    replaceKey(changed.ctlogs[0]!);
    assertRefused(run({ trustedRoot: changed }), 'certificate log', 'sigstore-js agrees');
  });

  test('a log id that is not that of its key is no trusted root', () => {
    const changed = copy(root);
    changed.tlogs[0]!.publicKey.rawBytes = another().toString('base64');
    assertRefused(run({ trustedRoot: changed }), 'trusted root');
  });

  test('another authority: each of its parts is untrusted by itself', () => {
    const theirs = foreign.attest.trustedRoot();
    assertRefused(
      run({ trustedRoot: { ...root, certificateAuthorities: theirs.certificateAuthorities } }),
      'certificate chain',
    );
    assertRefused(run({ trustedRoot: { ...root, timestampAuthorities: theirs.timestampAuthorities } }), 'timestamp');
    assertRefused(run({ trustedRoot: { ...root, ctlogs: theirs.ctlogs } }), 'certificate log');
    assertRefused(run({ trustedRoot: { ...root, tlogs: theirs.tlogs } }), 'log');
    assertRefused(run({ bundle: foreignBundle }), 'certificate chain', 'timestamp', 'log', 'sigstore-js agrees');
  });

  for (const part of ['tlogs', 'ctlogs'] as const) {
    test(`${part} trusted from later on, or no longer, do not count`, () => {
      const later = copy(root);
      later[part][0]!.publicKey.validFor = { start: '2100-01-01T00:00:00.000Z' };
      assertRefused(run({ trustedRoot: later }), part === 'tlogs' ? 'log' : 'certificate log');
      const ended = copy(root);
      ended[part][0]!.publicKey.validFor = { start: '2000-01-01T00:00:00.000Z', end: '2001-01-01T00:00:00.000Z' };
      assertRefused(run({ trustedRoot: ended }), part === 'tlogs' ? 'log' : 'certificate log');
    });
  }

  for (const [part, name] of [
    ['certificateAuthorities', 'certificate validity'],
    ['timestampAuthorities', 'timestamp'],
  ] as const) {
    test(`${part} no longer trusted do not count`, () => {
      const ended = copy(root);
      ended[part][0]!.validFor = { start: '2000-01-01T00:00:00.000Z', end: '2001-01-01T00:00:00.000Z' };
      assertRefused(run({ trustedRoot: ended }), name);
    });
  }

  test('an intermediate alone is no anchor, and a chain in the wrong order is no chain', () => {
    const reversed = copy(root);
    reversed.certificateAuthorities[0]!.certChain.certificates.reverse();
    assertRefused(run({ trustedRoot: reversed }), 'certificate chain');
  });

  test('what is no trusted root at all refuses everything', () => {
    for (const trustedRoot of [{}, 'not json', null, { ...root, mediaType: 'application/json' }]) {
      assertRefused(run({ trustedRoot }), 'trusted root', 'signature');
    }
  });
});

describe('who signed is compared letter by letter', () => {
  for (const [name, san] of [
    ['a prefix', `${PUBLIC_URL}/acme/hello`],
    ['a pattern', '.*'],
    ['a pattern that fits', SAN.replaceAll('.', '.?')],
    ['another case', SAN.toUpperCase()],
    ['another ref', SAN.replace('refs/heads/main', 'refs/heads/dev')],
    ['something longer', `${SAN}x`],
    ['nothing', ''],
  ] as const) {
    test(`${name} is not the name`, () => {
      assertRefused(run({ expect: { ...expect, san } }), 'signer', 'sigstore-js agrees');
    });
  }

  test('one of several names will do, and none at all will not', () => {
    const { issuer } = expect;
    assert.ok(run({ expect: { issuer, sanOneOf: ['https://other.example.com', SAN] } }).ok);
    assertRefused(run({ expect: { issuer, sanOneOf: ['https://other.example.com'] } }), 'signer');
    assertRefused(run({ expect: { issuer } }), 'signer');
    assertRefused(run({ expect: { issuer, sanOneOf: [] } }), 'signer');
  });

  for (const issuer of [`${PUBLIC_URL}/oidc/jobs`, `${PUBLIC_URL}/oidc/contro`, `${PUBLIC_URL}/oidc/.*`, '']) {
    test(`the issuer '${issuer}' is not the issuer`, () => {
      assertRefused(run({ expect: { ...expect, issuer } }), 'signer issuer', 'sigstore-js agrees');
    });
  }
});

describe('what is claimed', () => {
  test('about another artifact is refused', () => {
    assertRefused(run({ artifact: digestFromHex('b2'.repeat(32)) }), 'subject');
  });

  test('of another type is refused', () => {
    assertRefused(
      run({ expect: { ...expect, predicateType: 'https://slsa.dev/verification_summary/v1' } }),
      'predicate type',
    );
  });

  test('comes back only with a yes, with its signer and its time', () => {
    const verdict = run({});
    assert.ok(verdict.ok);
    assert.equal(verdict.statement?.predicateType, expect.predicateType);
    assert.deepEqual([verdict.signer?.san, verdict.signer?.issuer], [SAN, expect.issuer]);
    assert.ok(Math.abs(Number(verdict.signedAt) - Date.now()) < 60_000);
    assert.equal(verdict.entry?.logIndex, 4);
  });
});

describe('parts of a bundle taken from another one of the same signer', () => {
  let other: BundleJson;
  before(async () => {
    other = await makeBundle(house, { predicate: { other: true } });
  });
  const swaps: readonly [string, string, (made: BundleJson) => void][] = [
    ['envelope', 'signature', (made) => (made.dsseEnvelope = other.dsseEnvelope)],
    [
      'certificate',
      'log entry',
      (made) => (made.verificationMaterial.certificate = other.verificationMaterial.certificate),
    ],
    [
      'log entry',
      'log entry',
      (made) => (made.verificationMaterial.tlogEntries = other.verificationMaterial.tlogEntries),
    ],
    [
      'timestamp',
      'timestamp',
      (made) =>
        (made.verificationMaterial.timestampVerificationData = other.verificationMaterial.timestampVerificationData),
    ],
    ['leaf', 'log inclusion', (made) => (entryOf(made).canonicalizedBody = entryOf(other).canonicalizedBody)],
    ['proof', 'log inclusion', (made) => (entryOf(made).inclusionProof = entryOf(other).inclusionProof)],
    ['promise', 'log promise', (made) => (entryOf(made).inclusionPromise = entryOf(other).inclusionPromise)],
  ];
  for (const [name, check, change] of swaps) {
    test(`are noticed: the ${name}`, () => {
      const changed = copy(bundle);
      change(changed);
      assertRefused(run({ bundle: changed }), check);
    });
  }
});

describe('a bundle without', () => {
  const cuts: readonly [string, (made: BundleJson) => void][] = [
    ['log entry', (made) => (made.verificationMaterial.tlogEntries = [])],
    ['timestamp', (made) => (made.verificationMaterial.timestampVerificationData.rfc3161Timestamps = [])],
    ['signature', (made) => (made.dsseEnvelope.signatures = [])],
    ['promise', (made) => Reflect.deleteProperty(entryOf(made), 'inclusionPromise')],
    ['proof', (made) => Reflect.deleteProperty(entryOf(made), 'inclusionProof')],
  ];
  for (const [name, change] of cuts) {
    test(`${name} is refused`, () => {
      const changed = copy(bundle);
      change(changed);
      assertRefused(run({ bundle: changed }), 'bundle');
    });
  }

  test('anything at all is refused', () => {
    for (const nothing of [undefined, null, '', '{}', [], Buffer.alloc(0), 'x'.repeat(3_000_000)]) {
      assertRefused(run({ bundle: nothing }), 'bundle', 'signature');
    }
  });
});

test('bytes that are not DER are refused, never crash the reader', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of [readDer, parseCertificate, parseTimestamp]) {
        try {
          read(bytes);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'attest.der_invalid');
        }
      }
    }),
    { numRuns: 200 },
  );
});
