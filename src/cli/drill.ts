import { type Drill, type DrillResult, findDrills, runDrills } from '#drill';
import type { Run } from './command.ts';
import { renderTable } from './output.ts';
import { startProgress } from './progress.ts';

const describeOff = ({ controlOff }: Drill): string =>
  controlOff === 'no-switch' ? 'no switch: unproven' : JSON.stringify(controlOff);

export const list: Run = async ({ terminal }) => {
  const items = findDrills([]).map((drill) => {
    const { id, title, control, threats } = drill;
    return { id, title, control, threats, refusal: drill.refusal.source, controlOff: describeOff(drill) };
  });
  const columns = [
    { title: 'DRILL', cell: (item: (typeof items)[number]) => item.id },
    { title: 'CONTROL', cell: (item: (typeof items)[number]) => item.control },
    { title: 'ATTACK', cell: (item: (typeof items)[number]) => item.title },
  ];
  return { document: { items }, text: renderTable(terminal, items, columns, 'There are no drills.') };
};

export const run: Run = async (invocation) => {
  const { terminal, signal } = invocation;
  const ids = invocation.argument('drill')?.split(',') ?? [];
  const total = findDrills(ids).length;
  const progress = startProgress(terminal, `Attacking throw-away installations (${total} drills)`);
  const startedAt = performance.now();
  let results: DrillResult[];
  try {
    let done = 0;
    const onResult = ({ id, ok: isOk }: DrillResult): void =>
      progress.update(`${++done} of ${total}: ${id}${isOk ? '' : ' is not as it should be'}`);
    results = await runDrills({ ids, signal, onResult });
  } finally {
    progress.stop();
  }
  const ok = results.length === total && results.every((result) => result.ok);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  return {
    document: { ok, seconds, drills: results },
    text: [renderMatrix(terminal, results), '', summaryOf(results, total, seconds)].join('\n'),
    exit: ok ? 'yes' : 'no',
  };
};

const yesOrNo = (value: boolean): string => (value ? '✓' : '✗ NO');

function renderMatrix(terminal: Parameters<Run>[0]['terminal'], results: readonly DrillResult[]): string {
  return renderTable(
    terminal,
    results,
    [
      { title: 'DRILL', cell: ({ id }) => id },
      { title: 'CONTROL', cell: ({ control }) => control },
      { title: 'REFUSED', cell: ({ refused, unchanged }) => yesOrNo(refused && unchanged) },
      { title: 'OFF: SUCCEEDS', cell: ({ succeedsWithControlOff: off }) => (off === null ? 'unproven' : yesOrNo(off)) },
      { title: 'LEGITIMATE', cell: ({ legitimate }) => yesOrNo(legitimate) },
      { title: 'REASON', cell: ({ refusal }) => refusal.slice(0, 60) },
    ],
    'No drill was run.',
  );
}

function summaryOf(results: readonly DrillResult[], total: number, seconds: number): string {
  const bad = results.filter((result) => !result.ok);
  const unproven = results.filter(({ succeedsWithControlOff }) => succeedsWithControlOff === null);
  const lines = bad.map(({ id, detail }) => `✗ ${id}: ${detail}`);
  if (results.length < total) lines.push(`Stopped after ${results.length} of ${total} drills.`);
  const proven = results.length - bad.length - unproven.filter(({ ok }) => ok).length;
  lines.push(
    `${proven} of ${results.length} controls proven, ${unproven.length} without a switch, ${bad.length} not as they should be; ${seconds} s.`,
  );
  return lines.join('\n');
}
