import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { integer, sequence } from './der.ts';
import { type DigestAlgorithm, verifyDigest } from './prehash.ts';

const hash = (algorithm: DigestAlgorithm, content: Uint8Array) => createHash(algorithm).update(content).digest();
const curves = [
  ['P-256', 'sha256'],
  ['P-256', 'sha512'],
  ['P-384', 'sha384'],
  ['P-384', 'sha256'],
] as const;

describe('signatures over a digest', () => {
  for (const [namedCurve, algorithm] of curves) {
    test(`${namedCurve} with ${algorithm}: what OpenSSL signs is verified, and no other digest, key or signature`, () => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      const other = generateKeyPairSync('ec', { namedCurve }).publicKey;
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(), (content, at) => {
          const digest = hash(algorithm, content);
          const signature = sign(algorithm, content, privateKey);
          assert.ok(verifyDigest(publicKey, algorithm, digest, signature));
          assert.ok(!verifyDigest(other, algorithm, digest, signature));
          const flipped = Buffer.from(digest);
          // Bits beyond the order's length are not signed (FIPS 186-5), so only the first ones are flipped.
          flipped[at % 32]! ^= 1;
          assert.ok(!verifyDigest(publicKey, algorithm, flipped, signature));
          const altered = Buffer.from(signature);
          altered[at % altered.length]! ^= 1;
          assert.ok(!verifyDigest(publicKey, algorithm, digest, altered));
        }),
        { numRuns: namedCurve === 'P-256' ? 40 : 10 },
      );
    });
  }

  test('RSA signatures too, with keys of at least 2048 bits', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const content = Buffer.from('hello');
    const signature = sign('sha256', content, privateKey);
    assert.ok(verifyDigest(publicKey, 'sha256', hash('sha256', content), signature));
    assert.ok(!verifyDigest(publicKey, 'sha256', hash('sha256', Buffer.from('hallo')), signature));
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const weak = sign('sha256', content, small.privateKey);
    assert.ok(!verifyDigest(small.publicKey, 'sha256', hash('sha256', content), weak));
  });

  test('a signature over the digest zero, where the point of the digest is infinite, is verified like any other', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const d = BigInt(`0x${Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url').toString('hex')}`);
    // With k = 1: r is the x coordinate of the base point, and s = r·d.
    const r = 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n;
    const number = (value: bigint) => integer(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
    const good = sequence(number(r), number((r * d) % n));
    assert.ok(verifyDigest(publicKey, 'sha256', Buffer.alloc(32), good));
    assert.ok(!verifyDigest(publicKey, 'sha256', Buffer.alloc(32), sequence(number(r), number((r * d + 1n) % n))));
  });

  test('nonsense is refused: lengths, zeros, other curves, other DER', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const digest = Buffer.alloc(32, 1);
    const zeros = Buffer.from('3006020100020100', 'hex');
    for (const signature of [Buffer.alloc(0), zeros, Buffer.from('30', 'hex'), Buffer.from('020101', 'hex')]) {
      assert.ok(!verifyDigest(publicKey, 'sha256', digest, signature));
    }
    assert.ok(!verifyDigest(publicKey, 'sha256', digest.subarray(1), zeros));
    const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const signed = sign('sha256', Buffer.from('x'), other.privateKey);
    assert.ok(!verifyDigest(other.publicKey, 'sha256', hash('sha256', Buffer.from('x')), signed));
    const edwards = generateKeyPairSync('ed25519').publicKey;
    assert.ok(!verifyDigest(edwards, 'sha256', digest, Buffer.alloc(64)));
  });
});
