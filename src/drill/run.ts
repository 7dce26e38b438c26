import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson, Problem } from '#base';
import { drills } from './catalogue.ts';
import type { Attempt, Drill, DrillResult, Stage, Switches } from './drill.ts';
import { type House, openHouse } from './house.ts';
import { isUnchanged, readState } from './state.ts';

export interface RunOptions {
  /** All of them unless said. `drill.unknown` for one that does not exist. */
  ids?: readonly string[];
  onResult?: (result: DrillResult) => void;
  signal?: AbortSignal;
}

/**
 * Runs the drills. Those that leave nothing behind share one installation with every control on; those with the same control
 * off share another. Every installation is made for this and removed afterwards.
 */
export async function runDrills({ ids = [], onResult, signal }: RunOptions = {}): Promise<DrillResult[]> {
  const chosen = choose(ids);
  const dir = await openDirectory(join(tmpdir(), 'waybill-drills-'));
  const intact = createLot(dir, {});
  const results: DrillResult[] = [];
  try {
    for (const group of groupsOf(chosen)) {
      const weak = createLot(dir, switchesOf(group[0]!) ?? {}, intact);
      try {
        for (const drill of group) {
          if (signal?.aborted) return results;
          const result = await runOne(drill, intact, weak);
          results.push(result);
          onResult?.(result);
        }
      } finally {
        await weak.close();
      }
    }
    return results;
  } finally {
    await intact.close();
    await rm(dir, { recursive: true, force: true });
  }
}

export function findDrills(ids: readonly string[]): readonly Drill[] {
  return choose(ids);
}

function choose(ids: readonly string[]): readonly Drill[] {
  const unknown = ids.find((id) => drills.every((drill) => drill.id !== id));
  if (unknown !== undefined) {
    throw new Problem({
      code: 'drill.unknown',
      kind: 'not_found',
      message: `There is no drill ${unknown.slice(0, 80)}.`,
      hint: 'List them: waybill drill list.',
    });
  }
  return ids.length === 0 ? drills : drills.filter(({ id }) => ids.includes(id));
}

const switchesOf = ({ controlOff }: Drill): Switches | undefined =>
  controlOff === 'no-switch' ? undefined : controlOff;

/** Drills with the same control off follow each other, so that they can share the installation without it. */
function groupsOf(chosen: readonly Drill[]): Drill[][] {
  const groups = new Map<string, Drill[]>();
  for (const drill of chosen) {
    const key = canonicalJson(switchesOf(drill) ?? 'none');
    groups.set(key, [...(groups.get(key) ?? []), drill]);
  }
  return [...groups.values()];
}

/** A place for installations with the same controls: one that is shared, and others for a single use. */
interface Lot {
  switches: Switches;
  /** What happens here cannot be seen from elsewhere, so attacks here and there may run beside each other. */
  isApart: boolean;
  share(): Promise<House>;
  /** Opens a stage for one drill; `release` closes what was opened for it alone. */
  stage(drill: Drill): Promise<{ stage: Stage; opened: () => House | undefined; release: () => Promise<void> }>;
  close(): Promise<void>;
}

/** What is switched off outside the server needs no weak server: then the house of `intact` is shared. */
function createLot(dir: string, switches: Switches, intact?: Lot): Lot {
  const { agent: _agent, sandbox: _sandbox, asked: _asked, ...controls } = switches;
  const isWeak = Object.keys(controls).length > 0;
  let shared: Promise<House> | undefined;
  const share = () => (isWeak || !intact ? (shared ??= openHouse({ controls })) : intact.share());
  return {
    switches,
    // Who looks for plaintext looks at the whole process.
    isApart: isWeak && controls.listener === undefined,
    share,
    async stage(drill) {
      const own = await openDirectory(join(dir, `${drill.id}-`));
      let house: Promise<House> | undefined;
      let opened: House | undefined;
      const open = async () => {
        house ??= drill.alone ? openHouse({ controls }) : share();
        return (opened = await house);
      };
      return {
        stage: { house: open, switches, dir: own },
        opened: () => opened,
        async release() {
          if (drill.alone) await (await house)?.close();
          await rm(own, { recursive: true, force: true });
        },
      };
    },
    async close() {
      await (await shared)?.close();
    },
  };
}

/** Sandboxes run under a uid of their own and have to pass through; nobody can list what is in it. */
async function openDirectory(prefix: string): Promise<string> {
  const dir = await mkdtemp(prefix);
  await chmod(dir, 0o711);
  return dir;
}

async function runOne(drill: Drill, intact: Lot, weak: Lot): Promise<DrillResult> {
  const startedAt = performance.now();
  const { id, title, control, threats } = drill;
  const counter = () => (drill.controlOff === 'no-switch' ? Promise.resolve(null) : attempt(drill, weak));
  const beside = weak.isApart ? counter() : undefined;
  const strong = await withControlsOn(drill, intact);
  const succeeds = await (beside ?? counter());
  const succeedsWithControlOff = succeeds && succeeds.succeeded;
  const ok = strong.refused && strong.unchanged && strong.legitimate && succeedsWithControlOff !== false;
  const trouble =
    strong.trouble ?? (succeedsWithControlOff === false ? `with the control off: ${succeeds?.detail}` : undefined);
  return {
    id,
    title,
    control,
    threats,
    ok,
    refused: strong.refused,
    refusal: strong.refusal,
    unchanged: strong.unchanged,
    succeedsWithControlOff,
    legitimate: strong.legitimate,
    detail: (trouble ?? strong.detail).slice(0, 1000),
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  };
}

type Strong = Pick<DrillResult, 'refused' | 'refusal' | 'unchanged' | 'legitimate' | 'detail'> & {
  trouble?: string;
};

async function withControlsOn(drill: Drill, lot: Lot): Promise<Strong> {
  const { stage, opened, release } = await lot.stage(drill);
  try {
    // Whatever the stage needs is there before the state is read.
    await drill.prepare?.(stage);
    const before = opened() && (await readState(opened()!));
    const found = await safely(() => drill.attack(stage));
    const after = opened() && before && (await readState(opened()!));
    const refused = !found.succeeded && found.code !== undefined && drill.refusal.test(found.code);
    const unchanged = before === undefined || after === undefined || isUnchanged(before, after);
    const flow = await legitimately(drill, stage);
    const trouble = !refused
      ? `expected ${drill.refusal.source}, found ${found.succeeded ? 'success' : (found.code ?? 'no reason')}: ${found.detail}`
      : !unchanged
        ? 'the refused attack left something behind'
        : flow.ok
          ? undefined
          : `the legitimate flow failed: ${flow.detail}`;
    return {
      refused,
      refusal: found.code ?? '',
      unchanged,
      legitimate: flow.ok,
      detail: found.detail,
      ...(trouble === undefined ? {} : { trouble }),
    };
  } finally {
    await release();
  }
}

async function attempt(drill: Drill, lot: Lot): Promise<Attempt> {
  const { stage, release } = await lot.stage(drill);
  try {
    await drill.prepare?.(stage);
    return await safely(() => drill.attack(stage));
  } finally {
    await release();
  }
}

async function legitimately(drill: Drill, stage: Stage): Promise<{ ok: boolean; detail: string }> {
  try {
    return { ok: true, detail: await drill.legitimate(stage) };
  } catch (error) {
    return { ok: false, detail: describe(error) };
  }
}

/** A drill that breaks off has shown nothing: neither refused (no reason) nor succeeded. */
async function safely(attack: () => Promise<Attempt>): Promise<Attempt> {
  try {
    return await attack();
  } catch (error) {
    return { succeeded: false, detail: `the drill broke off: ${describe(error)}` };
  }
}

function describe(error: unknown): string {
  if (Problem.is(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
