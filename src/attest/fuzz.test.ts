import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Problem } from '#base';
import { parseBundle } from './bundle.ts';
import { parseCertificate } from './certificate.ts';
import { provenKeyOfCsr } from './csr.ts';
import { integer, octetString, oid, readDer, sequence } from './der.ts';
import { oids } from './oid.ts';
import { parseSctList } from './sct.ts';
import { type House, openHouse, provenance, PUBLIC_URL, SAN } from './testhouse.ts';
import { parseTimestamp } from './timestamp.ts';
import { parseTrustedRoot } from './trusted-root.ts';
import { parseTimestampQuery } from './tsq.ts';
import { parseImport } from './tuf.ts';
import { verifyBundle } from './verify.ts';

const RUNS = 300;
let house: House;
let bundle: Buffer;
let certificate: Buffer;
let timestamp: Buffer;

before(async () => {
  house = await openHouse(await mkdtemp(join(tmpdir(), 'waybill-fuzz-')));
  const signed = await house.attest.sign(provenance());
  bundle = (await house.attest.requireBundle(signed.bundle)).bytes;
  const { verificationMaterial: material } = parseBundle(bundle).bundle;
  certificate = material.certificate.rawBytes;
  timestamp = material.timestampVerificationData.rfc3161Timestamps[0]!.signedTimestamp;
});
after(async () => {
  await house.close();
  await rm(house.dir, { recursive: true, force: true });
});

/** Whatever comes in, a parser gives a value or a problem, and nothing else, in time. */
function assertTame(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    assert.ok(Problem.is(error), error instanceof Error ? error.stack : String(error));
  }
}

/** Real bytes with some replaced, some cut off, some added: closer to what breaks parsers than noise. */
const damaged = (original: () => Buffer) =>
  fc
    .tuple(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat(20), fc.uint8Array({ maxLength: 8 }))
    .map(([changes, cut, more]) => {
      const bytes = Buffer.from(original());
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return Buffer.concat([
        bytes.subarray(0, bytes.length - (cut > 10 ? cut : 0)),
        more.length > 4 ? more : Buffer.alloc(0),
      ]);
    });

describe('parsers of what comes from outside', () => {
  const binary: [string, (bytes: Buffer) => unknown, () => Buffer][] = [
    ['DER', (bytes) => readDer(bytes), () => certificate],
    ['certificates', (bytes) => parseCertificate(bytes), () => certificate],
    ['SCT lists', (bytes) => parseSctList(octetString(bytes)), () => Buffer.from('00780076', 'hex')],
    ['timestamps', (bytes) => parseTimestamp(bytes), () => timestamp],
    [
      'timestamp queries',
      (bytes) => parseTimestampQuery(bytes),
      () => sequence(integer(1), sequence(sequence(oid(oids.sha256)), octetString(Buffer.alloc(32))), integer(7)),
    ],
    ['certificate requests', (bytes) => provenKeyOfCsr(bytes), () => CSR],
  ];
  for (const [what, parse, original] of binary) {
    test(`${what}: damaged ones and noise are refused as problems`, () => {
      fc.assert(
        fc.property(
          fc.oneof(
            damaged(original),
            fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
          ),
          (bytes) => assertTame(() => parse(bytes)),
        ),
        { numRuns: RUNS },
      );
    });
  }

  const texts: [string, (value: unknown) => unknown][] = [
    ['bundles', (value) => parseBundle(value)],
    ['trusted roots', (value) => parseTrustedRoot(value)],
    ['TUF metadata', (value) => parseImport(JSON.stringify(value) ?? '')],
  ];
  for (const [what, parse] of texts) {
    test(`${what}: any JSON is refused as a problem`, () => {
      fc.assert(
        fc.property(fc.oneof(fc.jsonValue(), fc.string()), (value) => assertTame(() => parse(value))),
        { numRuns: RUNS },
      );
    });
  }

  test('bundles with one value of theirs replaced by another never verify, and never break the verifier', () => {
    const whole = bundle.toString('utf8');
    const strings = [...whole.matchAll(/"((?:[^"\\]|\\.)*)"(?=[,}\]])/g)].map(
      (match) => [match.index + 1, match[1]!.length] as const,
    );
    const trustedRoot = house.attest.trustedRoot();
    const expect = { issuer: `${PUBLIC_URL}/oidc/control`, san: SAN };
    const value = fc.oneof(
      fc.base64String({ maxLength: 40 }),
      fc.constantFrom('', '0', '-1', 'AAAA', '99999999999999999999', '\\u0000'),
    );
    fc.assert(
      fc.property(fc.nat(), value, (which, text) => {
        const [start, length] = strings[which % strings.length]!;
        const altered = whole.slice(0, start) + text + whole.slice(start + length);
        if (altered === whole) return;
        const verdict = verifyBundle({ bundle: altered, trustedRoot, expect });
        assert.equal(verdict.ok, false, altered.slice(Math.max(0, start - 40), start + 60));
      }),
      { numRuns: 150 },
    );
  });
});

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const CSR = sequence(
  sequence(integer(0), sequence(), key.publicKey.export({ format: 'der', type: 'spki' })),
  sequence(oid(oids.ecdsaWithSha256)),
  Buffer.from('030300aabb', 'hex').subarray(0, 5),
);
