// Does the log slow down as it grows? Logs of rising size stand side by side, and each round appends to and proves from each of them.
import { generateKeyPairSync, randomBytes, randomInt, sign } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '#base';
import { createNoteSigner, openTileLog, type TileLog, verifyInclusion } from '#ledger';
import { median, type Row, row } from './report.ts';

const ROUNDS = 7;
const BATCH = 256;
const BATCHES_A_ROUND = 8;
const PROOFS_A_ROUND = 60;
const BUILD_BATCH = 65_536;
const LEAF_BYTES = 256;
const SIZES = [1e4, 1e5, 1e6];
const FULL_SIZES = [...SIZES, 1e7];

export interface MemoryLog {
  log: TileLog;
  /** Resolves when a signed checkpoint on the disk covers `count` more entries. */
  append(count: number): Promise<void>;
  close(): Promise<void>;
}

/** A log on the disk whose entries come from memory. */
export async function memoryLog(dir: string): Promise<MemoryLog> {
  const leaves = Array.from({ length: 1024 }, () => randomBytes(LEAF_BYTES));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const origin = 'bench.example/log';
  let size = 0;
  const log = await openTileLog({
    dir,
    origin,
    signer: createNoteSigner(origin, { publicKey, sign: async (bytes) => sign(null, bytes, privateKey) }),
    source: {
      size: async () => size,
      read: async (from, count) => Array.from({ length: count }, (_, index) => leaves[(from + index) % leaves.length]!),
    },
    clock: systemClock,
  });
  return {
    log,
    async append(count) {
      size += count;
      await log.publish();
    },
    close: () => log.close(),
  };
}

interface Measured {
  size: number;
  memory: MemoryLog;
  appendMicros: number[];
  proofsPerSecond: number[];
  verificationsPerSecond: number[];
  longest: number;
}

export async function growthRows(dir: string, full: boolean, say: (text: string) => void): Promise<Row[]> {
  const logs: Measured[] = [];
  for (const size of full ? FULL_SIZES : SIZES) {
    say(`growth: a log of ${size} entries`);
    const memory = await memoryLog(join(dir, String(size)));
    for (let at = 0; at < size; at += BUILD_BATCH) await memory.append(Math.min(BUILD_BATCH, size - at));
    logs.push({ size, memory, appendMicros: [], proofsPerSecond: [], verificationsPerSecond: [], longest: 0 });
  }
  for (let round = 0; round < ROUNDS; round++) {
    say(`growth: round ${round + 1} of ${ROUNDS}`);
    for (const one of logs) await measure(one);
  }
  for (const { memory } of logs) await memory.close();
  const smallest = logs[0]!;
  return logs.flatMap((one) => {
    const at = `at 10^${Math.log10(one.size)} entries`;
    const beside = (value: number) =>
      one === smallest ? {} : { peer: `at 10^${Math.log10(smallest.size)}`, peerValue: value };
    return [
      row({
        case: `append in batches of ${BATCH}, ${at}`,
        unit: 'µs/entry',
        ours: median(one.appendMicros),
        ...beside(median(smallest.appendMicros)),
        goal: 'flat',
        higherIsBetter: false,
      }),
      row({
        case: `longest inclusion proof, ${at}`,
        unit: 'hashes',
        ours: one.longest,
        goal: `≤ ${Math.ceil(Math.log2(one.memory.log.size()))} (log2)`,
        higherIsBetter: false,
      }),
      row({
        case: `inclusion proofs made from disk, ${at}`,
        unit: '/s',
        ours: median(one.proofsPerSecond),
        ...beside(median(smallest.proofsPerSecond)),
        higherIsBetter: true,
      }),
      row({
        case: `inclusion proofs verified, ${at}`,
        unit: '/s',
        ours: median(one.verificationsPerSecond),
        ...beside(median(smallest.verificationsPerSecond)),
        higherIsBetter: true,
      }),
    ];
  });
}

async function measure(one: Measured): Promise<void> {
  const { log } = one.memory;
  let start = performance.now();
  for (let batch = 0; batch < BATCHES_A_ROUND; batch++) await one.memory.append(BATCH);
  one.appendMicros.push(((performance.now() - start) * 1000) / (BATCH * BATCHES_A_ROUND));

  start = performance.now();
  const proofs = [];
  for (let made = 0; made < PROOFS_A_ROUND; made++) proofs.push(await log.inclusionProof(randomInt(log.size())));
  one.proofsPerSecond.push((PROOFS_A_ROUND / (performance.now() - start)) * 1000);
  one.longest = Math.max(one.longest, ...proofs.map(({ path }) => path.length));

  start = performance.now();
  let verified = 0;
  while (performance.now() - start < 100) {
    for (const proof of proofs) if (!verifyInclusion(proof)) throw new Error('an inclusion proof does not verify');
    verified += proofs.length;
  }
  one.verificationsPerSecond.push((verified / (performance.now() - start)) * 1000);
}
