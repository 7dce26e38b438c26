// GET of a 1 KiB artifact, recorded before a byte leaves, beside GETs of the same server that record nothing. The load comes
// from a thread of its own, over bare TLS connections, so that what is compared is the server.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { openHouse } from '#drill';
import type { LoadAnswer, LoadRequest } from './load-thread.ts';
import { median, type Row, row } from './report.ts';

const ROUNDS = 9;
const ROUND_MS = 800;
const CONNECTIONS = 16;
const ARTIFACT = '/files/acme/playground/acme/hello/small/v1/file';

export async function httpRows(say: (text: string) => void): Promise<Row[]> {
  const house = await openHouse();
  const load = new Worker(new URL('./load-thread.ts', import.meta.url));
  try {
    const { token } = house.developer;
    const uploaded = await put(house.server.url + ARTIFACT, house.ca, token);
    const paths = { logged: ARTIFACT, record: `/api/v1/artifacts/${uploaded}`, health: '/healthz' };
    const rates = { logged: [] as number[], record: [] as number[], health: [] as number[] };
    const { journal } = house.server.platform;
    for (let round = 0; round < ROUNDS; round++) {
      say(`http: round ${round + 1} of ${ROUNDS}`);
      for (const name of ['logged', 'record', 'health'] as const) {
        const before = await journal.head();
        const request = { url: house.server.url, path: paths[name], ca: house.ca, token, connections: CONNECTIONS };
        load.postMessage({ ...request, milliseconds: ROUND_MS } satisfies LoadRequest);
        const [{ answers, seconds, failure }] = (await once(load, 'message')) as [LoadAnswer];
        if (failure !== null) throw new Error(`${paths[name]}: ${failure}`);
        if (name === 'logged' && (await journal.head()) - before < answers) throw new Error('a GET was not recorded');
        rates[name].push(answers / seconds);
      }
    }
    const line = (peer: string, values: readonly number[], goal: string | null) =>
      row({
        case: `GET of 1 KiB, logged before served, ${CONNECTIONS} connections`,
        unit: '/s',
        ours: median(rates.logged),
        peer,
        peerValue: median(values),
        goal,
        higherIsBetter: true,
      });
    return [
      line('GET of its record, not logged', rates.record, '≥ 0.6×'),
      line('GET /healthz, public', rates.health, null),
    ];
  } finally {
    await load.terminate();
    await house.close();
  }
}

async function put(url: string, ca: string, token: string): Promise<string> {
  const { request } = await import('node:https');
  return await new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' };
    const sent = request(url, { method: 'PUT', ca, headers, servername: 'localhost' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => {
        if (response.statusCode === 201) resolve((JSON.parse(text) as { id: string }).id);
        else reject(new Error(`HTTP ${response.statusCode}: ${text}`));
      });
    });
    sent.once('error', reject);
    sent.end(randomBytes(1024));
  });
}
