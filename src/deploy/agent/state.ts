import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, DigestText, Problem } from '#base';
import { writeDurable } from '#storage';
import { PlanItem, Report } from './protocol.ts';

const Mark = z.strictObject({
  pid: z.int().min(1),
  startTime: z.string(),
  executable: DigestText.transform((text) => text as Digest),
  executablePath: z.string(),
});

const Running = z.strictObject({
  deployment: z.string(),
  item: PlanItem,
  path: z.string(),
  process: Mark.nullable(),
  /** Kinds of drift that were reported already. */
  drift: z.array(z.string()),
  /** Has it ended, and was that reported? */
  ended: z.boolean(),
});
export type Running = z.output<typeof Running>;

const State = z.strictObject({
  version: z.literal(1),
  /** By artifact name. */
  running: z.record(z.string(), Running),
  /** By name: digest and reason that were refused last, so that a refusal is reported once. */
  refused: z.record(z.string(), z.string()),
  /** Reports the server has not acknowledged yet, oldest first. */
  outbox: z.array(Report),
});
export type State = z.output<typeof State>;

const OUTBOX_MAX = 10_000;

/** What the agent knows across restarts. Every change is on the disk before anything is done that depends on it. */
export interface StateFile {
  readonly state: State;
  save(): Promise<void>;
}

export async function openState(directory: string): Promise<StateFile> {
  const path = join(directory, 'state.json');
  const state = await readState(path);
  let last: Promise<void> = Promise.resolve();
  return {
    state,
    save() {
      const text = `${JSON.stringify({ ...state, outbox: state.outbox.slice(-OUTBOX_MAX) }, null, 2)}\n`;
      last = last.then(
        () => writeDurable(path, text),
        () => writeDurable(path, text),
      );
      return last;
    },
  };
}

async function readState(path: string): Promise<State> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return { version: 1, running: {}, refused: {}, outbox: [] };
    }
    throw error;
  }
  try {
    return State.parse(JSON.parse(text));
  } catch (cause) {
    throw new Problem({
      code: 'deploy.state_unreadable',
      kind: 'unavailable',
      message: 'The agent’s state file cannot be read.',
      hint: 'Stop what it started, remove the file, and start the agent again: it places and verifies everything anew.',
      cause,
    });
  }
}
