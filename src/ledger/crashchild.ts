import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { writeSync } from 'node:fs';
import { systemClock } from '#base';
import { growingSource } from './testlog.ts';
import { openTileLog } from './tilelog.ts';
import { createNoteSigner } from './vkey.ts';

/**
 * For crash.test.ts, in a process of its own: grows a log and says on stdout what it acknowledges, until the fault point named
 * in its environment ends it. Arguments: directory, key (base64 PKCS8), first size, then the sizes to publish.
 */
const [dir = '', key = '', ...sizes] = process.argv.slice(2);
const privateKey = createPrivateKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'pkcs8' });
const source = growingSource(Number(sizes[0]));
const signer = createNoteSigner('crash.test', {
  publicKey: createPublicKey(privateKey),
  sign: async (bytes) => sign(null, bytes, privateKey),
});
const log = await openTileLog({ dir, origin: 'crash.test', signer, source, clock: systemClock });
for (const size of sizes) {
  source.length = Number(size);
  const { note } = await log.waitFor(source.length - 1);
  writeSync(1, `${JSON.stringify(note)}\n`);
}
await log.close();
writeSync(1, 'done\n');
