import { Problem } from '#base';
import type { Ran } from './developer.ts';
import type { Attempt, Drill, Stage } from './drill.ts';
import type { House } from './house.ts';

/** A push with stock git: the reasons stand in what git prints. */
export function ofPush({ status, stderr }: Ran): Attempt {
  const codes = [...new Set([...stderr.matchAll(/\[([a-z]+\.[a-z_]+)\]/g)].map((match) => match[1]))];
  const detail = stderr.replaceAll('remote:', '').trim().split('\n').slice(0, 12).join(' ').replaceAll(/\s+/g, ' ');
  return { succeeded: status === 0, detail, ...(codes.length > 0 ? { code: codes.join(' ') } : {}) };
}

/** Something that throws a `Problem` if it is refused. Other errors are the drill's own and go on. */
export async function ofCall(work: () => Promise<unknown>, success = 'it was allowed'): Promise<Attempt> {
  try {
    await work();
    return { succeeded: true, detail: success };
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return { succeeded: false, code: error.code, detail: error.message };
  }
}

/** Of several ways to the same end: the first that gets through, else all the refusals. */
export async function anyOf(...ways: (() => Promise<Attempt>)[]): Promise<Attempt> {
  const refused: Attempt[] = [];
  for (const way of ways) {
    const attempt = await way();
    if (attempt.succeeded) return attempt;
    refused.push(attempt);
  }
  const silent = refused.some(({ code }) => code === undefined);
  return {
    succeeded: false,
    detail: refused.map(({ code, detail }) => `${code ?? 'no reason'}: ${detail}`).join(' | '),
    ...(silent ? {} : { code: [...new Set(refused.map(({ code }) => code))].join(' ') }),
  };
}

type HouseDrill<T> = Omit<Drill, 'attack' | 'legitimate' | 'prepare'> & {
  prepare?: (house: House, stage: Stage) => Promise<T>;
  /** `prepared`: what `prepare` answered. */
  attack: (house: House, stage: Stage, prepared: T) => Promise<Attempt>;
  legitimate: (house: House, stage: Stage) => Promise<string>;
};

/** A drill that takes place in an installation. */
export function inHouse<T = unknown>({ prepare, attack, legitimate, ...drill }: HouseDrill<T>): Drill {
  const prepared = new WeakMap<Stage, T>();
  return {
    ...drill,
    async prepare(stage) {
      const house = await stage.house();
      if (prepare) prepared.set(stage, await prepare(house, stage));
      await house.server.platform.journal.idle();
    },
    attack: async (stage) => attack(await stage.house(), stage, prepared.get(stage) as T),
    legitimate: async (stage) => legitimate(await stage.house(), stage),
  };
}
