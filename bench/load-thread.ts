// A thread that sends GETs over keep-alive TLS connections, one after another on each, and counts the answers that were 200 and whole.
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { parentPort } from 'node:worker_threads';

export interface LoadRequest {
  url: string;
  path: string;
  ca: string;
  token: string;
  connections: number;
  milliseconds: number;
}

export interface LoadAnswer {
  answers: number;
  seconds: number;
  failure: string | null;
}

parentPort?.on('message', (request: LoadRequest) => {
  run(request).then(
    (answer) => parentPort?.postMessage(answer),
    (error: unknown) => parentPort?.postMessage({ answers: 0, seconds: 0, failure: String(error) }),
  );
});

async function run({ url, path, ca, token, connections, milliseconds }: LoadRequest): Promise<LoadAnswer> {
  const { port } = new URL(url);
  const sockets = Array.from({ length: connections }, () =>
    connect({ host: '127.0.0.1', port: Number(port), servername: 'localhost', ca, ALPNProtocols: ['http/1.1'] }),
  );
  try {
    await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')));
    const text = `GET ${path} HTTP/1.1\r\nhost: localhost:${port}\r\nauthorization: Bearer ${token}\r\n\r\n`;
    const start = performance.now();
    const counts = await Promise.all(sockets.map((socket) => askUntil(socket, text, start + milliseconds)));
    const seconds = (performance.now() - start) / 1000;
    return { answers: counts.reduce((sum, count) => sum + count, 0), seconds, failure: null };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function askUntil(socket: TLSSocket, text: string, end: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let answers = 0;
    let received: Buffer = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (part: Buffer) => {
      received = received.length === 0 ? part : Buffer.concat([received, part]);
      const whole = answerLength(received);
      if (typeof whole === 'string') {
        reject(new Error(whole));
        return;
      }
      if (whole === undefined || received.length < whole) return;
      received = received.subarray(whole);
      answers += 1;
      if (performance.now() < end) socket.write(text);
      else resolve(answers);
    });
    socket.write(text);
  });
}

/** How long the answer is, its head included; undefined while that is not known; text if it is not what was asked for. */
function answerLength(received: Buffer): number | string | undefined {
  const blank = received.indexOf('\r\n\r\n');
  if (blank < 0) return undefined;
  const head = received.toString('latin1', 0, blank);
  if (!head.startsWith('HTTP/1.1 200 ')) return head.split('\r\n')[0] ?? '';
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  return length === undefined ? 'an answer without Content-Length' : blank + 4 + Number(length);
}
