import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Clock, parseJson } from '#base';
import { type App, createTlsAuthority, issueTlsIdentity, type TlsAuthority } from '#http';
import { writeDurable } from '#storage';
import type { Vault } from '#vault';
import { sealedSecret } from './instance.ts';

/** Where the CA certificate lies that clients pin. Public. */
export const CA_FILE = 'ca.pem';
/** Renewed well before the week of a leaf is over, and checked this often. */
const RENEW_EVERY_MS = 12 * 3_600_000;

export async function openTlsAuthority(
  vault: Vault,
  dataDir: string,
  name: string,
  clock: Clock,
): Promise<TlsAuthority> {
  const stored = await sealedSecret(vault, dataDir, 'tls-authority', async () =>
    Buffer.from(JSON.stringify(await createTlsAuthority(name, clock.now()))),
  );
  const authority = parseJson(stored.toString('utf8'), 20_000) as TlsAuthority;
  await writeDurable(join(dataDir, CA_FILE), authority.certificatePem, 0o644);
  return authority;
}

/** Names the server's certificate is for: the public one, and this machine's own. */
export function hostsOf(publicUrl: string, listenHost: string): string[] {
  const names = new Set([new URL(publicUrl).hostname.replace(/^\[|\]$/g, ''), 'localhost', '127.0.0.1', '::1']);
  if (!['0.0.0.0', '::', ''].includes(listenHost)) names.add(listenHost);
  return [...names];
}

/** Keeps the listener's certificate fresh while it runs. Returns how to stop. */
export function renewTls(app: App, authority: TlsAuthority, hosts: readonly string[], clock: Clock): () => void {
  const timer = setInterval(() => {
    issueTlsIdentity(authority, hosts, clock.now()).then(
      (tls) => app.server.setSecureContext({ key: tls.key, cert: tls.cert, minVersion: 'TLSv1.3' }),
      (error: unknown) => app.log.error({ err: error }, 'the TLS certificate could not be renewed'),
    );
  }, RENEW_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** A port nobody listens on now; for `--listen host:0`, where the public URL has to be known before listening. */
export async function freePort(host: string): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, host, resolve);
  });
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** For the drill that shows what a plaintext listener gives away; nothing else opens one. Returns how to close it. */
export async function listenInPlaintext(app: App, host: string): Promise<() => void> {
  const server = createHttpServer((request, response) => app.routing(request, response));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return () => void server.close();
}
