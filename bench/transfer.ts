// Upload and download of 1 GiB over TLS, hashed, durable and on record on our side; beside it the same bytes through a bare
// node:https server that writes them to a file with one fsync and hashes nothing: the floor of the same run time and disk.
import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { createServer, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Writable } from 'node:stream';
import { systemClock } from '#base';
import { createTlsAuthority, issueTlsIdentity } from '#http';
import { openHouse } from '#drill';
import { type Benchmark, median, row } from './report.ts';

const ROUNDS = 3;
const SIZE = 1024 ** 3;
const MIB = 1024 ** 2;

export const transfer: Benchmark = {
  name: 'transfer',
  async run(say) {
    const dir = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
    const file = join(dir, 'file');
    const house = await openHouse();
    const peer = await bareServer(dir);
    const results: Record<string, number[]> = { up: [], down: [], peerUp: [], peerDown: [] };
    try {
      for (let round = 0; round < ROUNDS; round++) {
        say(`round ${round + 1} of ${ROUNDS}`);
        await writeRandom(file, SIZE);
        const address = `${house.server.url}/files/acme/playground/acme/hello/big/v${round}/file`;
        const ours = { ca: house.ca, token: house.developer.token };
        results['up']!.push(await rate(() => send(address, 'PUT', file, ours)));
        results['peerUp']!.push(await rate(() => send(peer.url, 'PUT', file, { ca: peer.ca })));
        results['down']!.push(await rate(() => fetchAll(address, ours)));
        results['peerDown']!.push(await rate(() => fetchAll(peer.url, { ca: peer.ca })));
      }
    } finally {
      peer.close();
      await house.close();
      await rm(dir, { recursive: true });
    }
    const name = 'bare node:https, no hash';
    const one = (text: string, ours: string, theirs: string) =>
      row({
        case: text,
        unit: 'MiB/s',
        ours: median(results[ours]!),
        peer: name,
        peerValue: median(results[theirs]!),
        higherIsBetter: true,
      });
    return [
      one('upload 1 GiB, hashed, durable, recorded', 'up', 'peerUp'),
      one('download 1 GiB, recorded', 'down', 'peerDown'),
    ];
  },
};

/** MiB per second. */
async function rate(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return SIZE / MIB / ((performance.now() - start) / 1000);
}

async function writeRandom(path: string, size: number): Promise<void> {
  const file = await open(path, 'w');
  for (let written = 0; written < size; written += 16 * MIB) await file.write(randomBytes(16 * MIB));
  await file.close();
}

interface Peer {
  ca: string;
  token?: string;
}

async function send(url: string, method: string, path: string, { ca, token }: Peer): Promise<void> {
  const headers = { 'content-length': (await stat(path)).size, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  await new Promise<void>((resolve, reject) => {
    const sent = request(url, { method, ca, headers, servername: 'localhost' }, (response) => {
      response.resume();
      response.once('end', () =>
        (response.statusCode ?? 500) < 300 ? resolve() : reject(new Error(`HTTP ${response.statusCode}`)),
      );
    });
    sent.once('error', reject);
    createReadStream(path, { highWaterMark: MIB }).pipe(sent);
  });
}

async function fetchAll(url: string, { ca, token }: Peer): Promise<void> {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  await new Promise<void>((resolve, reject) => {
    const sent = request(url, { ca, headers, servername: 'localhost' }, (response) => {
      const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
      pipeline(response, sink).then(resolve, reject);
    });
    sent.once('error', reject);
    sent.end();
  });
}

async function bareServer(dir: string): Promise<{ url: string; ca: string; close(): void }> {
  const authority = await createTlsAuthority('bench', systemClock.now());
  const tls = await issueTlsIdentity(authority, ['localhost'], systemClock.now());
  const path = join(dir, 'stored');
  const server = createServer({ ...tls, minVersion: 'TLSv1.3' }, (incoming, response) => {
    if (incoming.method === 'GET') {
      createReadStream(path).pipe(response);
      return;
    }
    const target = createWriteStream(path, { flush: true });
    pipeline(incoming, target).then(
      () => response.end(),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { url: `https://localhost:${port}/`, ca: authority.certificatePem, close: () => server.close() };
}
