import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/** The internal CA for TLS. Not the signing CA: a certificate of one is worthless to the other. */
export interface TlsAuthority {
  certificatePem: string;
  /** PKCS #8 PEM; the caller seals it. */
  privateKeyPem: string;
}

export interface TlsIdentity {
  key: string;
  /** Leaf, then the CA. */
  cert: string;
  notAfter: number;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
/** Short, because it is renewed without anybody's help. */
const LEAF_DAYS = 7;
const signing = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

const provider = webcrypto;
const serial = () => `00${randomBytes(19).toString('hex')}`;
const pem = async (key: webcrypto.CryptoKey) =>
  createPrivateKey({
    key: Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)),
    format: 'der',
    type: 'pkcs8',
  })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();

async function generate(): Promise<webcrypto.CryptoKeyPair> {
  return (await provider.subtle.generateKey(signing, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

/** A new CA for server certificates, good for ten years. */
export async function createTlsAuthority(name: string, now: number): Promise<TlsAuthority> {
  const keys = await generate();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: `O=${name}, CN=${name} TLS authority`,
      serialNumber: serial(),
      notBefore: new Date(now - DAY_MS / 24),
      notAfter: new Date(now + CA_DAYS * DAY_MS),
      signingAlgorithm: signing,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, provider),
      ],
    },
    provider,
  );
  return { certificatePem: `${certificate.toString('pem')}\n`, privateKeyPem: await pem(keys.privateKey) };
}

/** A fresh key and certificate for the listener. The key lives in this process only. */
export async function issueTlsIdentity(
  authority: TlsAuthority,
  hosts: readonly string[],
  now: number,
): Promise<TlsIdentity> {
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const issuerKey = await provider.subtle.importKey(
    'pkcs8',
    createPrivateKey(authority.privateKeyPem).export({ format: 'der', type: 'pkcs8' }) as Uint8Array<ArrayBuffer>,
    signing,
    false,
    ['sign'],
  );
  const keys = await generate();
  const notAfter = now + LEAF_DAYS * DAY_MS;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: `CN=${hosts[0] ?? 'waybill'}`,
      issuer: issuer.subject,
      serialNumber: serial(),
      notBefore: new Date(now - DAY_MS / 24),
      notAfter: new Date(notAfter),
      signingAlgorithm: signing,
      publicKey: keys.publicKey,
      signingKey: issuerKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(
          hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host })),
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, provider),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, provider),
      ],
    },
    provider,
  );
  return {
    key: await pem(keys.privateKey),
    cert: `${certificate.toString('pem')}\n${authority.certificatePem}`,
    notAfter,
  };
}
