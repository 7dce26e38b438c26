// What a benchmark prints: one row a case, ours beside the peer of the same run.
import { cpus, totalmem } from 'node:os';

export interface Row {
  case: string;
  unit: string;
  ours: number;
  /** Who was measured beside us, or null where nothing comparable can be installed. */
  peer: string | null;
  peerValue: number | null;
  /** ours ÷ peer. */
  ratio: number | null;
  goal: string | null;
  higherIsBetter: boolean;
}

export interface Benchmark {
  name: string;
  /** `full`: also what takes more minutes or more disk than a normal run may. */
  run(say: (text: string) => void, options: { full: boolean }): Promise<Row[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function row(fields: Omit<Row, 'ratio' | 'peerValue' | 'peer' | 'goal'> & Partial<Row>): Row {
  const peerValue = fields.peerValue ?? null;
  return {
    peer: null,
    goal: null,
    ...fields,
    ours: round(fields.ours),
    peerValue: peerValue === null ? null : round(peerValue),
    ratio: peerValue === null ? null : round(fields.ours / peerValue),
  };
}

const round = (value: number) => Number(value.toPrecision(4));

export const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
};

export function print(name: string, rows: readonly Row[]): void {
  const cells = rows.map((one) => [
    one.case,
    `${one.ours} ${one.unit}`,
    one.peer === null ? '—' : `${one.peerValue} ${one.unit} (${one.peer})`,
    one.ratio === null ? '—' : `${one.ratio}×`,
    one.goal ?? '',
  ]);
  const head = [name, 'ours', 'peer', 'ratio', 'goal'];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((line) => line[column]!.length)));
  for (const line of [head, ...cells])
    console.log(
      line
        .map((text, column) => text.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    );
}
