import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { createServer as createHttpsServer, get as httpsGet } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { systemClock } from '#base';
import { createClient } from '#client';
import { createTlsAuthority, issueTlsIdentity } from '#http';
import { identityContract } from '#identity';
import { inHouse, ofCall } from './attempt.ts';
import type { Attempt, Drill } from './drill.ts';
import type { House } from './house.ts';

/** Every TCP port this process listens on, from the kernel's own tables. */
function listeningPorts(): number[] {
  const sockets = new Set(
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const rows = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/self/net/${name}`, 'utf8').split('\n').slice(1));
  const listening = rows.map((row) => row.trim().split(/\s+/)).filter((fields) => fields[3] === '0A');
  return listening
    .filter((fields) => sockets.has(fields[9] ?? ''))
    .map((fields) => parseInt(fields[1]?.split(':').at(-1) ?? '', 16));
}

/** A password on a postcard: the token in plain HTTP. Answers with the status, or why there was none. */
async function speakPlainly(port: number, token: string): Promise<string> {
  return await new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}` };
    const request = httpGet({ host: '127.0.0.1', port, path: '/api/v1/whoami', headers, timeout: 5000 }, (response) => {
      response.resume();
      resolve(`status ${response.statusCode}`);
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

async function handshake(house: House, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<Attempt> {
  const { hostname, port } = new URL(house.server.url);
  return await new Promise((resolve) => {
    const options = { host: '127.0.0.1', servername: hostname, port: Number(port), ca: house.ca, maxVersion };
    const socket = tlsConnect(options, () => {
      resolve({ succeeded: true, detail: `spoke ${socket.getProtocol()}` });
      socket.end();
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ succeeded: false, code: error.code ?? 'unknown', detail: error.message }),
    );
  });
}

/** Somebody in the middle with a certificate for the right name, from an authority of their own. */
async function inTheMiddle<T>(work: (url: string, seen: string[]) => Promise<T>): Promise<T> {
  const authority = await createTlsAuthority('waybill.internal', systemClock.now());
  const { key, cert } = await issueTlsIdentity(authority, ['localhost', '127.0.0.1'], systemClock.now());
  const seen: string[] = [];
  const server = createHttpsServer({ key, cert }, (request, response) => {
    seen.push(request.headers.authorization ?? '');
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work(`https://localhost:${(server.address() as AddressInfo).port}`, seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A client that takes any certificate, as `curl -k` does. */
async function carelessly(url: string, token: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    httpsGet(`${url}/api/v1/whoami`, { headers, rejectUnauthorized: false }, (response) => {
      response.resume().on('end', resolve);
    }).on('error', reject);
  });
}

export const transportDrills: readonly Drill[] = [
  inHouse({
    id: 'plaintext-http',
    title: 'Plain HTTP on every port the server listens on',
    threats: ['A7', 'A9', 'A10', 'SEC-7'],
    control: 'no plaintext listener',
    refusal: /^\w+( \w+)*$/,
    controlOff: { listener: { noPlaintext: false } },
    async attack({ developer }) {
      const ports = listeningPorts();
      const answers = await Promise.all(ports.map((port) => speakPlainly(port, developer.token)));
      const served = answers.find((answer) => answer === 'status 200');
      const detail = ports.map((port, at) => `port ${port}: ${answers[at]}`).join(', ');
      if (served || ports.length === 0) return { succeeded: ports.length > 0, detail };
      return { succeeded: false, code: [...new Set(answers)].join(' ').replaceAll(/[^\w ]/g, '_'), detail };
    },
    async legitimate({ developer }) {
      await developer.client.call(identityContract.whoami);
      return 'the same request over TLS';
    },
  }),
  inHouse({
    id: 'tls-1.2',
    title: 'A handshake with TLS 1.2',
    threats: ['A7', 'SEC-7', '204D:§3.1.4'],
    control: 'TLS 1.3 only',
    refusal: /PROTOCOL_VERSION|HANDSHAKE_FAILURE/,
    controlOff: { listener: { tls13: false } },
    attack: (house) => handshake(house, 'TLSv1.2'),
    async legitimate(house) {
      const spoken = await handshake(house, 'TLSv1.3');
      if (!spoken.succeeded) throw new Error(spoken.detail);
      return 'a handshake with TLS 1.3';
    },
  }),
  inHouse({
    id: 'foreign-ca',
    title: 'Somebody in the middle with a certificate of another authority',
    threats: ['A7', 'A9', 'SEC-7'],
    control: 'clients pin the installation’s authority',
    refusal: /^client\.certificate_untrusted$/,
    controlOff: { asked: false },
    attack: ({ ca, developer }, { switches }) =>
      inTheMiddle(async (url, seen) => {
        const call = async () => {
          if (switches.asked === false) return await carelessly(url, developer.token);
          const client = createClient({ url, ca, token: developer.token });
          try {
            await client.call(identityContract.whoami);
          } finally {
            client.close();
          }
        };
        const attempt = await ofCall(call, 'the token was handed over');
        return { ...attempt, succeeded: seen.some((header) => header.includes(developer.token)) };
      }),
    async legitimate({ developer }) {
      await developer.client.call(identityContract.whoami);
      return 'the same client with the real server';
    },
  }),
  inHouse({
    id: 'git-foreign-ca',
    title: 'git pushed to somebody in the middle',
    threats: ['A7', 'A9', 'SEC-7'],
    control: 'clients pin the installation’s authority',
    refusal: /certificate/i,
    controlOff: { asked: false },
    attack: ({ developer }, { switches }) =>
      inTheMiddle(async (url, seen) => {
        const careless = switches.asked === false ? ['-c', 'http.sslVerify=false'] : [];
        const address = `${url.replace('https://', `https://x:${developer.token}@`)}/acme/hello.git`;
        const ran = await developer.git(...careless, '-c', 'http.proactiveAuth=basic', 'ls-remote', address);
        const basic = Buffer.from(`x:${developer.token}`).toString('base64');
        const succeeded = seen.some((header) => header.includes(basic)) || (careless.length > 0 && seen.length > 0);
        return { succeeded, code: ran.stderr.trim().split('\n').at(-1) ?? '', detail: ran.stderr.trim() };
      }),
    async legitimate({ developer }) {
      const ran = await developer.git('ls-remote', 'origin');
      if (ran.status !== 0) throw new Error(ran.stderr);
      return 'git with the real server';
    },
  }),
];
