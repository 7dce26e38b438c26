import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createECDH, createHash, createSign, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { verifySshSignature } from './sshsig.ts';

const dir = mkdtempSync(join(tmpdir(), 'waybill-sshsig-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const message = Buffer.from('tree 0123\nauthor somebody\n\nmessage\n');
const string = (bytes: Uint8Array | string) => {
  const body = Buffer.from(bytes as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
};

/** A signature by the real ssh-keygen. */
function signWithOpenSsh(keyArguments: readonly string[], namespace = 'git', hash = 'sha512') {
  const file = join(dir, `key-${Math.random().toString(36).slice(2)}`);
  execFileSync('ssh-keygen', ['-q', ...keyArguments, '-N', '', '-C', 'test', '-f', file]);
  const signature = execFileSync(
    'ssh-keygen',
    ['-q', '-Y', 'sign', '-n', namespace, '-O', `hashalg=${hash}`, '-f', file],
    { input: message, stdio: ['pipe', 'pipe', 'ignore'] },
  );
  return { file, publicKey: readFileSync(`${file}.pub`, 'utf8'), signature: signature.toString() };
}

/** What ssh-keygen itself says of a signature. */
function openSshAccepts(publicKey: string, signature: string, bytes: Uint8Array): boolean {
  writeFileSync(join(dir, 'allowed'), `me ${publicKey}`);
  writeFileSync(join(dir, 'signature'), signature);
  const { status } = spawnSync(
    'ssh-keygen',
    ['-Y', 'verify', '-f', join(dir, 'allowed'), '-I', 'me', '-n', 'git', '-s', join(dir, 'signature')],
    { input: bytes },
  );
  return status === 0;
}

const armor = (blob: Buffer) =>
  `-----BEGIN SSH SIGNATURE-----\n${blob.toString('base64').replace(/(.{70})/g, '$1\n')}\n-----END SSH SIGNATURE-----\n`;

function assemble(parts: {
  keyBlob: Buffer;
  signature: Buffer;
  namespace?: string;
  hash?: string;
  trailing?: Buffer;
  version?: number;
  magic?: string;
}): string {
  const version = Buffer.alloc(4);
  version.writeUInt32BE(parts.version ?? 1);
  return armor(
    Buffer.concat([
      Buffer.from(parts.magic ?? 'SSHSIG'),
      version,
      string(parts.keyBlob),
      string(parts.namespace ?? 'git'),
      string(''),
      string(parts.hash ?? 'sha512'),
      string(parts.signature),
      parts.trailing ?? Buffer.alloc(0),
    ]),
  );
}

const toBeSigned = (hash = 'sha512', namespace = 'git') =>
  Buffer.concat([
    Buffer.from('SSHSIG'),
    string(namespace),
    string(''),
    string(hash),
    string(createHash(hash).update(message).digest()),
  ]);

/** A FIDO key in software: what the token would sign, with flags of our choice. */
function softwareToken(flags: number, counter = 7) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const keyBlob = Buffer.concat([string('sk-ssh-ed25519@openssh.com'), string(raw), string('ssh:')]);
  const trailer = Buffer.alloc(5);
  trailer[0] = flags;
  trailer.writeUInt32BE(counter, 1);
  const signed = Buffer.concat([
    createHash('sha256').update('ssh:').digest(),
    trailer,
    createHash('sha256').update(toBeSigned()).digest(),
  ]);
  const signature = Buffer.concat([
    string('sk-ssh-ed25519@openssh.com'),
    string(sign(null, signed, privateKey)),
    trailer,
  ]);
  return {
    text: assemble({ keyBlob, signature }),
    publicKey: `sk-ssh-ed25519@openssh.com ${keyBlob.toString('base64')} token\n`,
  };
}

function softwareEcdsaToken(flags: number) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const keyBlob = Buffer.concat([
    string('sk-ecdsa-sha2-nistp256@openssh.com'),
    string('nistp256'),
    string(point),
    string('ssh:'),
  ]);
  const trailer = Buffer.from([flags, 0, 0, 0, 9]);
  const signed = Buffer.concat([
    createHash('sha256').update('ssh:').digest(),
    trailer,
    createHash('sha256').update(toBeSigned()).digest(),
  ]);
  const raw = createSign('sha256').update(signed).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' });
  const number = (bytes: Buffer) => string((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
  const signature = Buffer.concat([
    string('sk-ecdsa-sha2-nistp256@openssh.com'),
    string(Buffer.concat([number(raw.subarray(0, 32)), number(raw.subarray(32))])),
    trailer,
  ]);
  return {
    text: assemble({ keyBlob, signature }),
    publicKey: `sk-ecdsa-sha2-nistp256@openssh.com ${keyBlob.toString('base64')} token\n`,
  };
}

function rsaSignature(key: { privateKey: KeyObject; publicKey: KeyObject }, type: string, algorithm: string): string {
  const { n = '', e = '' } = key.publicKey.export({ format: 'jwk' });
  const modulus = Buffer.concat([Buffer.alloc(1), Buffer.from(n, 'base64url')]);
  const keyBlob = Buffer.concat([string('ssh-rsa'), string(Buffer.from(e, 'base64url')), string(modulus)]);
  return assemble({
    keyBlob,
    signature: Buffer.concat([string(type), string(createSign(algorithm).update(toBeSigned()).sign(key.privateKey))]),
  });
}

describe('SSH signatures', () => {
  const kinds: readonly (readonly string[])[] = [
    ['-t', 'ed25519'],
    ['-t', 'ecdsa', '-b', '256'],
    ['-t', 'ecdsa', '-b', '384'],
    ['-t', 'ecdsa', '-b', '521'],
    ['-t', 'rsa', '-b', '2048'],
  ];
  for (const kind of kinds) {
    test(`what ssh-keygen ${kind.join(' ')} signs is good, and no byte of it can be changed`, () => {
      for (const hash of ['sha256', 'sha512']) {
        const { signature, file } = signWithOpenSsh(kind, 'git', hash);
        const result = verifySshSignature(signature, message, 'git');
        const printed = execFileSync('ssh-keygen', ['-l', '-f', `${file}.pub`])
          .toString()
          .split(' ')[1];
        assert.ok(result.ok, result.ok ? '' : result.reason);
        assert.equal(result.signature.fingerprint, printed);
        assert.equal(verifySshSignature(signature, Buffer.concat([message, Buffer.from('\n')]), 'git').ok, false);
        const blob = Buffer.from(signature.split('\n').slice(1, -2).join(''), 'base64');
        for (let at = 0; at < blob.length; at += 7) {
          const changed = Buffer.from(blob);
          changed[at] = (changed[at] ?? 0) ^ 1;
          const outcome = verifySshSignature(armor(changed), message, 'git');
          assert.ok(!outcome.ok || outcome.signature.fingerprint !== printed, `byte ${at}`);
        }
      }
    });
  }

  test('the answer is the one ssh-keygen gives, for good and for changed messages', () => {
    for (const kind of [kinds[0], kinds[1], kinds[4]]) {
      const { signature, publicKey } = signWithOpenSsh(kind ?? []);
      for (const bytes of [message, Buffer.from('something else')]) {
        assert.equal(verifySshSignature(signature, bytes, 'git').ok, openSshAccepts(publicKey, signature, bytes));
      }
    }
    for (const token of [softwareToken(1), softwareEcdsaToken(5)]) {
      assert.equal(openSshAccepts(token.publicKey, token.text, message), true);
      assert.equal(verifySshSignature(token.text, message, 'git').ok, true);
    }
  });

  test('a signature made for something else than git is refused', () => {
    const { signature } = signWithOpenSsh(['-t', 'ed25519'], 'file');
    const result = verifySshSignature(signature, message, 'git');
    assert.match(result.ok ? '' : result.reason, /'file'/);
    assert.ok(verifySshSignature(signature, message, 'file').ok);
  });

  test('the flags of a hardware key are read: ssh-keygen accepts a signature without a touch, and we can tell', () => {
    const untouched = softwareToken(0);
    assert.equal(openSshAccepts(untouched.publicKey, untouched.text, message), true);
    const flagsOf = (text: string) => {
      const result = verifySshSignature(text, message, 'git');
      return result.ok ? result.signature.hardware : undefined;
    };
    assert.deepEqual(flagsOf(untouched.text), { touched: false, userVerified: false, counter: 7 });
    assert.deepEqual(flagsOf(softwareToken(1).text), { touched: true, userVerified: false, counter: 7 });
    assert.deepEqual(flagsOf(softwareEcdsaToken(5).text), { touched: true, userVerified: true, counter: 9 });
  });

  test('SHA-1 signatures and short RSA keys are refused', () => {
    const good = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
    assert.ok(verifySshSignature(rsaSignature(good, 'rsa-sha2-256', 'sha256'), message, 'git').ok);
    const sha1 = verifySshSignature(rsaSignature(good, 'ssh-rsa', 'sha1'), message, 'git');
    assert.match(sha1.ok ? '' : sha1.reason, /SHA-1/);
    const small = verifySshSignature(rsaSignature(short, 'rsa-sha2-256', 'sha256'), message, 'git');
    assert.match(small.ok ? '' : small.reason, /2048/);
  });

  test('unknown versions, hashes, key types, trailing bytes and points that are none are refused', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const keyBlob = Buffer.concat([string('ssh-ed25519'), string(raw)]);
    const signature = Buffer.concat([string('ssh-ed25519'), string(sign(null, toBeSigned(), privateKey))]);
    assert.ok(verifySshSignature(assemble({ keyBlob, signature }), message, 'git').ok);
    const ecdh = createECDH('prime256v1');
    const compressed = Buffer.concat([
      string('ecdsa-sha2-nistp256'),
      string('nistp256'),
      string(Buffer.from(ecdh.generateKeys('hex', 'compressed'), 'hex')),
    ]);
    const refused = [
      assemble({ keyBlob, signature, version: 2 }),
      assemble({ keyBlob, signature, magic: 'SSHSIX' }),
      assemble({ keyBlob, signature, hash: 'sha1' }),
      assemble({ keyBlob, signature, trailing: Buffer.from([0]) }),
      assemble({ keyBlob: Buffer.concat([keyBlob, Buffer.from([0])]), signature }),
      assemble({ keyBlob, signature: Buffer.concat([signature, Buffer.from([0])]) }),
      assemble({ keyBlob: Buffer.concat([string('ssh-dss'), string(raw)]), signature }),
      assemble({ keyBlob: compressed, signature }),
      armor(Buffer.from('SSHSIG')),
      '-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n',
      '',
    ];
    for (const text of refused) assert.equal(verifySshSignature(text, message, 'git').ok, false, text.slice(0, 60));
  });
});
